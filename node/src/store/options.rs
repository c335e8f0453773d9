//! How a store is opened, and why it may not open.

use super::io::Hook;
use super::journal::Journal;
use sixfold_proto::name::NodeNumber;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Two segments of 64 MiB, so that compaction and tombstones, which give room back, always
/// have some.
pub const DEFAULT_RESERVE_BYTES: u64 = 128 * 1024 * 1024;

/// On a small drive no more than this part of it is kept back.
const LARGEST_RESERVE: u64 = 16;

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// The node's number, where it is known before the store is opened; otherwise
    /// [`super::Store::set_node`] tells it later.
    pub node: NodeNumber,
    /// Free bytes at which puts are refused; at most a sixteenth of the drive.
    pub reserve_bytes: u64,
    /// Whether cells are compared with their checksums right where they are read: for a reader in
    /// the same process, who would do it anyway, but out of another core's cache.
    pub verify_reads: bool,
    /// Where small operations become durable together with those of other drives, if it is on
    /// the same device; without one, each drive syncs its own.
    pub journal: Option<Arc<Journal>>,
    /// For tests: called before every step that changes the drive.
    pub hook: Option<Hook>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            node: NodeNumber(0),
            reserve_bytes: DEFAULT_RESERVE_BYTES,
            verify_reads: false,
            journal: None,
            hook: None,
        }
    }
}

impl StoreOptions {
    /// What is kept back of a drive of `capacity` bytes.
    pub(super) fn reserve_of(&self, capacity: u64) -> u64 {
        self.reserve_bytes.min(capacity / LARGEST_RESERVE)
    }
}

/// Why a drive can't be opened. Each text names the mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by process {holder}: stop it, or name another directory", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds the lock.
        holder: String,
    },
    /// No identity where one should be: no new drive, but not a known one either.
    #[error(
        "{} is no known drive, it has no readable file `sixfold-drive`: mount the drive that \
         belongs there, or restore that file",
        path.display()
    )]
    NoIdentity {
        /// The directory.
        path: PathBuf,
    },
    /// It holds the chunks of another cluster.
    #[error(
        "{} holds the chunks of the cluster {found}, and the database is that of the cluster \
         {asked}: name the database that the drive was filled under (--meta-dir, DATABASE_URL), \
         or empty the directory to give the drive away",
        path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// What it says.
        found: String,
        /// The cluster of the database.
        asked: Uuid,
    },
    /// Its last chunks are in a journal that is not here.
    #[error(
        "{}: what was stored last is in the journal {}, which is not here: start `sixfold server` \
         where the two are together, and stop it, or bring that journal back. If it is lost, \
         remove the file `needs-journal`: up to the last 32 MiB of small chunks may be missing \
         then, and are made anew where enough others are left",
        path.display(),
        journal.display()
    )]
    NoJournal {
        /// The directory.
        path: PathBuf,
        /// The journal.
        journal: PathBuf,
    },
    /// Written by another release.
    #[error(
        "{} has the format {found}, this program knows {}: use a newer release",
        path.display(),
        known
    )]
    Version {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The program's.
        known: u16,
    },
    /// The system refused.
    #[error(
        "{} can't be opened by user {uid}: {source}: check that it exists, is mounted and belongs \
         to that user",
        path.display()
    )]
    Io {
        /// The directory.
        path: PathBuf,
        /// The user of this process.
        uid: u32,
        /// The system's error.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), uid: rustix::process::geteuid().as_raw(), source }
    }
}
