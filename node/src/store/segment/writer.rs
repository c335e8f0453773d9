//! The one thread that appends to a drive's segments. It takes whatever waits, writes it with
//! one call and syncs it with another: writers that come while a sync runs share the next one.

use super::{Burial, MAX_RECORDS, SEGMENT_BYTES, Segment};
use crate::store::format::{INDEX_ENTRY_BYTES, IndexEntry, Subject, TRAILER_BYTES, encode_index};
use crate::store::index::{Claim, Located, Place};
use crate::store::record::ClosedRecord;
use crate::store::{Inner, lock};
use sixfold_proto::chunks::{ChunkEntry, NodeError};
use std::fs::File;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tokio::sync::{mpsc, oneshot};

/// Operations that wait for the thread; more wait for their turn in `send`.
pub(in crate::store) const QUEUE: usize = 1024;

/// A batch is closed at this many bytes: at most this much is unsynced at any time.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What a record means once it is durable.
pub(in crate::store) enum Effect {
    /// A new chunk.
    Insert { entry: ChunkEntry },
    /// A chunk in another place.
    Move { from: Located },
    /// A tombstone.
    Bury { target: u32 },
}

/// What the thread is asked to do.
pub(in crate::store) enum Request {
    /// Append a new chunk, which takes the place of what has its name.
    Put { record: ClosedRecord, entry: ChunkEntry, claim: Claim },
    /// Delete the current chunk of this name.
    Delete { entry: ChunkEntry, claim: Claim },
    /// Append chunks at a new place, and tombstones; in a batch of their own, so that no
    /// deletion in the same batch can mean the old place.
    Move { chunks: Vec<(Located, ClosedRecord)>, tombstones: Vec<ClosedRecord> },
    /// Seal the segment that is written.
    Seal,
    /// Write the tombstones that wait.
    Bury,
}

/// A request and who waits for it.
pub(in crate::store) struct Operation {
    pub(in crate::store) request: Request,
    pub(in crate::store) reply: oneshot::Sender<Result<(), NodeError>>,
}

/// The segment that is written.
pub(in crate::store) struct Active {
    pub(in crate::store) number: u32,
    pub(in crate::store) file: Arc<File>,
    /// Where the next record goes.
    pub(in crate::store) end: u64,
    /// The number of the last sync.
    pub(in crate::store) batch: u32,
    /// Its records, for the index.
    pub(in crate::store) entries: Vec<IndexEntry>,
}

/// A record on its way.
struct Append {
    record: ClosedRecord,
    effect: Effect,
    /// The operation that it belongs to.
    operation: usize,
}

/// The thread's state.
pub(in crate::store) struct Writer {
    inner: Arc<Inner>,
    active: Option<Active>,
    next_number: u32,
    wake_compaction: SyncSender<()>,
}

/// An operation of the batch under way: who waits, and its claim until it is over.
struct Waiting {
    reply: oneshot::Sender<Result<(), NodeError>>,
    result: Result<(), NodeError>,
    claim: Option<Claim>,
}

impl Writer {
    pub(in crate::store) fn new(
        inner: Arc<Inner>,
        active: Option<Active>,
        next_number: u32,
        wake_compaction: SyncSender<()>,
    ) -> Self {
        Self { inner, active, next_number, wake_compaction }
    }

    /// Serves until every sender is gone.
    pub(in crate::store) fn run(mut self, mut operations: mpsc::Receiver<Operation>) {
        let mut held_over = None;
        while let Some(first) = held_over.take().or_else(|| operations.blocking_recv()) {
            let mut batch = vec![first];
            let mut bytes = weight(&batch[0].request);
            while !stands_alone(&batch[0].request) && bytes < BATCH_BYTES {
                match operations.try_recv() {
                    Ok(next) if stands_alone(&next.request) => {
                        held_over = Some(next);
                        break;
                    }
                    Ok(next) => {
                        bytes += weight(&next.request);
                        batch.push(next);
                    }
                    Err(_) => break,
                }
            }
            self.serve(batch);
        }
    }

    fn serve(&mut self, batch: Vec<Operation>) {
        let mut appends = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        let adds_only = batch.iter().all(|op| matches!(op.request, Request::Put { .. }));
        for Operation { request, reply } in batch {
            let operation = waiting.len();
            let (result, claim) = self.prepare(request, operation, &mut appends);
            waiting.push(Waiting { reply, result, claim });
        }
        let burials = self.inner.segments.take_burials();
        let bury = |burial: &Burial| Append {
            record: tombstone(burial),
            effect: Effect::Bury { target: burial.segment },
            operation: usize::MAX,
        };
        appends.extend(burials.iter().map(bury));
        if let Err(failed) = self.append(appends, &mut waiting) {
            tracing::warn!(error = %failed, "tombstones wait for the next batch");
            for burial in burials {
                self.inner.segments.bury(burial);
            }
        }
        for Waiting { reply, result, claim } in waiting {
            // Before the answer: its receiver may write the same name at once.
            drop(claim);
            // Whoever has gone away does not want to know.
            let _ = reply.send(result);
        }
        // Where chunks were only added there is nothing new to compact.
        if !adds_only || self.inner.segments.has_burials() {
            let _ = self.wake_compaction.try_send(());
        }
    }

    /// Turns a request into records.
    fn prepare(
        &mut self,
        request: Request,
        operation: usize,
        appends: &mut Vec<Append>,
    ) -> (Result<(), NodeError>, Option<Claim>) {
        let mut push = |record, effect| appends.push(Append { record, effect, operation });
        match request {
            Request::Put { record, entry, claim } => {
                push(record, Effect::Insert { entry });
                (Ok(()), Some(claim))
            }
            Request::Delete { entry, claim } => {
                let found = lock(&self.inner.index).get(entry.name);
                let current = found.filter(|located| located.entry.copy == entry.copy);
                let Some(burial) = current.as_ref().and_then(Burial::of) else {
                    return (Err(NodeError::NotFound), Some(claim));
                };
                push(tombstone(&burial), Effect::Bury { target: burial.segment });
                (Ok(()), Some(claim))
            }
            Request::Move { chunks, tombstones } => {
                for (from, record) in chunks {
                    if lock(&self.inner.index).get(from.entry.name) == Some(from) {
                        push(record, Effect::Move { from });
                    }
                }
                for record in tombstones {
                    if let Subject::Tombstone { segment, .. } = record.header.subject {
                        push(record, Effect::Bury { target: segment });
                    }
                }
                (Ok(()), None)
            }
            Request::Seal => (self.seal(), None),
            Request::Bury => (Ok(()), None),
        }
    }

    /// Writes, syncs and applies records; failures go to the operations that they belong to.
    /// `Err` is for those that belong to none. When there is no room for everything, the
    /// tombstones, which give room back, are tried alone.
    fn append(
        &mut self,
        mut appends: Vec<Append>,
        waiting: &mut [Waiting],
    ) -> Result<(), NodeError> {
        if appends.is_empty() {
            return Ok(());
        }
        let mut result = self.write(&mut appends);
        if result == Err(NodeError::Full) {
            let is_tombstone = |append: &Append| matches!(append.effect, Effect::Bury { .. });
            let (tombstones, others): (Vec<_>, Vec<_>) =
                appends.into_iter().partition(is_tombstone);
            for append in others {
                fail(waiting, append.operation, &NodeError::Full);
            }
            appends = tombstones;
            if !appends.is_empty() {
                result = self.write(&mut appends);
            }
        }
        match &result {
            Ok(()) => self.apply(appends),
            Err(error) => {
                for append in &appends {
                    fail(waiting, append.operation, error);
                }
            }
        }
        result
    }

    /// Writes and syncs records as one batch. Nothing of a failed batch stays in the file.
    fn write(&mut self, appends: &mut [Append]) -> Result<(), NodeError> {
        let inner = Arc::clone(&self.inner);
        inner.refuse_when_fenced()?;
        let bytes: usize = appends.iter().map(|append| append.record.size()).sum();
        let mut active = self.active_with_room(bytes as u64, appends.len())?;
        active.batch += 1;
        let batch = u64::from(active.number) << 32 | u64::from(active.batch);
        let mut slices = Vec::with_capacity(3 * appends.len());
        for append in appends.iter_mut() {
            append.record.stamp(batch, inner.drive.key());
            slices.extend(append.record.slices());
        }
        let written = inner.io.write_all_at(&active.file, &mut slices, active.end);
        if let Err(error) = written {
            let cut = inner.io.truncate(&active.file, active.end);
            self.active = Some(active);
            inner.synced(cut)?;
            return inner.written(Err(error));
        }
        let synced = inner.synced(inner.io.sync_data(&active.file));
        if synced.is_ok() {
            for append in appends.iter() {
                let offset = u32::try_from(active.end).unwrap_or(u32::MAX);
                active.entries.push(IndexEntry { header: append.record.header, offset });
                active.end += append.record.size() as u64;
            }
            inner.segments.change(active.number, |segment| segment.size_bytes = active.end);
        }
        self.active = Some(active);
        synced
    }

    /// Makes durable records visible.
    fn apply(&mut self, appends: Vec<Append>) {
        let Some(active) = &self.active else { return };
        let first = active.entries.len() - appends.len();
        let mut index = lock(&self.inner.index);
        let segments = &self.inner.segments;
        for (append, at) in appends.into_iter().zip(first..) {
            let Some(IndexEntry { header, offset }) = active.entries.get(at).copied() else {
                return;
            };
            let place = Place::Segment { segment: active.number, offset };
            match append.effect {
                Effect::Insert { entry } => {
                    let located = Located { entry, place };
                    segments.count_live(&located);
                    if let Some(replaced) = index.insert(&located) {
                        self.inner.discard(&replaced);
                    }
                }
                Effect::Move { from } => {
                    let located = Located { place, ..from };
                    if index.get(from.entry.name) == Some(from) {
                        index.insert(&located);
                        segments.count_live(&located);
                        segments.count_dead(&from);
                        // A deletion will name the new place only. The old record is buried in
                        // a later batch, since of a torn one the tombstone may be all there is.
                        segments.bury_record_of(&from);
                    } else {
                        segments.bury_record_of(&located);
                    }
                }
                Effect::Bury { target } => {
                    let found = index.get(header.name);
                    let dead = found.filter(|found| buries(header.subject, found));
                    if let Some(dead) = dead {
                        index.remove(header.name);
                        segments.count_dead(&dead);
                    }
                    segments.count_tombstone(active.number, target);
                }
            }
        }
    }

    /// The segment that is written, a new one if this much does not fit any more.
    fn active_with_room(&mut self, bytes: u64, records: usize) -> Result<Active, NodeError> {
        if let Some(active) = &self.active {
            let count = active.entries.len() + records;
            let index_bytes = (count * INDEX_ENTRY_BYTES + TRAILER_BYTES) as u64;
            if count > MAX_RECORDS || active.end + bytes + index_bytes > SEGMENT_BYTES {
                self.seal()?;
            }
        }
        if let Some(active) = self.active.take() {
            return Ok(active);
        }
        let inner = &self.inner;
        let number = self.next_number;
        let file = Arc::new(inner.written(inner.io.create(&inner.segments.path(number)))?);
        // From here on the number is used, also if the name does not become durable.
        self.next_number += 1;
        inner.segments.add(number, Segment::default());
        inner.synced(inner.segments.sync_names(&inner.io))?;
        Ok(Active { number, file, end: 0, batch: 0, entries: Vec::new() })
    }

    /// Closes the segment that is written, with an index if there is room for one: without it
    /// a start reads the whole segment.
    fn seal(&mut self) -> Result<(), NodeError> {
        let Some(active) = self.active.take() else { return Ok(()) };
        let size_bytes = write_index(&self.inner, &active)?;
        self.inner.segments.change(active.number, |segment| {
            segment.sealed = true;
            segment.size_bytes = size_bytes;
        });
        Ok(())
    }
}

/// Writes the index behind the records of a segment, or nothing where the drive does not take
/// it; answers the size of the file. An error is always a fenced drive.
pub(in crate::store) fn write_index(inner: &Inner, active: &Active) -> Result<u64, NodeError> {
    let offset = u32::try_from(active.end).unwrap_or(u32::MAX);
    let index = encode_index(active.number, offset, &active.entries);
    let mut slices = [IoSlice::new(&index)];
    let written = inner.io.write_all_at(&active.file, &mut slices, active.end);
    match inner.written(written) {
        Ok(()) => {
            inner.synced(inner.io.sync_data(&active.file))?;
            Ok(active.end + index.len() as u64)
        }
        Err(NodeError::Fenced) => Err(NodeError::Fenced),
        Err(error) => {
            tracing::warn!(segment.number = active.number, %error, "a segment has no index");
            inner.synced(inner.io.truncate(&active.file, active.end))?;
            Ok(active.end)
        }
    }
}

/// Whether a tombstone means this chunk where it stands.
fn buries(tombstone: Subject, chunk: &Located) -> bool {
    let Subject::Tombstone { segment, offset } = tombstone else { return false };
    chunk.place == Place::Segment { segment, offset }
}

fn tombstone(burial: &Burial) -> ClosedRecord {
    ClosedRecord::tombstone(burial.name, burial.copy, burial.segment, burial.offset)
}

fn fail(waiting: &mut [Waiting], operation: usize, error: &NodeError) {
    if let Some(waiting) = waiting.get_mut(operation) {
        waiting.result = Err(error.clone());
    }
}

/// Whether a request is served in a batch of its own.
fn stands_alone(request: &Request) -> bool {
    matches!(request, Request::Move { .. } | Request::Seal)
}

/// Bytes that a request adds to a batch.
fn weight(request: &Request) -> usize {
    match request {
        Request::Put { record, .. } => record.size(),
        _ => crate::store::format::HEADER_BYTES,
    }
}
