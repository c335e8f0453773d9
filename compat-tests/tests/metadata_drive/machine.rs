//! Six folders that stand for six drives, and a `sixfold server` on them that keeps its metadata on
//! the first and copies of it on two others.

use compat_tests::cluster::{ACCESS_KEY, Process, SECRET_KEY, binary, free_address, is_ready};
use compat_tests::objects::Body;
use compat_tests::raw::{Request, Signer};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take on a busy machine, `initdb` and two base backups included.
const PATIENCE: Duration = Duration::from_mins(2);

/// See the module.
pub(crate) struct Machine {
    process: Option<Process>,
    pub(crate) address: String,
    admin_address: String,
    /// Whether the master key is kept beside the drives, as the documentation advises.
    keeps_key_apart: bool,
    // Dropped last: the processes work in it.
    folder: TempDir,
}

impl Machine {
    /// Starts a server on empty drives.
    pub(crate) async fn start(keeps_key_apart: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("sixfold-metadata-").tempdir().unwrap();
        // The database runs as another account and must be able to pass.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let (address, admin_address) = (free_address(), free_address());
        let mut machine = Self { process: None, address, admin_address, keeps_key_apart, folder };
        machine.run(&[]).await;
        let bucket = Request::put("/kept").sign(&signer(), &machine.address);
        bucket.send(&machine.address).await.expect_status(200);
        machine
    }

    pub(crate) fn drive(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("drive{index}"))
    }

    /// `sixfold server` on the drives, with further arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("sixfold"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SIXFOLD_LOG_FORMAT", "text");
        command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY);
        command.env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
        // The folders are on one device; here each stands for a drive.
        command.env("SIXFOLD_META_COPIES", "always");
        if self.keeps_key_apart {
            command.env("SIXFOLD_MASTER_KEY_FILE", self.folder.path().join("master.key"));
        }
        command.arg("server").args((0..6).map(|index| self.drive(index))).args(arguments);
        command.args(["--address", &self.address, "--admin-address", &self.admin_address]);
        command
    }

    /// Runs a server with further arguments until it is ready.
    pub(crate) async fn run(&mut self, arguments: &[&str]) {
        let log = self.folder.path().join("server.log");
        self.process = Some(Process::start("sixfold", &mut self.command(arguments), &log));
        let until = Instant::now() + PATIENCE;
        while !is_ready(&self.admin_address) {
            let process = self.process.as_mut().unwrap();
            if let Some(status) = process.ended() {
                panic!("sixfold ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < until, "sixfold is not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a server that must refuse to start, and gives what it said.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !said.contains("panicked"), "{said}");
        said
    }

    /// SIGTERM; it must end well.
    pub(crate) fn stop(&mut self) {
        let status = self.process.take().unwrap().stop();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// SIGKILL to the server and to its database, each by its process id. Not to the receivers:
    /// their drives are well.
    pub(crate) fn kill_server_and_database(&mut self) {
        let data = self.drive(0).join("meta/postgres/data/postmaster.pid");
        let postmaster = std::fs::read_to_string(data).unwrap();
        let postmaster: u32 = postmaster.lines().next().unwrap().parse().unwrap();
        let mut database = children(postmaster);
        database.push(postmaster);
        self.process.take().unwrap().kill();
        for pid in database {
            signal("KILL", pid);
        }
    }

    /// The process ids of the receivers below the drives.
    pub(crate) fn receivers(&self) -> Vec<u32> {
        let folder = self.folder.path().to_str().unwrap();
        let is_ours = |command: &str| command.contains("pg_receivewal") && command.contains(folder);
        processes().filter(|(_, command)| is_ours(command)).map(|(pid, _)| pid).collect()
    }

    /// Waits until both receivers run.
    pub(crate) async fn wait_until_received(&self) {
        let until = Instant::now() + PATIENCE;
        while self.receivers().len() != 2 {
            assert!(Instant::now() < until, "a receiver stays away:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A metric's value; none when it is not there.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let request = Request::get("/metrics").unsigned(&self.admin_address);
        let text = request.send(&self.admin_address).await.text();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Whether commits wait for a copy now.
    pub(crate) async fn is_required(&self) -> bool {
        self.metric("sixfold_metadata_copies_required").await == Some(1.0)
    }

    /// Waits until commits wait for a copy, or until they don't.
    pub(crate) async fn wait_until_required(&self, is_required: bool) {
        let until = Instant::now() + PATIENCE;
        while self.is_required().await != is_required {
            assert!(Instant::now() < until, "required is not {is_required}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until both copies are complete and in step, and commits wait for one.
    pub(crate) async fn wait_until_copied(&self) {
        let until = Instant::now() + PATIENCE;
        while self.metric("sixfold_metadata_copies_in_step").await != Some(2.0) {
            assert!(Instant::now() < until, "the copies are not in step:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.wait_until_required(true).await;
    }

    pub(crate) async fn check(&self, body: Body, target: &str) {
        body.check(&self.address, &signer(), target).await.unwrap();
    }

    /// Everything that the servers said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.try_stop();
        }
    }
}

/// Signs as the root user.
pub(crate) fn signer() -> Signer {
    Signer::new(ACCESS_KEY, SECRET_KEY)
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, pid: u32) {
    // It may have ended by itself.
    drop(Command::new("kill").args(["-s", name, &pid.to_string()]).output());
}

fn processes() -> impl Iterator<Item = (u32, String)> {
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    })
}

/// The children of a process.
fn children(of: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; state and parent follow it.
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        rest.split_whitespace().nth(1) == Some(of.to_string().as_str())
    };
    processes().map(|(pid, _)| pid).filter(is_child).collect()
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
