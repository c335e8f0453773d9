//! How often each job runs and how old things must be. Tests override them all.

use std::time::Duration;

/// When a job's unit of work runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPace {
    /// Before the first one.
    pub first_after: Duration,
    /// After one that left nothing to do.
    pub every: Duration,
    /// After one that left more to do.
    pub between: Duration,
}

/// The paces and ages of all jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paces {
    /// How often freed bodies are looked for.
    pub collect: JobPace,
    /// How long a body was free at least: reads that began just before publish themselves by then.
    pub collect_after: Duration,
    /// How often the nodes' chunks are compared with the rows.
    pub sweep: JobPace,
    /// How often missing chunks are looked for.
    pub heal: JobPace,
    /// How often is looked whether a check was asked for, and how what it found is.
    pub check: JobPace,
    /// How often chunks that should be on another node are looked for.
    pub rebalance: JobPace,
    /// How often idle uploads are looked for.
    pub expire_uploads: JobPace,
    /// How long an upload may be idle.
    pub upload_idle: Duration,
    /// How often silent leases are looked for.
    pub end_leases: JobPace,
    /// How long a lease was not renewed at least: three renewals missed.
    pub lease_silent: Duration,
}

impl Default for Paces {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let breath = Duration::from_millis(10);
        Self {
            collect: JobPace { first_after: seconds(5), every: seconds(5), between: breath },
            collect_after: seconds(60),
            // A page of a thousand chunks costs one statement; a drive of 10 million, half an hour.
            sweep: JobPace {
                first_after: seconds(75),
                every: seconds(180),
                between: Duration::from_millis(100),
            },
            heal: JobPace { first_after: seconds(10), every: seconds(10), between: breath },
            check: JobPace { first_after: seconds(1), every: seconds(1), between: breath },
            rebalance: JobPace { first_after: seconds(10), every: seconds(10), between: breath },
            expire_uploads: JobPace {
                first_after: seconds(60),
                every: seconds(300),
                between: breath,
            },
            upload_idle: seconds(7 * 24 * 3600),
            end_leases: JobPace { first_after: seconds(20), every: seconds(20), between: breath },
            lease_silent: seconds(60),
        }
    }
}
