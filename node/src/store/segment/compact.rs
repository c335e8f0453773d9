//! Compaction gives the room of deleted small chunks back: a segment of which nothing is needed
//! is removed at once, one of which less than half is needed is copied, synced, switched over
//! and then removed. Small segments, which crashes leave, are merged in the same way.

use super::queue::{Operation, Request};
use super::{Segments, scan};
use crate::store::format::{HEADER_BYTES, Header, IndexEntry, Subject};
use crate::store::index::{Located, Place};
use crate::store::io::read_at;
use crate::store::record::ClosedRecord;
use crate::store::{Inner, lock};
use sixfold_proto::chunks::NodeError;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often is looked for work when nobody wakes the thread.
const IDLE: Duration = Duration::from_secs(1);

/// The segment that is written is sealed early for compaction once it is this large and less
/// than a quarter of it is needed; below that it is not worth the effort.
pub(super) const ACTIVE_WASTE_BYTES: u64 = 256 * 1024;

/// How much is copied at a time; puts wait no longer than for that.
const STEP_BYTES: usize = 4 * 1024 * 1024;

/// Why compaction stops until the next wake-up.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("reading or removing a segment: {0}")]
    Io(#[from] io::Error),
    #[error("writing: {0}")]
    Write(#[from] NodeError),
    #[error("the store is closed")]
    Closed,
}

/// Works until the store is closed.
pub(in crate::store) fn run(
    inner: &Arc<Inner>,
    operations: &mpsc::Sender<Operation>,
    wake: &Receiver<()>,
    ending: &AtomicBool,
) {
    loop {
        let woken = wake.recv_timeout(IDLE);
        if ending.load(Ordering::Relaxed) || woken == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        match work(inner, operations, ending) {
            Ok(()) | Err(Stopped::Closed | Stopped::Write(NodeError::Fenced)) => {}
            Err(error) => tracing::warn!(%error, "compaction waits"),
        }
    }
}

fn work(
    inner: &Arc<Inner>,
    operations: &mpsc::Sender<Operation>,
    ending: &AtomicBool,
) -> Result<(), Stopped> {
    inner.refuse_when_fenced()?;
    if inner.segments.has_burials() {
        ask(operations, Request::Bury)?;
    }
    loop {
        inner.refuse_when_fenced()?;
        remove_empty(inner)?;
        if ending.load(Ordering::Relaxed) {
            return Err(Stopped::Closed);
        }
        if inner.segments.active_is_wasteful() {
            ask(operations, Request::Seal)?;
            continue;
        }
        let segments = &inner.segments;
        let next = segments.most_wasteful().or_else(|| segments.smallest_of_many());
        let Some(number) = next else { return Ok(()) };
        copy(inner, operations, number)?;
    }
}

fn ask(operations: &mpsc::Sender<Operation>, request: Request) -> Result<(), Stopped> {
    let (reply, answer) = oneshot::channel();
    operations.blocking_send(Operation { request, reply }).map_err(|_| Stopped::Closed)?;
    answer.blocking_recv().map_err(|_| Stopped::Closed)??;
    Ok(())
}

/// Removes the files of empty segments. Only when that is durable are their tombstones given
/// up, which may empty further ones.
fn remove_empty(inner: &Inner) -> Result<(), Stopped> {
    let segments: &Segments = &inner.segments;
    loop {
        let empty = segments.empty();
        if empty.is_empty() {
            return Ok(());
        }
        for number in &empty {
            inner.io.remove(&segments.path(*number))?;
        }
        inner.synced(segments.sync_names(&inner.io))?;
        for number in empty {
            segments.forget(number);
        }
    }
}

/// Copies what is needed of a segment into the one that is written.
fn copy(
    inner: &Arc<Inner>,
    operations: &mpsc::Sender<Operation>,
    number: u32,
) -> Result<(), Stopped> {
    let file = inner.segments.file(number)?;
    let contents = scan::scan(&file, number, false, inner.drive.key())?;
    let (mut chunks, mut tombstones, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in contents.entries {
        match entry.header.subject {
            Subject::Chunk { .. } => {
                let Some(from) = current(inner, number, &entry) else { continue };
                let Some(record) = read_record(inner, &file, &entry)? else { continue };
                // The old record's tombstone goes into the next batch.
                bytes += record.size() + HEADER_BYTES;
                chunks.push((from, record));
            }
            Subject::Tombstone { segment, offset } => {
                if segment != number && inner.segments.contains(segment) {
                    let Header { name, copy, .. } = entry.header;
                    let record = ClosedRecord::tombstone(name, copy, segment, offset);
                    bytes += record.size();
                    tombstones.push(record);
                }
            }
        }
        if bytes >= STEP_BYTES {
            let (chunks, tombstones) =
                (std::mem::take(&mut chunks), std::mem::take(&mut tombstones));
            ask(operations, Request::Move { chunks, tombstones })?;
            bytes = 0;
        }
    }
    ask(operations, Request::Move { chunks, tombstones })?;
    // All its tombstones stand elsewhere now. What is still counted as needed has a damaged
    // header, and copying the rest again and again would not find it.
    inner.segments.change(number, |segment| {
        segment.tombstones.clear();
        segment.compacted = true;
    });
    tracing::debug!(segment.number = number, "a segment was compacted");
    Ok(())
}

/// The chunk whose current record this is.
fn current(inner: &Inner, number: u32, entry: &IndexEntry) -> Option<Located> {
    let place = Place::Segment { segment: number, offset: entry.offset };
    lock(&inner.index).get(entry.header.name).filter(|located| located.place == place)
}

/// Reads a record as it is. A rotten one is told and copied all the same: its whole cells are
/// of use, and its checksums go with it. One that is cut short can't be kept.
fn read_record(
    inner: &Inner,
    file: &File,
    entry: &IndexEntry,
) -> Result<Option<ClosedRecord>, Stopped> {
    let name = entry.header.name;
    let length = entry.header.record_bytes().unwrap_or(0);
    let bytes = read_at(file, u64::from(entry.offset), length)?;
    if length == 0 || bytes.len() != length {
        tracing::error!(chunk.name = %name, "a small chunk is cut short and lost; heal will see");
        if let Some(lost) = lock(&inner.index).remove(name) {
            inner.segments.count_dead(&lost);
        }
        return Ok(None);
    }
    if !scan::is_whole(&bytes, &entry.header) {
        tracing::error!(chunk.name = %name, "a small chunk is rotten; the scrub will name its cells");
    }
    Ok(Some(ClosedRecord::moved(entry.header, bytes)))
}
