//! The end of a drive's segments, to which all its records are appended. A batch of them is
//! written with one call ([`Writer::begin`]), made durable together, and only then visible and
//! acknowledged ([`Writer::finish`]).

use super::queue::{Answer, Operation, Request};
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

/// What a record means once it is durable.
pub(in crate::store) enum Effect {
    /// A new chunk.
    Insert { entry: ChunkEntry },
    /// A chunk in another place.
    Move { from: Located },
    /// A tombstone.
    Bury { target: u32 },
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

/// A batch that stands in its segment and is not durable yet.
pub(in crate::store) struct Written {
    appends: Vec<Append>,
    answers: Vec<Answer>,
    burials: Vec<Burial>,
    adds_only: bool,
}

impl Written {
    /// Whether nothing was written.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    /// The bytes that were written.
    pub(in crate::store) fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        self.appends.iter().flat_map(|append| append.record.slices())
    }
}

/// What appends to a drive's segments.
pub(in crate::store) struct Writer {
    inner: Arc<Inner>,
    active: Option<Active>,
    next_number: u32,
    wake_compaction: SyncSender<()>,
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

    /// Writes what a batch of operations asks for. What it answers is to be made durable, by
    /// [`Writer::sync`] or elsewhere, and handed to [`Writer::finish`] before the next batch.
    pub(in crate::store) fn begin(&mut self, batch: Vec<Operation>) -> Written {
        let mut appends = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        let adds_only = batch.iter().all(|op| matches!(op.request, Request::Put { .. }));
        for Operation { request, reply } in batch {
            let operation = answers.len();
            let (result, claim) = self.prepare(request, operation, &mut appends);
            answers.push(Answer { reply, result, claim });
        }
        let burials = self.inner.segments.take_burials();
        let bury = |burial: &Burial| Append {
            record: tombstone(burial),
            effect: Effect::Bury { target: burial.segment },
            operation: usize::MAX,
        };
        appends.extend(burials.iter().map(bury));
        let mut written = Written { appends, answers, burials, adds_only };
        if let Err(error) = self.append(&mut written) {
            self.give_up(&mut written, &error);
        }
        written
    }

    /// Makes a batch durable in its segment, and all that was written there before.
    pub(in crate::store) fn sync(&self, written: &Written) -> Result<(), NodeError> {
        match &self.active {
            Some(active) if !written.is_empty() => {
                self.inner.synced(self.inner.io.sync_data(&active.file))
            }
            _ => Ok(()),
        }
    }

    /// Makes a batch visible once it is durable, or gives it up; the answers are to be sent then.
    pub(in crate::store) fn finish(
        &mut self,
        mut written: Written,
        durable: Result<(), NodeError>,
    ) -> Vec<Answer> {
        match durable {
            Ok(()) => self.apply(std::mem::take(&mut written.appends)),
            Err(error) => self.give_up(&mut written, &error),
        }
        // Where chunks were only added there is nothing new to compact.
        if !written.adds_only || self.inner.segments.has_burials() {
            let _ = self.wake_compaction.try_send(());
        }
        written.answers
    }

    /// Where a batch stands: the segment, its file, and the offset there.
    pub(in crate::store) fn place(&self) -> Option<(u32, &Arc<File>, u64)> {
        self.active.as_ref().map(|active| (active.number, &active.file, active.end))
    }

    pub(in crate::store) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Fails what is left of a batch; its tombstones wait for the next one.
    fn give_up(&self, written: &mut Written, error: &NodeError) {
        for append in written.appends.drain(..) {
            fail(&mut written.answers, append.operation, error);
        }
        if !written.burials.is_empty() {
            tracing::warn!(%error, "tombstones wait for the next batch");
        }
        for burial in written.burials.drain(..) {
            self.inner.segments.bury(burial);
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

    /// Writes the records of a batch. When there is no room for everything, the tombstones,
    /// which give room back, are tried alone.
    fn append(&mut self, batch: &mut Written) -> Result<(), NodeError> {
        if batch.is_empty() {
            return Ok(());
        }
        let result = self.write(&mut batch.appends);
        if result != Err(NodeError::Full) {
            return result;
        }
        let is_tombstone = |append: &Append| matches!(append.effect, Effect::Bury { .. });
        let (tombstones, others): (Vec<_>, Vec<_>) =
            batch.appends.drain(..).partition(is_tombstone);
        for append in others {
            fail(&mut batch.answers, append.operation, &NodeError::Full);
        }
        batch.appends = tombstones;
        if batch.is_empty() { Ok(()) } else { self.write(&mut batch.appends) }
    }

    /// Writes records as one batch. Nothing of one that fails stays in the file.
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
        let cut = match written {
            Ok(()) => Ok(()),
            Err(_) => inner.io.truncate(&active.file, active.end),
        };
        self.active = Some(active);
        inner.synced(cut)?;
        inner.written(written)
    }

    /// Makes durable records visible.
    fn apply(&mut self, appends: Vec<Append>) {
        let Some(active) = &mut self.active else { return };
        let segments = &self.inner.segments;
        let mut index = lock(&self.inner.index);
        for append in appends {
            let header = append.record.header;
            let offset = u32::try_from(active.end).unwrap_or(u32::MAX);
            active.entries.push(IndexEntry { header, offset });
            active.end += append.record.size() as u64;
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
        drop(index);
        segments.change(active.number, |segment| segment.size_bytes = active.end);
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
fn write_index(inner: &Inner, active: &Active) -> Result<u64, NodeError> {
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
            inner.synced(inner.io.sync_data(&active.file))?;
            Ok(active.end)
        }
    }
}

/// Seals the segment that was written when the last process ended; without room for its
/// index the next start reads it once more.
pub(in crate::store) fn seal_found(inner: &Inner, active: Option<Active>) -> Option<Active> {
    let active = active?;
    match write_index(inner, &active) {
        Ok(size_bytes) => inner.segments.change(active.number, |segment| {
            segment.sealed = true;
            segment.size_bytes = size_bytes;
        }),
        Err(error) => tracing::warn!(%error, "the newest segment can't be sealed"),
    }
    None
}

/// Whether a tombstone means this chunk where it stands.
fn buries(tombstone: Subject, chunk: &Located) -> bool {
    let Subject::Tombstone { segment, offset } = tombstone else { return false };
    chunk.place == Place::Segment { segment, offset }
}

fn tombstone(burial: &Burial) -> ClosedRecord {
    ClosedRecord::tombstone(burial.name, burial.copy, burial.segment, burial.offset)
}

fn fail(answers: &mut [Answer], operation: usize, error: &NodeError) {
    if let Some(answer) = answers.get_mut(operation) {
        answer.result = Err(error.clone());
    }
}
