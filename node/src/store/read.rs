//! Reading a chunk: its header and seal are checked before the first cell is handed out; the
//! cells come with their stored checksums and are verified by whoever asked, or by
//! [`OpenChunk::rotten_cells`].

use super::Inner;
use super::format::{CHECKSUM_BYTES, Geometry, HEADER_BYTES, Header, SEAL_BYTES, Seal, Subject};
use super::index::{Located, Place};
use super::io::{forget_cached, read_at, read_cached};
use super::names;
use super::segment::record_bytes;
use bytes::Bytes;
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, NodeError};
use sixfold_proto::name::ChunkName;
use std::borrow::Cow;
use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// How many bytes of a chunk are compared or hashed at a time.
const STEP_BYTES: u64 = 1024 * 1024;

/// Records up to this size are read on the spot when they are in memory: copying them takes
/// less time than waking a thread.
const CACHED_READ_BYTES: usize = 64 * 1024;

/// A chunk whose header and seal are as they should be.
pub(super) struct OpenChunk {
    file: Arc<File>,
    /// Where the record starts in the file.
    base: u64,
    name: ChunkName,
    geometry: Geometry,
    seal: Seal,
    /// To verify cells right after they were read.
    key: Option<CellKey>,
}

impl OpenChunk {
    /// Finds a chunk and opens it. Blocks.
    pub(super) fn find(inner: &Inner, name: ChunkName) -> Result<Self, NodeError> {
        // A chunk may move while it is opened: what the index says is asked once more.
        let mut located = super::lock(&inner.index).get(name).ok_or(NodeError::NotFound)?;
        loop {
            let result = Self::open(inner, &located);
            if result.is_ok() {
                return result;
            }
            let again = super::lock(&inner.index).get(name).ok_or(NodeError::NotFound)?;
            if again == located {
                return result;
            }
            located = again;
        }
    }

    /// Opens the chunk that stands where `located` says. Blocks.
    pub(super) fn open(inner: &Inner, located: &Located) -> Result<Self, NodeError> {
        let name = located.entry.name;
        let failed = |error: io::Error| read_failure(name, &error);
        let (file, base) = open_file(inner, located).map_err(failed)?;
        let header = read_at(&file, base, HEADER_BYTES).map_err(failed)?;
        let geometry = check_header(inner, located, &header)?;
        let total = geometry.total_bytes();
        if located.place == Place::File && file.metadata().map_err(failed)?.len() != total {
            return Err(damaged(name, "its file has another length"));
        }
        let seal = read_at(&file, base + total - SEAL_BYTES as u64, SEAL_BYTES).map_err(failed)?;
        let seal = check_seal(located, geometry, &seal)?;
        let cluster = inner.drive.cluster().filter(|_| inner.options.verify_reads);
        let key = cluster.map(|cluster| CellKey::new(cluster, name));
        Ok(Self { file, base, name, geometry, seal, key })
    }

    /// How many cells.
    pub(super) fn cell_count(&self) -> u32 {
        self.geometry.cell_count()
    }

    /// Reads a run of cells at once; their bytes share one buffer. Blocks.
    pub(super) fn cells(&self, cells: Range<u32>) -> Result<Vec<Cell>, NodeError> {
        let start = self.geometry.cell_offset(cells.start);
        let end = self.geometry.cell_offset(cells.end);
        let run = Bytes::from(self.read(start, end)?);
        let mut found = split_cells(self.geometry, cells.clone(), run);
        if let Some(key) = self.key {
            for (cell, number) in found.iter_mut().zip(cells) {
                cell.is_verified = key.matches(number, cell);
            }
        }
        Ok(found)
    }

    /// The numbers of those of these cells that fail their checksum, read from the drive. Blocks.
    pub(super) fn rotten_cells(
        &self,
        key: CellKey,
        cells: Range<u32>,
    ) -> Result<Vec<u32>, NodeError> {
        let mut rotten = Vec::new();
        for number in cells.start..cells.end.min(self.cell_count()) {
            let run = self.geometry.cell_offset(number)..self.geometry.cell_offset(number + 1);
            // Before: what is in memory says nothing of the drive. After: a scrub of the whole
            // drive must not push everything else out of memory.
            forget_cached(&self.file, self.base + run.start, run.end - run.start);
            for cell in self.cells(number..number + 1)? {
                if !key.matches(number, &cell) {
                    rotten.push(number);
                }
            }
            forget_cached(&self.file, self.base + run.start, run.end - run.start);
        }
        Ok(rotten)
    }

    /// Whether the cells and their checksums are those that were sealed. Blocks.
    pub(super) fn is_whole(&self) -> Result<bool, NodeError> {
        let mut content = XxHash3_64::new();
        for step in steps(self.geometry) {
            content.write(&self.read(step.start, step.end)?);
        }
        Ok(content.finish() == self.seal.content)
    }

    /// The bytes of the record from offset `start` to `end`, all of them.
    fn read(&self, start: u64, end: u64) -> Result<Vec<u8>, NodeError> {
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = read_at(&self.file, self.base + start, length)
            .map_err(|error| read_failure(self.name, &error))?;
        if bytes.len() != length {
            return Err(NodeError::Damaged(format!("chunk {}: it is cut short", self.name)));
        }
        Ok(bytes)
    }
}

/// The cells of a small chunk whose segment is open and whose record is in memory: read on the
/// spot, which costs less than handing the read to another thread. `None` where anything is
/// otherwise; the slow way then finds out what.
pub(super) fn cached_cells(
    inner: &Inner,
    located: &Located,
    cells: &Range<u32>,
) -> Option<Vec<Cell>> {
    let Place::Segment { segment, offset } = located.place else { return None };
    let length = usize::try_from(record_bytes(&located.entry)).ok()?;
    if length > CACHED_READ_BYTES || cells.end > located.entry.cell_count {
        return None;
    }
    let file = inner.segments.open_file(segment)?;
    let record = read_cached(&file, u64::from(offset), length)?;
    let geometry = check_header(inner, located, &record).ok()?;
    let offset_of = |cell| usize::try_from(geometry.cell_offset(cell)).ok();
    let seal = offset_of(geometry.cell_count())?;
    check_seal(located, geometry, record.get(seal..)?).ok()?;
    let run = offset_of(cells.start)?..offset_of(cells.end)?;
    Some(split_cells(geometry, cells.clone(), Bytes::from(record).slice(run)))
}

/// Cuts a run of bytes into its cells; they share its buffer.
fn split_cells(geometry: Geometry, cells: Range<u32>, mut run: Bytes) -> Vec<Cell> {
    let mut found = Vec::with_capacity(cells.len());
    for cell in cells {
        let data = run.split_to(geometry.cell_len(cell));
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&run.split_to(CHECKSUM_BYTES));
        let checksum = u64::from_le_bytes(checksum);
        found.push(Cell { data, checksum, is_verified: false });
    }
    found
}

/// Checks a record's header against what the index says; answers its lengths.
fn check_header(inner: &Inner, located: &Located, header: &[u8]) -> Result<Geometry, NodeError> {
    let name = located.entry.name;
    let header = Header::decode(header, inner.drive.key())
        .ok_or_else(|| damaged(name, "its header is damaged"))?;
    let Subject::Chunk { cell_bytes, .. } = header.subject else {
        return Err(damaged(name, "its header is a tombstone"));
    };
    if header.name != name || header.copy != located.entry.copy {
        return Err(damaged(name, "its header names another chunk copy"));
    }
    let size = u32::try_from(located.entry.size_bytes).unwrap_or(u32::MAX);
    Geometry::new(cell_bytes, size)
        .filter(|geometry| geometry.cell_count() == located.entry.cell_count)
        .ok_or_else(|| damaged(name, "its lengths are not those that it was stored with"))
}

/// Checks the seal of a chunk with these lengths.
fn check_seal(located: &Located, geometry: Geometry, seal: &[u8]) -> Result<Seal, NodeError> {
    let name = located.entry.name;
    Seal::decode(seal, name, located.entry.copy)
        .filter(|seal| seal.cell_count == geometry.cell_count())
        .filter(|seal| seal.data_bytes == geometry.data_bytes)
        .ok_or_else(|| damaged(name, "its seal is missing or damaged"))
}

fn damaged(name: ChunkName, what: &str) -> NodeError {
    NodeError::Damaged(format!("chunk {name}: {what}"))
}

/// The cells and checksums of a chunk that is about to be stored.
pub(super) enum Body<'a> {
    /// In a file behind a header.
    File(&'a File),
    /// In memory.
    Memory(&'a [u8]),
}

impl Body<'_> {
    /// The bytes of the record from `range.start` to `range.end`.
    fn bytes(&self, range: &Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        match self {
            Self::File(file) => {
                read_at(file, range.start, index(range.end - range.start)).map(Cow::Owned)
            }
            Self::Memory(body) => {
                let header = HEADER_BYTES as u64;
                let range = index(range.start - header)..index(range.end - header);
                Ok(Cow::Borrowed(body.get(range).unwrap_or_default()))
            }
        }
    }
}

/// What stands under a name already, compared with what is about to be stored there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The same bytes.
    Same,
    /// The stored bytes are damaged and may be replaced.
    Damaged,
}

impl Comparison {
    pub(super) fn is_same(self) -> bool {
        self == Self::Same
    }
}

/// Compares a stored chunk with a new one of its name byte by byte. Blocks. Whole but different
/// bytes are a conflict.
pub(super) fn compare(
    inner: &Inner,
    old: &Located,
    geometry: Geometry,
    body: &Body<'_>,
) -> Result<Comparison, NodeError> {
    match differs(inner, old, geometry, body) {
        Ok(false) => Ok(Comparison::Same),
        Ok(true) => Err(NodeError::Conflict),
        Err(NodeError::Damaged(what)) => {
            tracing::warn!(chunk.name = %old.entry.name, %what, "a damaged chunk is replaced");
            Ok(Comparison::Damaged)
        }
        Err(error) => Err(error),
    }
}

fn differs(
    inner: &Inner,
    old: &Located,
    geometry: Geometry,
    body: &Body<'_>,
) -> Result<bool, NodeError> {
    let chunk = OpenChunk::open(inner, old)?;
    let mut differs = chunk.geometry != geometry;
    if !differs {
        for step in steps(geometry) {
            let new = body.bytes(&step).map_err(|error| read_failure(chunk.name, &error))?;
            differs |= *new != *chunk.read(step.start, step.end)?;
        }
    }
    if differs && !chunk.is_whole()? {
        return Err(NodeError::Damaged(format!("chunk {}: its cells are rotten", chunk.name)));
    }
    Ok(differs)
}

/// The bytes of the cells and checksums of a record, in pieces.
fn steps(geometry: Geometry) -> impl Iterator<Item = Range<u64>> {
    let start = HEADER_BYTES as u64;
    let end = start + geometry.body_bytes();
    (start..end).step_by(1024 * 1024).map(move |from| from..end.min(from + STEP_BYTES))
}

fn open_file(inner: &Inner, located: &Located) -> io::Result<(Arc<File>, u64)> {
    match located.place {
        Place::File => {
            let folder = inner.drive.chunk_folder(names::folder(located.entry.name));
            let path = folder.join(names::file_name(&located.entry));
            Ok((Arc::new(File::open(path)?), 0))
        }
        Place::Segment { segment, offset } => {
            Ok((inner.segments.file(segment)?, u64::from(offset)))
        }
    }
}

/// A failed read: what the drive has lost is damage, what the process lacks is passing.
fn read_failure(name: ChunkName, error: &io::Error) -> NodeError {
    let lost = [rustix::io::Errno::IO, rustix::io::Errno::NOENT];
    if lost.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
        return NodeError::Damaged(format!("chunk {name}: {error}"));
    }
    NodeError::Unavailable(format!("reading chunk {name}: {error}"))
}
