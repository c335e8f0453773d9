//! Segments: files of up to [`SEGMENT_BYTES`] in which small chunks stand one after the other.
//!
//! One thread appends ([`queue`], [`writer`]) and shares each sync among all who wait; where
//! drives share a journal, small operations are for its thread. A deleted chunk gets a tombstone,
//! which says where the dead record stands and lives as long as the segment of that record. A
//! second thread ([`compact`]) gives room back. `scan` reads a segment.

pub(super) mod compact;
pub(super) mod queue;
pub(super) mod scan;
pub(super) mod writer;

use super::format::{HEADER_BYTES, RECORD_ALIGNMENT, SEAL_BYTES};
use super::index::{Located, Place};
use super::io::Io;
use sixfold_proto::chunks::ChunkEntry;
use sixfold_proto::name::{ChunkName, CopyNumber};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A segment is sealed before it grows beyond this.
pub(super) const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// A segment is sealed at this many records, which bounds its index to 3 MiB.
pub(super) const MAX_RECORDS: usize = 65_536;

/// A sealed segment below this is a small one. One that was sealed because it is full is larger,
/// also when it is full of the smallest records.
pub(super) const SMALL_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
const _: () = assert!(SMALL_SEGMENT_BYTES <= (MAX_RECORDS * HEADER_BYTES) as u64);
const _: () = assert!(SMALL_SEGMENT_BYTES < SEGMENT_BYTES);

/// More small segments than this are merged: restarts after crashes must not leave ever more.
pub(super) const MAX_SMALL_SEGMENTS: usize = 4;

/// Segment files held open for reading; more are opened when asked for.
const MAX_OPEN_FILES: usize = 64;

/// The segments of a drive: their files and how much of each is needed.
pub(super) struct Segments {
    folder: PathBuf,
    /// The folder, opened to be synced.
    opened: File,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    segments: BTreeMap<u32, Segment>,
    files: HashMap<u32, Arc<File>>,
    /// Dead records that have no tombstone yet.
    burials: Vec<Burial>,
}

/// What is known of one segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    /// Bytes of its file.
    pub(super) size_bytes: u64,
    /// Bytes of the chunks in it that are the current ones.
    pub(super) live_bytes: u64,
    /// Nothing is appended any more.
    pub(super) sealed: bool,
    /// It was compacted: what still counts as needed can't be found in it.
    pub(super) compacted: bool,
    /// How many of its tombstones bury records of which segment.
    pub(super) tombstones: HashMap<u32, u32>,
}

impl Segment {
    /// Bytes that must be kept.
    fn needed_bytes(&self) -> u64 {
        let tombstones: u64 = self.tombstones.values().map(|count| u64::from(*count)).sum();
        self.live_bytes + tombstones * HEADER_BYTES as u64
    }
}

/// A dead record that needs a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burial {
    /// The chunk.
    pub(super) name: ChunkName,
    /// The dead copy.
    pub(super) copy: CopyNumber,
    /// Its segment.
    pub(super) segment: u32,
    /// Its offset there.
    pub(super) offset: u32,
}

impl Burial {
    /// The burial of a chunk that stands in a segment.
    pub(super) fn of(located: &Located) -> Option<Self> {
        let Place::Segment { segment, offset } = located.place else { return None };
        Some(Self { name: located.entry.name, copy: located.entry.copy, segment, offset })
    }
}

/// Bytes of a chunk's record in a segment.
pub(super) fn record_bytes(entry: &ChunkEntry) -> u64 {
    let around = (HEADER_BYTES + SEAL_BYTES) as u64 + 8 * u64::from(entry.cell_count);
    (entry.size_bytes + around).next_multiple_of(RECORD_ALIGNMENT as u64)
}

/// A segment's file name.
pub(super) fn file_name(segment: u32) -> String {
    format!("{segment:08x}")
}

/// The inverse of [`file_name`].
pub(super) fn parse_file_name(name: &str) -> Option<u32> {
    let segment = u32::from_str_radix(name, 16).ok()?;
    (segment > 0 && file_name(segment) == name).then_some(segment)
}

impl Segments {
    /// No segments yet, in this folder.
    pub(super) fn open(folder: PathBuf, io: &Io) -> io::Result<Self> {
        let opened = io.open_directory(&folder)?;
        Ok(Self { folder, opened, table: Mutex::default() })
    }

    /// Makes the names of the segments durable.
    pub(super) fn sync_names(&self, io: &Io) -> io::Result<()> {
        io.sync_directory(&self.opened)
    }

    pub(super) fn path(&self, segment: u32) -> PathBuf {
        self.folder.join(file_name(segment))
    }

    /// A segment's file, for reading.
    pub(super) fn file(&self, segment: u32) -> io::Result<Arc<File>> {
        if let Some(file) = super::lock(&self.table).files.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(segment))?);
        let mut table = super::lock(&self.table);
        if table.files.len() >= MAX_OPEN_FILES {
            let any = table.files.keys().next().copied();
            any.and_then(|any| table.files.remove(&any));
        }
        // A segment that was removed meanwhile must not stay open.
        if table.segments.contains_key(&segment) {
            table.files.insert(segment, Arc::clone(&file));
        }
        Ok(file)
    }

    /// A segment's file if it is open already.
    pub(super) fn open_file(&self, segment: u32) -> Option<Arc<File>> {
        super::lock(&self.table).files.get(&segment).cloned()
    }

    /// Adds a segment.
    pub(super) fn count(&self) -> usize {
        super::lock(&self.table).segments.len()
    }

    pub(super) fn add(&self, number: u32, segment: Segment) {
        super::lock(&self.table).segments.insert(number, segment);
    }

    /// Changes what is known of a segment, if there is such a one.
    pub(super) fn change(&self, number: u32, change: impl FnOnce(&mut Segment)) {
        super::lock(&self.table).segments.get_mut(&number).map(change);
    }

    /// Counts a chunk as current in its segment.
    pub(super) fn count_live(&self, located: &Located) {
        if let Place::Segment { segment, .. } = located.place {
            let bytes = record_bytes(&located.entry);
            self.change(segment, |segment| segment.live_bytes += bytes);
        }
    }

    /// Counts a chunk as dead in its segment.
    pub(super) fn count_dead(&self, located: &Located) {
        if let Place::Segment { segment, .. } = located.place {
            let bytes = record_bytes(&located.entry);
            self.change(segment, |segment| {
                segment.live_bytes = segment.live_bytes.saturating_sub(bytes);
            });
        }
    }

    /// Counts a tombstone in segment `number` for a record in segment `target`. One that
    /// stands in the same segment goes with it and is never needed elsewhere.
    pub(super) fn count_tombstone(&self, number: u32, target: u32) {
        let mut table = super::lock(&self.table);
        if number != target
            && table.segments.contains_key(&target)
            && let Some(segment) = table.segments.get_mut(&number)
        {
            *segment.tombstones.entry(target).or_default() += 1;
        }
    }

    pub(super) fn contains(&self, segment: u32) -> bool {
        super::lock(&self.table).segments.contains_key(&segment)
    }

    /// Asks for a tombstone.
    pub(super) fn bury(&self, burial: Burial) {
        super::lock(&self.table).burials.push(burial);
    }

    /// Asks for a tombstone for this chunk's record, if it stands in a segment.
    pub(super) fn bury_record_of(&self, located: &Located) {
        if let Some(burial) = Burial::of(located) {
            self.bury(burial);
        }
    }

    /// Takes all burials that wait.
    pub(super) fn take_burials(&self) -> Vec<Burial> {
        std::mem::take(&mut super::lock(&self.table).burials)
    }

    pub(super) fn has_burials(&self) -> bool {
        !super::lock(&self.table).burials.is_empty()
    }

    /// Sealed segments of which nothing is needed.
    fn empty(&self) -> Vec<u32> {
        let table = super::lock(&self.table);
        let empty = table.segments.iter().filter(|(_, s)| s.sealed && s.needed_bytes() == 0);
        empty.map(|(number, _)| *number).collect()
    }

    /// Forgets a segment whose file is durably gone, and with it the need for its tombstones,
    /// also for those that are not written yet.
    fn forget(&self, number: u32) {
        let mut table = super::lock(&self.table);
        table.segments.remove(&number);
        table.files.remove(&number);
        table.burials.retain(|burial| burial.segment != number);
        for segment in table.segments.values_mut() {
            segment.tombstones.remove(&number);
        }
    }

    /// The sealed segment of which the smallest part is needed, if that is less than half.
    fn most_wasteful(&self) -> Option<u32> {
        let table = super::lock(&self.table);
        let wasteful = table.segments.iter().filter(|(_, segment)| {
            let is_candidate = segment.sealed && !segment.compacted;
            is_candidate && segment.needed_bytes() * 2 < segment.size_bytes
        });
        let part = |segment: &Segment| segment.needed_bytes() * 1000 / segment.size_bytes.max(1);
        wasteful.min_by_key(|(_, segment)| part(segment)).map(|(number, _)| *number)
    }

    /// The smallest of the small segments, if there are too many of them.
    fn smallest_of_many(&self) -> Option<u32> {
        let table = super::lock(&self.table);
        let is_small = |s: &Segment| s.sealed && !s.compacted && s.size_bytes < SMALL_SEGMENT_BYTES;
        let small = table.segments.iter().filter(|(_, segment)| is_small(segment));
        let (count, smallest) =
            (small.clone().count(), small.min_by_key(|(_, segment)| segment.size_bytes));
        smallest.filter(|_| count > MAX_SMALL_SEGMENTS).map(|(number, _)| *number)
    }

    /// Whether the segment that is written holds next to nothing that is needed.
    fn active_is_wasteful(&self) -> bool {
        let table = super::lock(&self.table);
        table.segments.values().any(|segment| {
            !segment.sealed
                && segment.size_bytes >= compact::ACTIVE_WASTE_BYTES
                && segment.needed_bytes() * 4 < segment.size_bytes
        })
    }
}
