//! The chunk store of one drive: a chunk that it acknowledged is durable and comes back as it
//! was or with an error, never silently altered.
//!
//! Chunks above [`SMALL_CHUNK_BYTES`] are files of their own (`file`), smaller ones records in
//! segments (`segment`). Both have one format (`format`), which carries a version. The index of
//! all chunks is in memory (`index`) and is rebuilt at start from file names and from the ends
//! of the segments. All changes of the drive go through `io`, where tests make them fail.
//!
//! Absent on purpose: any path made from what a client sent, any repair (the gateways heal),
//! any clock in what is kept or how it is found again.

mod calls;
mod condition;
mod copies;
mod drive;
mod file;
mod format;
mod history;
mod index;
mod io;
mod journal;
mod names;
mod notes;
mod options;
mod put;
mod read;
mod record;
mod recover;
mod segment;
mod sync;
mod threads;
mod verify;

pub use io::{Hook, Step};
pub use journal::Journal;
pub use notes::Note;
pub use options::{DEFAULT_RESERVE_BYTES, OpenError, StoreOptions};

use crate::metrics::DriveMetrics;
use copies::CopyNumbers;
use drive::{Drive, Room};
use index::{Index, Place};
use segment::Segments;
use segment::writer::seal_found;
use sixfold_proto::chunks::{DriveState, NodeError};
use sixfold_proto::name::{CopyNumber, NodeNumber};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use sync::DirectorySync;
use threads::Threads;
use uuid::Uuid;

/// The most bytes of data that make a chunk a small one.
pub const SMALL_CHUNK_BYTES: usize = 256 * 1024;

/// How many cells are read or written with one call to the system: 1 MiB at full size.
const CELLS_PER_RUN: u32 = 4;

/// The chunks of one drive.
pub struct Store {
    inner: Arc<Inner>,
    threads: Threads,
}

/// What all calls of a store share.
struct Inner {
    drive: Drive,
    io: io::Io,
    options: StoreOptions,
    index: Arc<Mutex<Index>>,
    copies: CopyNumbers,
    directories: DirectorySync,
    segments: Segments,
    /// A sync failed, or a newer process took the drive's place.
    fenced: AtomicBool,
    draining: AtomicBool,
    /// What the drive remembers of the database's history.
    marks: Mutex<history::Marks>,
    /// Pieces that callers read and wrote.
    activity: AtomicU64,
    node: AtomicU16,
    /// What calls count; from when the node has a number.
    metrics: OnceLock<DriveMetrics>,
}

impl Store {
    /// Whether a directory is a drive already; [`Store::open`] would make one of it otherwise.
    pub fn is_drive(directory: &Path) -> bool {
        drive::has_identity(directory)
    }

    /// Whether a directory is a drive that holds, or held, the chunks of a cluster.
    pub fn is_taken(directory: &Path) -> bool {
        drive::is_taken(directory)
    }

    /// Opens the drive in `directory`, or makes it one, and reads what is on it. Blocks.
    pub fn open(directory: &Path, mut options: StoreOptions) -> Result<Self, OpenError> {
        let fail = |source| OpenError::io(directory, source);
        let io = io::Io::new(options.hook.clone());
        let drive = Drive::open(directory, &io)?;
        let journal = options.journal.take();
        let mark = journal::restore(&drive, journal.as_deref().map(Journal::folder), &io)?;
        // What a killed process left may be in memory only. From here on it counts as stored, and
        // older copies give way to it.
        io.sync_file_system(directory).map_err(fail)?;
        let found = recover::recover(&drive, &io).map_err(fail)?;
        let copies = CopyNumbers::open(directory, &io, found.highest_copy).map_err(fail)?;
        let marks = history::Marks::load(directory).map_err(fail)?;
        let node = AtomicU16::new(options.node.0);
        let inner = Arc::new(Inner {
            drive,
            io,
            options,
            index: Arc::new(Mutex::new(found.index)),
            copies,
            directories: DirectorySync::default(),
            segments: found.segments,
            fenced: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            marks: Mutex::new(marks),
            activity: AtomicU64::new(0),
            node,
            metrics: OnceLock::new(),
        });
        let (active, next) = (found.active, found.next_segment);
        let active = if found.seal_active { seal_found(&inner, active) } else { active };
        let joined = journal.as_ref().map(|journal| journal.join(&inner, mark.as_ref()));
        let member = joined.transpose()?.flatten();
        let threads = Threads::start(&inner, active, next, journal.zip(member)).map_err(fail)?;
        Ok(Self { inner, threads })
    }

    /// The id that the drive carries, whatever its path.
    pub fn drive_id(&self) -> Uuid {
        self.inner.drive.id()
    }

    /// Takes the drive for a cluster: the first one is remembered, and any other is refused.
    /// Blocks; to be called before the first chunk is put or deleted.
    pub fn join(&self, cluster: Uuid) -> Result<(), OpenError> {
        self.inner.drive.join(cluster, &self.inner.io)
    }

    /// The device that the directory is on: stores of one device share its fate.
    pub fn device(&self) -> u64 {
        self.inner.drive.device()
    }

    /// Tells the store the number that the registry gave to it.
    pub fn set_node(&self, node: NodeNumber) {
        self.inner.node.store(node.0, Ordering::Relaxed);
        self.inner.metrics.get_or_init(|| DriveMetrics::of(node));
    }

    /// The number that the store was told; 0 before.
    pub fn node(&self) -> NodeNumber {
        NodeNumber(self.inner.node.load(Ordering::Relaxed))
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.inner.segments.count()
    }

    /// Refuses puts, or takes them again.
    pub fn set_draining(&self, draining: bool) {
        self.inner.draining.store(draining, Ordering::Relaxed);
    }

    /// Refuses all changes from now on: another process took this drive's place.
    pub fn fence(&self) {
        self.inner.fenced.store(true, Ordering::Release);
    }

    /// Makes the drive whole without the journal that it shares; to be called before the process
    /// ends, since what still runs then keeps the store.
    pub async fn leave_journal(&self) {
        self.threads.leave_journal().await;
    }
}

impl Inner {
    fn state(&self, free: u64, kept_back: u64) -> DriveState {
        if self.fenced.load(Ordering::Acquire) {
            DriveState::Fenced
        } else if self.draining.load(Ordering::Relaxed) {
            DriveState::Draining
        } else if free <= kept_back {
            DriveState::Full
        } else {
            DriveState::Ok
        }
    }

    /// The drive's size and free bytes. A drive that hangs holds up who asks, and no thread that
    /// others need.
    async fn room(self: &Arc<Self>) -> Result<Room, NodeError> {
        let turn = self.drive.turn().await;
        if let Some(room) = self.drive.recent_room() {
            return Ok(room);
        }
        let inner = Arc::clone(self);
        blocking(move || {
            let _turn = turn;
            inner.room_blocking()
        })
        .await
    }

    fn room_blocking(&self) -> Result<Room, NodeError> {
        self.drive.room().map_err(|error| unavailable("the drive's size", &error))
    }

    /// Refuses a put by the drive's state, before any byte.
    async fn refuse_when_not_writable(self: &Arc<Self>) -> Result<(), NodeError> {
        let (capacity, free) = match self.drive.recent_room() {
            Some(room) => room,
            None => self.room().await?,
        };
        match self.state(free, self.options.reserve_of(capacity)) {
            DriveState::Ok => Ok(()),
            DriveState::Full => Err(NodeError::Full),
            DriveState::Fenced => Err(NodeError::Fenced),
            DriveState::Draining => Err(NodeError::Draining),
        }
    }

    fn refuse_when_fenced(&self) -> Result<(), NodeError> {
        if self.fenced.load(Ordering::Acquire) { Err(NodeError::Fenced) } else { Ok(()) }
    }

    /// The result of a write: no room is passing, a write that the drive fails is not.
    fn written<T>(&self, result: std::io::Result<T>) -> Result<T, NodeError> {
        result.map_err(|error| {
            if io::is_no_space(&error) {
                return NodeError::Full;
            }
            if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
                return self.fence(&error);
            }
            unavailable("writing", &error)
        })
    }

    /// The result of a sync, which is final: after a failure nobody knows what is on the drive.
    fn synced<T>(&self, result: std::io::Result<T>) -> Result<T, NodeError> {
        result.map_err(|error| self.fence(&error))
    }

    fn fence(&self, error: &std::io::Error) -> NodeError {
        if !self.fenced.swap(true, Ordering::AcqRel) {
            tracing::error!(
                %error,
                drive.id = %self.drive.id(),
                path = %self.drive.root().display(),
                "the drive failed a write or sync and is fenced: it serves reads only"
            );
        }
        NodeError::Fenced
    }

    fn take_copy(&self) -> Result<CopyNumber, NodeError> {
        self.written(self.copies.take())
    }

    /// Removes what a new copy replaced. A failure leaves the old copy behind, which the next
    /// start removes; the new one is durable already.
    fn discard(&self, old: &index::Located) {
        let result = match old.place {
            Place::File => {
                let folder = self.drive.chunk_folder(names::folder(old.entry.name));
                self.io.remove(&folder.join(names::file_name(&old.entry)))
            }
            Place::Segment { .. } => {
                self.segments.count_dead(old);
                self.segments.bury_record_of(old);
                Ok(())
            }
        };
        if let Err(error) = result {
            tracing::warn!(%error, chunk.name = %old.entry.name, "a replaced copy stays behind");
        }
    }
}

fn unavailable(what: &str, error: &std::io::Error) -> NodeError {
    NodeError::Unavailable(format!("{what}: {error}"))
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(NodeError::Unavailable(format!("the call was cut off: {error}"))),
    }
}

/// Locks; a panic of another thread can't leave these structures half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
