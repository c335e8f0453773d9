//! A directory and two addresses for `sixfold server`, with nothing of the tests' environment.

use compat_tests::cluster::{Process, binary, free_address, is_ready};
use compat_tests::raw::{Answer, Request, Signer};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take on a busy machine, `initdb` included.
const PATIENCE: Duration = Duration::from_mins(2);

/// See the module.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    pub(crate) admin_address: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sixfold-first-").tempdir().unwrap();
        // The database runs as another account and must be able to pass.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        Self { folder, address: free_address(), admin_address: free_address() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The only DIR.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// `sixfold server` on these directories.
    pub(crate) fn server_on<P: AsRef<Path>>(&self, dirs: impl IntoIterator<Item = P>) -> Command {
        let mut command = sixfold();
        command.arg("server").args(dirs.into_iter().map(|dir| dir.as_ref().to_owned()));
        command.args(["--address", &self.address, "--admin-address", &self.admin_address]);
        command
    }

    /// `sixfold server` on [`Place::data`].
    pub(crate) fn server(&self) -> Command {
        self.server_on([self.data()])
    }

    /// Starts a command of [`Place::server`] and waits until it is ready.
    pub(crate) fn start(&self, command: &mut Command) -> Process {
        let log = self.path(&format!("{:08x}.log", std::process::id()));
        drop(std::fs::remove_file(&log));
        let mut process = Process::start("sixfold", command, &log);
        let until = Instant::now() + PATIENCE;
        while !is_ready(&self.admin_address) {
            if let Some(status) = process.ended() {
                panic!("sixfold ended with {status}:\n{}", process.log_tail());
            }
            assert!(Instant::now() < until, "sixfold is not ready:\n{}", process.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
        process
    }

    /// Sends a signed request.
    pub(crate) async fn send(&self, signer: &Signer, request: Request) -> Answer {
        request.sign(signer, &self.address).send(&self.address).await
    }
}

/// The program without any setting.
pub(crate) fn sixfold() -> Command {
    let mut command = Command::new(binary("sixfold"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("SIXFOLD_LOG_FORMAT", "text");
    command
}

/// Runs a command that must fail, and gives what it said.
#[track_caller]
pub(crate) fn refusal(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "{command:?} was not refused");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Runs a command that must succeed, and gives what it printed.
#[track_caller]
pub(crate) fn answer(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

/// As [`answer`], for what is JSON.
#[track_caller]
pub(crate) fn json(command: &mut Command) -> serde_json::Value {
    let text = answer(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
