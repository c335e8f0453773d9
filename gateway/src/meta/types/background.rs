//! What an operator sees of background work.

use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{CopyNumber, NodeNumber};

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

/// What waits for background work, each counted to [`crate::meta::BACKLOG_LIMIT`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlogs {
    /// Extents with chunks missing that can lose another one.
    pub degraded: u64,
    /// Extents that can lose no chunk more.
    pub at_risk: u64,
    /// Extents that can't be read now.
    pub unrecoverable: u64,
    /// Bodies without references.
    pub freed_bodies: u64,
    /// How many seconds ago the first of them was freed.
    pub freed_s_ago: f64,
    /// Uploads under way.
    pub uploads: u64,
    /// How many seconds ago the first of them began.
    pub upload_s_ago: f64,
    /// Leases that are held.
    pub leases: u64,
}

/// A node that keeps what no row wants, because the database went back in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantine {
    /// The node.
    pub node: NodeNumber,
    /// It keeps copies up to this number.
    pub kept: CopyNumber,
    /// For how many seconds.
    pub for_s: f64,
    /// How many of them no row wants, by the last sweep; `None` before it.
    pub chunks: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
}
