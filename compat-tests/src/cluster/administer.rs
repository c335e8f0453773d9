//! Commands of administration on a running server.

use super::{Form, Server};
use std::process::Output;

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
    /// When it is no list.
    pub fn node_list(&self) -> Vec<serde_json::Value> {
        let output = self.administer(&["node", "list", "--json"]);
        serde_json::from_slice(&output.stdout).expect("a list of nodes")
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
