//! What a test says it needs.

use super::NODE_COUNT;

/// Which processes make up the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One `sixfold server`.
    Embedded,
    /// PostgreSQL, a gateway and six nodes, each a process.
    Separate,
}

impl Form {
    /// Both, for a test that goes through them in turn.
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Separate];
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) form: Form,
    pub(super) environment: Vec<(String, String)>,
    pub(super) node_arguments: Vec<String>,
    pub(super) drive_mib: Option<[u64; NODE_COUNT]>,
    /// The nodes' zones, one after the other and again.
    pub(super) zones: Vec<String>,
    /// The drives that an embedded server is given, each by itself; none: one directory for all.
    pub(super) directories: Vec<usize>,
}

impl Plan {
    /// The form with the default settings.
    pub fn new(form: Form) -> Self {
        let (environment, node_arguments) = (Vec::new(), Vec::new());
        let (zones, directories) = (Vec::new(), Vec::new());
        Self { form, environment, node_arguments, drive_mib: None, zones, directories }
    }

    /// Sets an environment variable of every process.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds arguments to the command line of every node process.
    #[must_use]
    pub fn node_arguments(mut self, arguments: &[&str]) -> Self {
        self.node_arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Makes each drive a file system of its own of so many MiB.
    #[must_use]
    pub fn drives_of_mib(mut self, sizes: [u64; NODE_COUNT]) -> Self {
        self.drive_mib = Some(sizes);
        self
    }

    /// Puts the nodes into these zones in turn. Only in the separate form.
    #[must_use]
    pub fn zones(mut self, zones: &[&str]) -> Self {
        self.zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        self
    }

    /// Gives `sixfold server` so many directories, one for each node. Only in the embedded form.
    #[must_use]
    pub fn directories(mut self, count: usize) -> Self {
        self.directories = (0..count).collect();
        self
    }
}
