//! A chunk as its cells arrive: their order is checked, and a small chunk's record is laid out
//! in memory, ready to be written as it is.

use super::format::{
    CHECKSUM_BYTES, DriveKey, Geometry, HEADER_BYTES, Header, RECORD_ALIGNMENT, SEAL_BYTES, Seal,
    Subject,
};
use sixfold_proto::chunks::{Cell, ChunkEntry, MAX_CELL_BYTES, MAX_CELLS_PER_CHUNK, NodeError};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use xxhash_rust::xxh3::xxh3_64;

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

/// A small chunk as the bytes of its record.
pub(super) struct Record {
    bytes: Vec<u8>,
}

impl Record {
    /// The record of these cells, with room for what follows them.
    pub(super) fn new(cells: &[Cell]) -> Self {
        let body: usize = cells.iter().map(|cell| cell.data.len() + CHECKSUM_BYTES).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body + SEAL_BYTES + RECORD_ALIGNMENT);
        bytes.resize(HEADER_BYTES, 0);
        for cell in cells {
            bytes.extend_from_slice(&cell.data);
            bytes.extend_from_slice(&cell.checksum.to_le_bytes());
        }
        Self { bytes }
    }

    /// The cells with their checksums.
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Writes the seal behind the cells and pads the record for a segment; the header follows
    /// when the batch is known.
    pub(super) fn close(
        mut self,
        name: ChunkName,
        writer: LeaseId,
        copy: CopyNumber,
        geometry: Geometry,
    ) -> ClosedRecord {
        let content = xxh3_64(self.body());
        let body_bytes = u32::try_from(self.body().len()).unwrap_or(u32::MAX);
        let cell_bytes = geometry.cell_bytes;
        let subject = Subject::Chunk { writer, cell_bytes, body_bytes };
        let header = Header { name, copy, subject, batch: 0 };
        let (cell_count, data_bytes) = (geometry.cell_count(), geometry.data_bytes);
        let seal = Seal { cell_count, data_bytes, content };
        self.bytes.extend_from_slice(&seal.encode(name, copy));
        self.bytes.resize(geometry.padded_bytes(), 0);
        ClosedRecord { header, bytes: self.bytes }
    }
}

/// A record that lacks nothing but its batch.
pub(super) struct ClosedRecord {
    /// What its first bytes say.
    pub(super) header: Header,
    bytes: Vec<u8>,
}

impl ClosedRecord {
    /// A record as it was read from a segment, to be written into another.
    pub(super) fn moved(header: Header, bytes: Vec<u8>) -> Self {
        Self { header, bytes }
    }

    /// The record that deletes another.
    pub(super) fn tombstone(name: ChunkName, copy: CopyNumber, segment: u32, offset: u32) -> Self {
        let subject = Subject::Tombstone { segment, offset };
        let header = Header { name, copy, subject, batch: 0 };
        Self { header, bytes: vec![0; HEADER_BYTES] }
    }

    /// All its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes the header, which says in which batch it is written.
    pub(super) fn stamp(&mut self, batch: u64, key: DriveKey) {
        self.header.batch = batch;
        self.bytes[..HEADER_BYTES].copy_from_slice(&self.header.encode(key));
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
