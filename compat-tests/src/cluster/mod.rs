//! Real Sixfold processes on a fresh temporary directory, in both forms:
//!
//! - [`Form::Embedded`]: one `sixfold server` with six drives and its own PostgreSQL;
//! - [`Form::Separate`]: PostgreSQL, one `sixfold gateway` and six `sixfold-node` processes.
//!
//! A test says what it needs with [`Plan`], gets a ready [`Server`], and may take its drives and
//! processes away one by one. Everything is killed by its own process id when the `Server` is dropped.

mod address;
mod administer;
mod binaries;
mod further;
mod plan;
mod postgres;
mod process;
mod tmpfs;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use address::{free_address, is_ready};
pub use binaries::binary;
pub use further::Gateway;
pub use plan::{Form, Plan};
pub use postgres::Postgres;
pub use process::Process;
pub use tmpfs::Tmpfs;

use crate::raw::Signer;

/// How many drives, and nodes, there are.
pub const NODE_COUNT: usize = 6;
/// The root user's access key in every test.
pub const ACCESS_KEY: &str = "COMPATTESTROOT";
/// Its secret; with signs that a careless encoding would trip over.
pub const SECRET_KEY: &str = "compat+tests/secret=0123456789";
/// What the processes of one cluster show each other, unless a plan says otherwise.
pub const CLUSTER_SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// What the secrets of access keys are sealed with.
const MASTER_KEY: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
/// How long a start may take on a busy machine, `initdb` included.
const START_PATIENCE: Duration = Duration::from_mins(2);

impl Plan {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it isn't ready in time.
    pub fn start(self) -> Server {
        let folder = tempfile::Builder::new().prefix("sixfold-compat-").tempdir().expect("tempdir");
        // PostgreSQL runs as another account and must be able to reach its folder.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("chmod");
        let postgres =
            (self.form == Form::Separate).then(|| Postgres::start(&folder.path().join("postgres")));
        let mut server = Server {
            plan: self,
            address: free_address(),
            admin_address: free_address(),
            gateway: None,
            nodes: Vec::new(),
            postgres,
            mounts: Vec::new(),
            folder,
        };
        for index in 0..NODE_COUNT.max(server.plan.directories.len()) {
            std::fs::create_dir_all(server.drive(index)).expect("a drive");
            if let Some(sizes) = server.plan.drive_mib {
                server.mounts.push(Tmpfs::mount(&server.drive(index), sizes[index]));
            }
        }
        if server.plan.form == Form::Separate {
            write_private(&server.folder().join("master.key"), MASTER_KEY);
            server.migrate();
            server.nodes = (0..NODE_COUNT).map(|_| None).collect();
            for index in 0..NODE_COUNT {
                server.start_node(index);
            }
            server.wait_for_nodes();
        }
        server.start_gateway();
        server
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    address: String,
    admin_address: String,
    gateway: Option<Process>,
    nodes: Vec<Option<Process>>,
    postgres: Option<Postgres>,
    // After the processes that hold files open on them.
    mounts: Vec<Tmpfs>,
    // Dropped last: the processes work in it.
    folder: TempDir,
}

impl Server {
    /// Starts the form with its default settings.
    pub fn start(form: Form) -> Self {
        Plan::new(form).start()
    }

    /// Host and port of the S3 listener.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Host and port of health and metrics.
    pub fn admin_address(&self) -> &str {
        &self.admin_address
    }

    /// The S3 endpoint as clients are given it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Signs as the root user.
    pub fn signer(&self) -> Signer {
        Signer::new(ACCESS_KEY, SECRET_KEY)
    }

    /// Everything of this server is below it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that is one node's drive; embedded ones lie below one DIR and share a journal.
    pub fn drive(&self, index: usize) -> PathBuf {
        self.folder().join(match self.plan.form {
            Form::Embedded if self.plan.directories.is_empty() => {
                format!("data/node{}", index + 1)
            }
            _ => format!("drive{index}"),
        })
    }

    /// The `sixfold` process that serves S3.
    ///
    /// # Panics
    /// When it was killed and not started again.
    pub fn gateway(&mut self) -> &mut Process {
        self.gateway.as_mut().expect("a running gateway")
    }

    /// The process of one node, in the separate form.
    ///
    /// # Panics
    /// When there is none.
    pub fn node(&mut self, index: usize) -> &mut Process {
        self.nodes[index].as_mut().expect("a running node process")
    }

    /// The command that runs a node on the drive at `drive`, to run it once more or with other
    /// settings on purpose.
    pub fn node_command(&self, drive: &Path, address: &str) -> Command {
        let mut command = self.command("sixfold-node");
        command.arg(drive).args(["--listen", address]).args(&self.plan.node_arguments);
        command
    }

    /// Starts a node's process in the place of one that was taken away.
    pub fn start_node_as(&mut self, index: usize, command: &mut Command) {
        let log = self.folder().join(format!("node{index}.log"));
        self.nodes[index] = Some(Process::start("sixfold-node", command, &log));
    }

    /// What psql answers to a script on the metadata, as text: a line per row.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn metadata(&self, script: &str) -> String {
        if let Some(postgres) = &self.postgres {
            return postgres.query(script);
        }
        // The managed PostgreSQL notes where its socket is.
        let note = self.folder().join("meta/postgres/socket");
        let sockets = std::fs::read_to_string(note).expect("a managed PostgreSQL");
        postgres::query(Path::new(sockets.trim()), "sixfold", script)
    }

    /// The PostgreSQL of the separate form.
    ///
    /// # Panics
    /// In the embedded form.
    pub fn postgres(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("a PostgreSQL of the test's own")
    }

    /// Takes one drive away: its folder vanishes from under the running server, or its process dies.
    pub fn take_away(&mut self, index: usize) {
        match self.plan.form {
            Form::Embedded => {
                std::fs::rename(self.drive(index), self.away(index)).expect("take a drive away");
            }
            Form::Separate => {
                self.nodes[index].take().expect("a running node process").kill();
            }
        }
    }

    /// Brings it back as it was.
    pub fn give_back(&mut self, index: usize) {
        match self.plan.form {
            Form::Embedded => {
                // The server may have made an empty folder of that name meanwhile.
                drop(std::fs::remove_dir_all(self.drive(index)));
                std::fs::rename(self.away(index), self.drive(index)).expect("bring a drive back");
            }
            Form::Separate => self.start_node(index),
        }
    }

    /// SIGKILL to the `sixfold` process that serves S3, and to nothing else.
    pub fn kill_gateway(&mut self) {
        self.gateway.take().expect("a running gateway").kill();
    }

    /// SIGTERM to it; it must end well.
    pub fn stop_gateway(&mut self) {
        let status = self.gateway.take().expect("a running gateway").stop();
        assert!(status.success(), "the gateway ended with {status}");
    }

    /// Starts it on the same directory and the same ports, and waits until it is ready.
    ///
    /// # Panics
    /// When it ends, or isn't ready in time.
    pub fn start_gateway(&mut self) {
        assert!(self.gateway.is_none(), "the gateway runs");
        let log = self.folder().join("gateway.log");
        let process = Process::start("sixfold", &mut self.gateway_command(), &log);
        self.gateway = Some(process);
        let until = Instant::now() + START_PATIENCE;
        while !is_ready(&self.admin_address) {
            if let Some(status) = self.gateway().ended() {
                panic!("sixfold ended with {status}:\n{}", self.log_tail());
            }
            assert!(Instant::now() < until, "sixfold is not ready:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The command that [`Server::start_gateway`] runs, to run it a second time on purpose.
    pub fn gateway_command(&self) -> Command {
        self.gateway_command_at(&self.address, &self.admin_address)
    }

    /// The same on other addresses.
    pub fn gateway_command_at(&self, address: &str, admin_address: &str) -> Command {
        let mut command = self.command("sixfold");
        match self.plan.form {
            Form::Embedded => {
                command.arg("server").args(self.directories());
                command.arg("--meta-dir").arg(self.folder().join("meta"));
            }
            Form::Separate => {
                command.arg("gateway");
            }
        }
        command.args(["--address", address, "--admin-address", admin_address]);
        command
    }

    /// Bytes that the drives' files occupy, as `du` counts.
    pub fn used_bytes(&self) -> u64 {
        (0..NODE_COUNT).map(|index| occupied(&self.drive(index))).sum()
    }

    /// The end of the gateway's output.
    pub fn log_tail(&self) -> String {
        self.gateway.as_ref().map(Process::log_tail).unwrap_or_default()
    }

    fn away(&self, index: usize) -> PathBuf {
        self.folder().join(format!("away{index}"))
    }

    /// A program with the settings that all processes share.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(binary(program));
        command.env_remove("DATABASE_URL");
        // What tests look for in the output, people read there.
        command.env("SIXFOLD_LOG_FORMAT", "text");
        command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY);
        command.env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
        if let Some(postgres) = &self.postgres {
            command.env("DATABASE_URL", postgres.url());
            command.env("SIXFOLD_CLUSTER_SECRET", CLUSTER_SECRET);
            command.env("SIXFOLD_MASTER_KEY_FILE", self.folder().join("master.key"));
        }
        command.envs(self.plan.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn migrate(&self) {
        let output = self.command("sixfold").arg("migrate").output().expect("sixfold migrate");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A gateway that starts now knows all nodes from the first request on.
    fn wait_for_nodes(&self) {
        let until = Instant::now() + START_PATIENCE;
        while self.node_list().iter().filter(|node| node["state"] == "active").count() != NODE_COUNT
        {
            assert!(Instant::now() < until, "the nodes do not register: {:?}", self.node_list());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn start_node(&mut self, index: usize) {
        let mut command = self.node_command(&self.drive(index), &free_address());
        let zone = self.plan.zones.iter().cycle().nth(index);
        command.args(zone.iter().flat_map(|zone| ["--zone", zone]));
        self.start_node_as(index, &mut command);
    }
}

impl Drop for Server {
    /// Ends the gateway in order, so that the PostgreSQL of the embedded form ends with it; one that a
    /// test left without its server is ended by its pid file.
    fn drop(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.try_stop();
        }
        let pid_file = self.folder().join("meta/postgres/data/postmaster.pid");
        let Ok(text) = std::fs::read_to_string(pid_file) else { return };
        let pid = text.lines().next().unwrap_or_default();
        drop(Command::new("kill").args(["-s", "QUIT", pid]).status());
    }
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("write a private file");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("chmod");
}

/// Bytes occupied by all files below `folder`; what vanishes while it is read counts nothing.
fn occupied(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => occupied(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}
