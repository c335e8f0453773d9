//! More than a plan has: a further gateway, nodes that join later, directories that are left out.

use super::process::Process;
use super::{START_PATIENCE, Server, free_address, is_ready};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A `sixfold gateway` beside the server's own, on the same PostgreSQL and nodes.
#[derive(Debug)]
pub struct Gateway {
    address: String,
    admin_address: String,
    log: PathBuf,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Gateway {
    /// Starts one and waits until it is ready. Only in the separate form.
    ///
    /// # Panics
    /// When it isn't ready in time.
    pub fn beside(server: &Server) -> Self {
        Self::beside_with(server, &[])
    }

    /// As [`Gateway::beside`], with an environment that differs from the server's.
    ///
    /// # Panics
    /// As [`Gateway::beside`].
    pub fn beside_with(server: &Server, environment: &[(&str, &str)]) -> Self {
        let (address, admin_address) = (free_address(), free_address());
        let port = address.rsplit(':').next().unwrap_or_default();
        let log = server.folder().join(format!("gateway-{port}.log"));
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(own).collect();
        let mut gateway = Self { address, admin_address, log, environment, process: None };
        gateway.start(server);
        gateway
    }

    /// Host and port of its health and metrics.
    pub fn admin_address(&self) -> &str {
        &self.admin_address
    }

    /// Host and port of its S3 listener.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    ///
    /// # Panics
    /// When it was killed and not started again.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running gateway")
    }

    /// Starts it anew on the same ports, and waits until it is ready.
    ///
    /// # Panics
    /// When it ends, or isn't ready in time.
    pub fn start(&mut self, server: &Server) {
        assert!(self.process.is_none(), "the gateway runs");
        let mut command = server.gateway_command_at(&self.address, &self.admin_address);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start("sixfold", &mut command, &self.log));
        let until = Instant::now() + START_PATIENCE;
        while !is_ready(&self.admin_address) {
            let status = self.process().ended();
            assert!(status.is_none(), "sixfold ended:\n{}", self.process().log_tail());
            assert!(Instant::now() < until, "not ready:\n{}", self.process().log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn kill(&mut self) {
        self.process.take().expect("a running gateway").kill();
    }

    /// SIGTERM; it must end well.
    ///
    /// # Panics
    /// When it doesn't run, or ends badly.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("a running gateway").stop();
        assert!(status.success(), "the gateway ended with {status}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.try_stop();
        }
    }
}

impl Server {
    /// Starts one more node, on a drive of its own; answers its index, by which it may be taken
    /// away and given back as the first six. Only in the separate form.
    ///
    /// # Panics
    /// When its folder can't be made.
    pub fn add_node(&mut self) -> usize {
        let index = self.nodes.len();
        std::fs::create_dir_all(self.drive(index)).expect("a drive");
        self.nodes.push(None);
        self.start_node(index);
        index
    }

    /// SIGTERM to a node, which must end well; [`Server::give_back`] starts it again.
    ///
    /// # Panics
    /// When it doesn't run, or ends badly.
    pub fn stop_node(&mut self, index: usize) {
        let status = self.nodes[index].take().expect("a running node").stop();
        assert!(status.success(), "node {index} ended with {status}");
    }

    /// The directories that `sixfold server` is started with.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        match &self.plan.directories[..] {
            [] => vec![self.folder().join("data")],
            indexes => indexes.iter().map(|index| self.drive(*index)).collect(),
        }
    }

    /// Names a directory no more when `sixfold server` is started again.
    pub fn leave_out(&mut self, index: usize) {
        self.plan.directories.retain(|named| *named != index);
    }

    /// Whether every node was heard of lately and its drive can be read.
    pub fn are_all_nodes_up(&self, within_s: f64) -> bool {
        let is_up = |row: &serde_json::Value| {
            row["is_up"] == true && row["silent_for_s"].as_f64().is_some_and(|s| s < within_s)
        };
        self.node_list().iter().all(is_up)
    }

    /// How many nodes were started.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }
}
