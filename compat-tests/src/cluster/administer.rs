//! Commands of administration on a running server.

use super::{Form, Server};
use std::process::Output;
use std::time::{Duration, Instant};

/// How long a list is asked for, again and again.
const LIST_PATIENCE: Duration = Duration::from_mins(1);

impl Server {
    /// What `sixfold` answers to a command of administration.
    ///
    /// # Panics
    /// When it can't be run.
    pub fn administer(&self, arguments: &[&str]) -> Output {
        let mut command = self.command("sixfold");
        command.args(arguments);
        if self.plan.form == Form::Embedded {
            command.arg("--dir").arg(self.folder().join("meta"));
        }
        command.output().expect("sixfold")
    }

    /// What `sixfold node list --json` says.
    ///
    /// # Panics
    /// When it says nothing for too long.
    pub fn node_list(&self) -> Vec<serde_json::Value> {
        self.list(&["node", "list", "--json"])
    }

    /// What `sixfold job list --json` says.
    ///
    /// # Panics
    /// As [`Server::node_list`].
    pub fn job_list(&self) -> Vec<serde_json::Value> {
        self.list(&["job", "list", "--json"])
    }

    /// Asks until there is an answer: on a busy machine the command gives up before the database
    /// has answered it.
    fn list(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let until = Instant::now() + LIST_PATIENCE;
        loop {
            let output = self.administer(arguments);
            if let Ok(list) = serde_json::from_slice(&output.stdout) {
                return list;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "sixfold {arguments:?}: {said}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// What `sixfold status --json` says.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn status(&self) -> serde_json::Value {
        let output = self.administer(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).expect("a status")
    }
}
