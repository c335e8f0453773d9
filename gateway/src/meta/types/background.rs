//! What an operator sees of background work.

use sixfold_proto::jobs::JobReport;

/// How a job was in one process when that last told.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStanding {
    /// The process: `HOST:PORT` of a server or gateway, or the number of a node.
    pub process: String,
    /// What it told.
    pub report: JobReport,
    /// How many seconds ago, by the database's clock.
    pub silent_for: f64,
}
