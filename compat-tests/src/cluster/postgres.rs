//! A PostgreSQL of the test's own, for the form in which the gateway is given a `DATABASE_URL`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::process::Process;

/// PostgreSQL's server on a socket in a folder of its own, without a port.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    folder: PathBuf,
}

impl Postgres {
    /// Creates a cluster below `folder` and starts it.
    ///
    /// # Panics
    /// When the programs are missing or don't do as told.
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir(folder).expect("a folder for PostgreSQL");
        let account = Account::fitting();
        account.own(folder);
        let data = folder.join("data");
        let mut initdb = account.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        initdb.args(["--locale=C", "-D"]).arg(&data);
        let output = initdb.output().expect("initdb");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let postgres = Self { process: launch(folder), folder: folder.into() };
        postgres.wait_until_ready();
        postgres
    }

    /// Stops it at once, as a machine does that fails: connections break, new ones are refused.
    pub fn take_away(&mut self) {
        self.process.quit();
    }

    /// Starts it again on the same data and waits until it answers.
    pub fn bring_back(&mut self) {
        self.process = launch(&self.folder);
        self.wait_until_ready();
    }

    /// What a statement answers, as text: a line per row.
    ///
    /// # Panics
    /// When it fails.
    pub fn query(&self, statement: &str) -> String {
        query(&self.folder, "postgres", statement)
    }

    /// What a gateway is given as `DATABASE_URL`.
    pub fn url(&self) -> String {
        let folder = self.folder.display();
        format!("postgres://postgres@localhost:5432/postgres?host={folder}")
    }

    /// The process, to freeze or kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn wait_until_ready(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        while !psql(&self.folder, "postgres", "select 1").status.success() {
            assert!(Instant::now() < until, "no PostgreSQL: {}", self.process.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What a script answers on the server with that socket, to the role and in the database of that
/// name, as text: a line per row.
///
/// # Panics
/// When it fails.
pub(super) fn query(sockets: &Path, name: &str, script: &str) -> String {
    let output = psql(sockets, name, script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn psql(sockets: &Path, name: &str, script: &str) -> Output {
    let mut psql = Command::new(programs().join("psql"));
    psql.arg("-h").arg(sockets).args(["-U", name, "-d", name, "-XAtq", "-f", "-"]);
    psql.args(["-v", "ON_ERROR_STOP=1"]);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut psql = psql.spawn().expect("psql");
    let mut input = psql.stdin.take().expect("psql's input");
    // One that can't connect reads nothing; its status says so.
    drop(input.write_all(script.as_bytes()));
    drop(input);
    psql.wait_with_output().expect("psql")
}

/// Starts the server on the data below `folder`.
fn launch(folder: &Path) -> Process {
    let mut postgres = Account::fitting().command("postgres");
    postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    postgres.args(["-c", "listen_addresses=", "-c", "max_connections=200"]);
    Process::start("postgres", &mut postgres, &folder.join("log"))
}

/// The account that the server runs as: it refuses to run as root.
struct Account(Option<(u32, u32)>);

impl Account {
    fn fitting() -> Self {
        let id = |arguments: &[&str]| -> u32 {
            let output = Command::new("id").args(arguments).output().expect("id");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.trim().parse().expect("an account named postgres")
        };
        if id(&["-u"]) != 0 {
            return Self(None);
        }
        Self(Some((id(&["-u", "postgres"]), id(&["-g", "postgres"]))))
    }

    fn own(&self, folder: &Path) {
        if let Some((user, group)) = self.0 {
            std::os::unix::fs::chown(folder, Some(user), Some(group)).expect("chown");
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.current_dir("/").env("LC_ALL", "C");
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}

/// The folder of the newest PostgreSQL that Debian installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL's server programs");
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL's server programs").1
}
