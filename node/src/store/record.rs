//! A chunk as its cells arrive: their order is checked, and a small chunk's record is laid out
//! in pieces, ready to be written as it is.

use super::format::{
    CHECKSUM_BYTES, DriveKey, Geometry, HEADER_BYTES, Header, RECORD_ALIGNMENT, SEAL_BYTES, Seal,
    Subject,
};
use bytes::Bytes;
use sixfold_proto::chunks::{Cell, ChunkEntry, MAX_CELL_BYTES, MAX_CELLS_PER_CHUNK, NodeError};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use std::hash::Hasher;
use std::io::IoSlice;
use twox_hash::XxHash3_64;

/// Checks that cells come as the protocol says, and counts them.
#[derive(Default)]
pub(super) struct CellOrder {
    cell_bytes: u32,
    data_bytes: u32,
    cell_count: u32,
    /// A cell smaller than the first has come: none may follow.
    last_seen: bool,
}

impl CellOrder {
    /// Takes note of the next cell.
    pub(super) fn accept(&mut self, cell: &Cell) -> Result<(), NodeError> {
        let refuse = |text: &str| Err(NodeError::Invalid(text.to_owned()));
        let length = match u32::try_from(cell.data.len()) {
            Ok(length) if length > 0 && cell.data.len() <= MAX_CELL_BYTES => length,
            _ => return refuse("a cell has 1 byte to 256 KiB"),
        };
        if self.cell_count == 0 {
            self.cell_bytes = length;
        }
        if self.last_seen || length > self.cell_bytes {
            return refuse("only the last cell may differ in size, and only be smaller");
        }
        if self.cell_count == MAX_CELLS_PER_CHUNK {
            return refuse("a chunk has at most 128 cells");
        }
        self.last_seen = length < self.cell_bytes;
        self.cell_count += 1;
        self.data_bytes += length;
        Ok(())
    }

    /// Bytes of the first cell.
    pub(super) fn cell_bytes(&self) -> u32 {
        self.cell_bytes
    }

    /// Bytes of data so far.
    pub(super) fn data_bytes(&self) -> usize {
        self.data_bytes as usize
    }

    /// The lengths of all cells that came.
    pub(super) fn geometry(&self) -> Result<Geometry, NodeError> {
        let text = || NodeError::Invalid("a chunk has at least one cell".to_owned());
        Geometry::new(self.cell_bytes, self.data_bytes).ok_or_else(text)
    }
}

/// A small chunk whose cells are all there.
pub(super) struct Record {
    cells: Vec<Cell>,
}

impl Record {
    /// The record of these cells, at least one.
    pub(super) fn new(cells: Vec<Cell>) -> Self {
        Self { cells }
    }

    /// The bytes of the cells with their checksums.
    pub(super) fn body(&self) -> Vec<u8> {
        let parts =
            self.cells.iter().map(|cell| [&cell.data[..], &cell.checksum.to_le_bytes()].concat());
        parts.collect::<Vec<_>>().concat()
    }

    /// Lays the record out for a segment, its seal and padding behind the cells, whose bytes are
    /// not copied. The header follows when the batch is known.
    pub(super) fn close(
        self,
        name: ChunkName,
        writer: LeaseId,
        copy: CopyNumber,
        geometry: Geometry,
    ) -> ClosedRecord {
        let mut content = XxHash3_64::new();
        let mut rest = Vec::with_capacity(2 * self.cells.len());
        let mut small = Vec::with_capacity(CHECKSUM_BYTES + SEAL_BYTES + RECORD_ALIGNMENT);
        let last = self.cells.len().saturating_sub(1);
        for (number, cell) in self.cells.into_iter().enumerate() {
            let checksum = cell.checksum.to_le_bytes();
            content.write(&cell.data);
            content.write(&checksum);
            rest.push(cell.data);
            if number < last {
                rest.push(Bytes::copy_from_slice(&checksum));
            } else {
                small.extend_from_slice(&checksum);
            }
        }
        let (cell_count, data_bytes) = (geometry.cell_count(), geometry.data_bytes);
        let seal = Seal { cell_count, data_bytes, content: content.finish() };
        small.extend_from_slice(&seal.encode(name, copy));
        let padding = geometry.padded_bytes() as u64 - geometry.total_bytes();
        small.resize(small.len() + padding as usize, 0);
        rest.push(small.into());
        let body_bytes = u32::try_from(geometry.body_bytes()).unwrap_or(u32::MAX);
        let subject = Subject::Chunk { writer, cell_bytes: geometry.cell_bytes, body_bytes };
        ClosedRecord::new(Header { name, copy, subject, batch: 0 }, rest)
    }
}

/// A record that lacks nothing but its batch.
pub(super) struct ClosedRecord {
    /// What its first bytes say.
    pub(super) header: Header,
    /// Those bytes, once the batch is known.
    head: [u8; HEADER_BYTES],
    /// All bytes behind them, in pieces.
    rest: Vec<Bytes>,
}

impl ClosedRecord {
    fn new(header: Header, rest: Vec<Bytes>) -> Self {
        Self { header, head: [0; HEADER_BYTES], rest }
    }

    /// A record as it was read from a segment, to be written into another.
    pub(super) fn moved(header: Header, bytes: Vec<u8>) -> Self {
        Self::new(header, vec![Bytes::from(bytes).slice(HEADER_BYTES..)])
    }

    /// The record that deletes another.
    pub(super) fn tombstone(name: ChunkName, copy: CopyNumber, segment: u32, offset: u32) -> Self {
        let subject = Subject::Tombstone { segment, offset };
        Self::new(Header { name, copy, subject, batch: 0 }, Vec::new())
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> usize {
        HEADER_BYTES + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// All its bytes.
    pub(super) fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        std::iter::once(&self.head[..])
            .chain(self.rest.iter().map(|piece| &piece[..]))
            .map(IoSlice::new)
    }

    /// Writes the header, which says in which batch it is written.
    pub(super) fn stamp(&mut self, batch: u64, key: DriveKey) {
        self.header.batch = batch;
        self.head = self.header.encode(key);
    }
}

/// The entry of a chunk with these lengths.
pub(super) fn entry(
    name: ChunkName,
    writer: LeaseId,
    copy: CopyNumber,
    geometry: Geometry,
) -> ChunkEntry {
    let (size_bytes, cell_count) = (u64::from(geometry.data_bytes), geometry.cell_count());
    ChunkEntry { name, copy, writer, size_bytes, cell_count }
}
