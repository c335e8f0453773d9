//! The journal's file: batches are appended to one half of it while the segments of what stands
//! in the other half are synced, so that it can be written over.

use super::format::{ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, PIECE_HEADER_BYTES, PieceHeader};
use crate::store::Inner;
use crate::store::io::{Io, is_no_space};
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use uuid::Uuid;

/// Bytes of a half. Its segments are synced while the other half fills, which takes half a
/// second at the most that two cores store; a start reads both.
pub(super) const HALF_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes on their way to a segment.
pub(super) struct Piece<'a> {
    /// The drive, by what its mark calls it.
    pub(super) member: Uuid,
    /// The segment and the offset in it.
    pub(super) place: (u32, u64),
    /// The bytes.
    pub(super) slices: Vec<IoSlice<'a>>,
}

impl Piece<'_> {
    fn header(&self) -> [u8; PIECE_HEADER_BYTES] {
        let (segment, offset) = self.place;
        let length: usize = self.slices.iter().map(|slice| slice.len()).sum();
        // A segment, and so all that is in it, is far below 2^32 bytes.
        let narrow = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
        let (offset, length) = (narrow(offset), narrow(length as u64));
        PieceHeader { member: self.member, segment, offset, length }.encode(&self.slices)
    }
}

/// Why a batch is not in the journal.
pub(super) enum Refused {
    /// It can't be: its segments are to be synced themselves.
    NotTaken,
    /// A write or sync failed: nobody knows what the journal holds.
    Failed(io::Error),
}

/// A segment with bytes that only the journal makes durable.
#[derive(Clone)]
struct Unsettled {
    inner: Arc<Inner>,
    file: Arc<File>,
}

impl Unsettled {
    /// Syncs the segment; whether it is durable.
    fn settle(&self) -> bool {
        self.inner.synced(self.inner.io.sync_data(&self.file)).is_ok()
    }
}

/// Syncs all, also behind one that fails: each fences its own drive only.
fn settle_all(segments: &[Unsettled]) -> bool {
    segments.iter().filter(|segment| !segment.settle()).count() == 0
}

/// The file and where it is written.
pub(super) struct Log {
    io: Io,
    id: Uuid,
    file: File,
    half_bytes: u64,
    /// 0 or 1.
    half: u64,
    /// Where the next batch goes in this half.
    at: u64,
    /// The number of the last batch.
    number: u64,
    /// The first batch of this half, and of the other one: what is still needed.
    first: [u64; 2],
    /// The segments of this half.
    unsettled: Vec<Unsettled>,
    /// Those of the other half, and who syncs them.
    settling: Option<(Vec<Unsettled>, JoinHandle<bool>)>,
    /// Something failed: no batch is taken any more, since what is here may still be needed.
    failed: bool,
}

impl Log {
    pub(super) fn new(io: Io, id: Uuid, file: File, half_bytes: u64) -> Self {
        let (unsettled, settling) = (Vec::new(), None);
        let (half, at, number, first) = (0, 0, 0, [1; 2]);
        let failed = false;
        Self { io, id, file, half_bytes, half, at, number, first, unsettled, settling, failed }
    }

    /// Makes these pieces durable as one batch.
    pub(super) fn append(&mut self, pieces: &[Piece<'_>]) -> Result<(), Refused> {
        let headers: Vec<_> = pieces.iter().map(Piece::header).collect();
        // The batch's own header comes first, once the others are known.
        let mut slices = vec![IoSlice::new(&[])];
        for (header, piece) in headers.iter().zip(pieces) {
            slices.push(IoSlice::new(header));
            slices.extend(&piece.slices);
        }
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let size = (BATCH_HEADER_BYTES + bytes).next_multiple_of(ALIGNMENT) as u64;
        if self.failed || size > self.half_bytes {
            return Err(Refused::NotTaken);
        }
        if self.at + size > self.half_bytes {
            self.turn()?;
        }
        let (journal, number, oldest) = (self.id, self.number + 1, self.first[1]);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let header = BatchHeader { journal, number, oldest, bytes }.encode();
        slices[0] = IoSlice::new(&header);
        self.write(&mut slices)?;
        self.at += size;
        self.number += 1;
        Ok(())
    }

    fn write(&mut self, slices: &mut [IoSlice<'_>]) -> Result<(), Refused> {
        let offset = self.half * self.half_bytes + self.at;
        if let Err(error) = self.io.write_all_at(&self.file, slices, offset) {
            if is_no_space(&error) {
                return Err(Refused::NotTaken);
            }
            return Err(self.fail(error));
        }
        self.io.sync_data(&self.file).map_err(|error| self.fail(error))
    }

    /// Takes note of a segment whose bytes only the journal has made durable.
    pub(super) fn rely(&mut self, inner: &Arc<Inner>, file: &Arc<File>) {
        if self.unsettled.iter().all(|known| !Arc::ptr_eq(&known.file, file)) {
            let (inner, file) = (Arc::clone(inner), Arc::clone(file));
            self.unsettled.push(Unsettled { inner, file });
        }
    }

    /// Goes on in the other half, once nothing there is needed any more.
    fn turn(&mut self) -> Result<(), Refused> {
        if !self.wait_for_settling() {
            return Err(Refused::NotTaken);
        }
        let theirs = self.unsettled.clone();
        let settle = move || settle_all(&theirs);
        let settling = Builder::new().name("journal-settle".to_owned()).spawn(settle);
        // Without a thread this half stays as it is, and the next batch tries again.
        let settling = settling.map_err(|_| Refused::NotTaken)?;
        self.settling = Some((std::mem::take(&mut self.unsettled), settling));
        self.half = 1 - self.half;
        self.at = 0;
        self.first = [self.number + 1, self.first[0]];
        Ok(())
    }

    /// Whether the other half is free.
    fn wait_for_settling(&mut self) -> bool {
        let Some((segments, settling)) = self.settling.take() else { return !self.failed };
        if !settling.join().unwrap_or(false) {
            tracing::error!("segments could not be synced: the journal is kept, and used no more");
            self.unsettled.extend(segments);
            self.failed = true;
        }
        !self.failed
    }

    /// Syncs what a drive has in the journal; whether it needs it no longer.
    pub(super) fn settle(&mut self, inner: &Arc<Inner>) -> bool {
        self.wait_for_settling();
        let is_theirs = |segment: &Unsettled| Arc::ptr_eq(&segment.inner, inner);
        let (theirs, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.unsettled).into_iter().partition(is_theirs);
        self.unsettled = others;
        // One that has failed is not asked again: the system may have forgotten the failure.
        inner.refuse_when_fenced().is_ok() && settle_all(&theirs)
    }

    /// Fences every drive that relied on the journal.
    fn fail(&mut self, error: io::Error) -> Refused {
        self.failed = true;
        let settling = self.settling.iter().flat_map(|(segments, _)| segments);
        for segment in self.unsettled.iter().chain(settling) {
            segment.inner.fence(&error);
        }
        Refused::Failed(error)
    }
}
