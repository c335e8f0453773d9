//! Synchronous copies of the write-ahead log (WAL) on other drives, a base backup beside each.
//!
//! They promise: while a copy is *required*, a commit is acknowledged only once a copy has synced
//! it; and the newest copy alone is enough to make the database anew ([`super::recover`]). A
//! commit never hangs for a copy: when none keeps up for a named time, none is required until one
//! has caught up again, and an alarm says so. They do not protect against a deleted row.
//!
//! ```text
//! DIR/meta-copy/         ours
//!   copy.json            which of the copies this is, and of which database
//!   postgres/            the database account's, 0700
//!     1/                 a generation: WAL without a gap
//!       wal/             pg_receivewal's: segments, the newest ".partial"
//!       base-0…06/       pg_basebackup's, synced and verified, named by its first segment
//!       base.new/        one that is being taken
//! ```
//!
//! A generation ends when PostgreSQL no longer has what its receiver needs next, or when its files
//! are gone; it is removed when its successor has a base backup.

mod base;
mod choose;
mod files;
mod judge;
mod present;
mod receiver;
mod wal;
mod watch;

pub(super) use base::{VERIFY, verify};
use choose::Seat;
pub use choose::{Candidate, CopyPolicy, Place, choose};
pub use files::seat_at;
pub(super) use files::{CopyFound, find};

use super::{Cluster, PostgresError, options};
use receiver::{Receiver, Seen};
use sqlx::{ConnectOptions, PgConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch as channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The role of the receivers: it may replicate and read no row.
pub(super) const ROLE: &str = "sixfold_copy";

/// The longest that a question to the database may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// The longest that the receivers may take to end in order.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How well the rows are protected against the loss of their drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Copies from which the database could be made anew, up to the last moments.
    pub in_step: usize,
    /// Whether a commit waits until one of them has it.
    pub is_required: bool,
}

/// The copies of a running server. Dropped, they end with it.
#[derive(Debug)]
pub(super) struct Copies {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    protection: channel::Receiver<Protection>,
}

impl Copies {
    /// Keeps one in each of the places.
    pub(super) fn keep(cluster: &Arc<Cluster>, places: Vec<Place>, renew_after: u64) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        // One base backup at a time: each reads the whole database.
        let turn = Arc::new(Semaphore::new(1));
        let mut seen = Vec::new();
        for place in places {
            let its = Arc::new(Seen::new(&place));
            seen.push(Arc::clone(&its));
            let (cluster, turn) = (Arc::clone(cluster), Arc::clone(&turn));
            let chosen = present::Identity::of(&place.dir).ok();
            let receiver = Receiver { cluster, place, chosen, renew_after, seen: its, turn };
            let (runtime, stop) = (Handle::current(), stop.clone());
            // It looks at its drive all the time: one that hangs holds this thread and no other.
            tasks.spawn_blocking(move || runtime.block_on(receiver.keep(stop)));
        }
        let (report, protection) = channel::channel(Protection::default());
        tasks.spawn(watch::watch(Arc::clone(cluster), seen, report, stop.clone()));
        Self { stop, tasks, protection }
    }

    /// Waits until a commit is on a copy when it is acknowledged, or for so long.
    pub(super) async fn settled(&self, patience: Duration) -> Protection {
        let mut protection = self.protection.clone();
        let required = protection.wait_for(|now| now.is_required);
        // Late or gone, what there is by now is the answer.
        let _ = tokio::time::timeout(patience, required).await.map(|found| found.map(|_| ()));
        *protection.borrow()
    }

    /// Requires no copy any more and ends the receivers.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(STOP_LIMIT, async {
            while self.tasks.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            tracing::warn!("the receivers of the metadata's copies did not end in time");
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Connects as the superuser. What it commits waits for no copy: it is what mends them.
async fn connect(cluster: &Cluster) -> Result<PgConnection, PostgresError> {
    let options = options(&cluster.sockets, "postgres").options([("synchronous_commit", "local")]);
    match tokio::time::timeout(ASK_LIMIT, options.connect()).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(late().into()),
    }
}

fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Which copies are required, for the server's configuration; none is an empty list.
pub(super) fn required(seats: &[Seat]) -> String {
    let names: Vec<_> = seats.iter().map(|seat| seat.slot()).collect();
    if names.is_empty() {
        return "synchronous_standby_names = ''\n".to_owned();
    }
    format!("synchronous_standby_names = 'ANY 1 ({})'\n", names.join(", "))
}

/// Syncs a directory, so that the names in it last.
fn sync_dir(dir: &Path) -> Result<(), PostgresError> {
    use super::error::IoContext;
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).at("sync", dir)
}
