//! A child process that can be stopped, frozen and killed, and never outlives the test.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end after SIGTERM before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// The same at the end of a test, whose outcome no longer depends on it.
const DROP_PATIENCE: Duration = Duration::from_secs(10);

/// A running process with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; both its outputs go to `log`, appended.
    ///
    /// # Panics
    /// When the program can't be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a log file")).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}: {command:?}"));
        Self { name: name.into(), child, log: log.into() }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child to wait for")
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child to kill");
        self.child.wait().expect("a child to wait for");
    }

    /// SIGTERM, then waits for the end, at most 30 s.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(STOP_PATIENCE)
    }

    /// SIGTERM, and SIGKILL when that does not end it: for the end of a test, where nothing may fail.
    pub fn try_stop(&mut self) {
        let is_running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if !is_running(&mut self.child) {
            return;
        }
        self.signal("TERM");
        let until = Instant::now() + DROP_PATIENCE;
        while is_running(&mut self.child) {
            if Instant::now() > until {
                drop(self.child.kill());
                drop(self.child.wait());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGQUIT, then waits for the end: PostgreSQL ends at once, with all its processes.
    pub fn quit(&mut self) -> ExitStatus {
        self.signal("QUIT");
        self.wait(STOP_PATIENCE)
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// When it doesn't in time; it is killed then.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.ended() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        panic!("{} did not end within {patience:?}; its log:\n{}", self.name, self.log_tail());
    }

    /// SIGSTOP: alive, connected and silent.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Resident memory in bytes: now, and at its highest.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn resident_bytes(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("a running process");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a memory line");
            let kib: u64 = line.split_whitespace().nth(1).expect("a size").parse().expect("KiB");
            kib * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// The end of its output, for a failure's message.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill");
        assert!(status.success() || status.signal().is_none(), "kill -s {signal} {pid}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A frozen process takes SIGKILL too.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
