//! The bytes of a chunk on a drive, version 1; written and read here only.
//!
//! A chunk is a *record*: header, cells, seal. A large chunk is one record in a file of its
//! own; small ones stand one after the other in a segment. All numbers are little-endian, but
//! an extent's id is big-endian, as everywhere.
//!
//! ```text
//! header, 64 bytes                      tombstone, 64 bytes
//!  0  4 magic "6FCH"                     0  4 magic "6FCH"
//!  4  2 version                          4  2 version
//!  6  1 kind, 1 = chunk                  6  1 kind, 2 = tombstone
//!  7  1 chunk index                      7  1 chunk index
//!  8 16 extent id                        8 16 extent id
//! 24  8 copy number                     24  8 copy number
//! 32  8 writer's lease                  32  8 segment of the dead record
//! 40  4 bytes of a cell but the last    40  4 offset of the dead record
//! 44  4 bytes of the cells, below       44  4 zero
//! 48  8 batch, below                    48  8 batch
//! 56  8 XXH3 of bytes 0 to 55           56  8 XXH3 of bytes 0 to 55, both seeded by the drive
//!
//! cell i at 64 + i * (cell bytes + 8): its bytes, then its 8-byte keyed checksum
//!
//! seal, 32 bytes, at 64 + bytes of the cells
//!  0  4 magic "6FSE"
//!  4  4 cell count
//!  8  4 bytes of data, without checksums
//! 12  4 zero
//! 16  8 XXH3 of all cells and their checksums
//! 24  8 XXH3 of bytes 0 to 23, seeded with extent, index and copy number
//! ```
//!
//! Why this order: a range of cells is read without touching the others, because each carries
//! its checksum; the seal comes last, because a chunk exists once its seal is durable, and it
//! is bound to its name and copy, so that a stale one of other bytes can't close a torn chunk.
//! "Bytes of the cells" counts data and checksums; it is 0 in a file, whose header is written
//! before its size is known and whose end says it. "Batch" is the segment's number in the
//! upper and the sync's number within it in the lower half; 0 in a file. A header's checksum is
//! seeded with the drive's id, which no client knows: bytes that a client stores can't pass for
//! a record when a start searches a damaged segment for the next one.
//!
//! A sealed segment ends with an index, so that a start reads ends only:
//!
//! ```text
//! index entry, 48 bytes, one per record   trailer, 40 bytes, the end of the file
//!  0 40 bytes 4 to 43 of the header        0  8 magic "6FINDEX1"
//! 40  4 bytes of the cells                 8  8 segment number
//! 44  4 offset of the record              16  4 entry count
//!                                         20  4 offset of the first entry
//!                                         24  8 XXH3 of the entries
//!                                         32  8 XXH3 of bytes 0 to 31
//! ```

use sixfold_proto::chunks::{MAX_CELL_BYTES, MAX_CELLS_PER_CHUNK};
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId};
use twox_hash::XxHash3_64;
use uuid::Uuid;

/// The version that is written, of records and of the directory.
pub(super) const VERSION: u16 = 1;
/// Bytes of a header and of a tombstone.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes of a cell's checksum.
pub(super) const CHECKSUM_BYTES: usize = 8;
/// Bytes of a seal.
pub(super) const SEAL_BYTES: usize = 32;
/// Bytes of an entry in a sealed segment's index.
pub(super) const INDEX_ENTRY_BYTES: usize = 48;
/// Bytes of the trailer of a sealed segment.
pub(super) const TRAILER_BYTES: usize = 40;
/// Records start at multiples of this, so that a lost place is found again.
pub(super) const RECORD_ALIGNMENT: usize = 8;

const MAGIC: [u8; 4] = *b"6FCH";
const SEAL_MAGIC: [u8; 4] = *b"6FSE";
const INDEX_MAGIC: [u8; 8] = *b"6FINDEX1";
const KIND_CHUNK: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;

const _: () = assert!(HEADER_BYTES == 56 + 8 && HEADER_BYTES.is_multiple_of(RECORD_ALIGNMENT));
const _: () = assert!(SEAL_BYTES == 24 + 8);
const _: () = assert!(INDEX_ENTRY_BYTES == 40 + 4 + 4);
const _: () = assert!(TRAILER_BYTES == 32 + 8);
// The lengths of a chunk fit the fields that hold them.
const _: () =
    assert!((MAX_CELL_BYTES + CHECKSUM_BYTES) as u64 * (MAX_CELLS_PER_CHUNK as u64) < 1 << 32);

/// The seed of a drive's headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriveKey(u64);

impl DriveKey {
    /// The seed that follows from a drive's id.
    pub(super) fn new(drive: Uuid) -> Self {
        Self(XxHash3_64::oneshot(drive.as_bytes()))
    }
}

/// What a header is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A chunk follows.
    Chunk {
        /// The lease of its writer.
        writer: LeaseId,
        /// Bytes of every cell but the last.
        cell_bytes: u32,
        /// Bytes of the cells with checksums; 0 in a file.
        body_bytes: u32,
    },
    /// The record at this place is deleted.
    Tombstone {
        /// The segment in which it stands.
        segment: u32,
        /// Its offset there.
        offset: u32,
    },
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The chunk.
    pub(super) name: ChunkName,
    /// Its copy.
    pub(super) copy: CopyNumber,
    /// Chunk or tombstone.
    pub(super) subject: Subject,
    /// Segment and sync in which it was written; 0 in a file.
    pub(super) batch: u64,
}

impl Header {
    /// The header's bytes.
    pub(super) fn encode(&self, key: DriveKey) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[7] = self.name.index.get();
        bytes[8..24].copy_from_slice(&self.name.extent.0.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.copy.0.to_le_bytes());
        let (kind, place, size, body) = match self.subject {
            Subject::Chunk { writer, cell_bytes, body_bytes } => {
                (KIND_CHUNK, writer.0, cell_bytes, body_bytes)
            }
            Subject::Tombstone { segment, offset } => {
                (KIND_TOMBSTONE, u64::from(segment), offset, 0)
            }
        };
        bytes[6] = kind;
        bytes[32..40].copy_from_slice(&place.to_le_bytes());
        bytes[40..44].copy_from_slice(&size.to_le_bytes());
        bytes[44..48].copy_from_slice(&body.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.batch.to_le_bytes());
        let checksum = XxHash3_64::oneshot_with_seed(key.0, &bytes[..56]);
        bytes[56..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` when it is none, or damaged, or of an unknown version.
    pub(super) fn decode(bytes: &[u8], key: DriveKey) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let checksum = u64_at(bytes, 56);
        if bytes[..4] != MAGIC || checksum != XxHash3_64::oneshot_with_seed(key.0, &bytes[..56]) {
            return None;
        }
        Self::from_fields(bytes, u32_at(bytes, 44), u64_at(bytes, 48))
    }

    /// Reads the fields at bytes 4 to 43, which an index entry shares.
    fn from_fields(bytes: &[u8], body_bytes: u32, batch: u64) -> Option<Self> {
        if bytes[4..6] != VERSION.to_le_bytes() {
            return None;
        }
        let subject = match bytes[6] {
            KIND_CHUNK => Subject::Chunk {
                writer: LeaseId(u64_at(bytes, 32)),
                cell_bytes: u32_at(bytes, 40),
                body_bytes,
            },
            KIND_TOMBSTONE => Subject::Tombstone {
                segment: u32::try_from(u64_at(bytes, 32)).ok()?,
                offset: u32_at(bytes, 40),
            },
            _ => return None,
        };
        let extent: [u8; 16] = *bytes[8..].first_chunk()?;
        let extent = ExtentId(u128::from_be_bytes(extent));
        let name = ChunkName { extent, index: ChunkIndex::new(bytes[7])? };
        Some(Self { name, copy: CopyNumber(u64_at(bytes, 24)), subject, batch })
    }

    /// Bytes of the whole record in a segment, padded to where the next one starts; `None`
    /// when its lengths can't be those of a chunk.
    pub(super) fn record_bytes(&self) -> Option<usize> {
        match self.subject {
            Subject::Tombstone { .. } => Some(HEADER_BYTES),
            Subject::Chunk { cell_bytes, body_bytes, .. } => {
                Some(Geometry::from_body(cell_bytes, u64::from(body_bytes))?.padded_bytes())
            }
        }
    }
}

/// The lengths of a chunk, from which all its offsets follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of every cell but the last.
    pub(super) cell_bytes: u32,
    /// Bytes of all cells without checksums.
    pub(super) data_bytes: u32,
}

impl Geometry {
    /// The lengths, if they can be those of a chunk.
    pub(super) fn new(cell_bytes: u32, data_bytes: u32) -> Option<Self> {
        let possible = cell_bytes > 0
            && cell_bytes as usize <= MAX_CELL_BYTES
            && data_bytes > 0
            && data_bytes.div_ceil(cell_bytes) <= MAX_CELLS_PER_CHUNK;
        possible.then_some(Self { cell_bytes, data_bytes })
    }

    /// The lengths of a chunk whose cells and checksums take `body_bytes`.
    pub(super) fn from_body(cell_bytes: u32, body_bytes: u64) -> Option<Self> {
        let cell_count = body_bytes.div_ceil(u64::from(cell_bytes) + CHECKSUM_BYTES as u64);
        let data_bytes = body_bytes.checked_sub(cell_count * CHECKSUM_BYTES as u64)?;
        let geometry = Self::new(cell_bytes, u32::try_from(data_bytes).ok()?)?;
        (geometry.body_bytes() == body_bytes).then_some(geometry)
    }

    /// How many cells.
    pub(super) fn cell_count(self) -> u32 {
        self.data_bytes.div_ceil(self.cell_bytes)
    }

    /// Bytes of cell number `cell`.
    pub(super) fn cell_len(self, cell: u32) -> usize {
        let before = self.cell_bytes * cell;
        (self.data_bytes.saturating_sub(before)).min(self.cell_bytes) as usize
    }

    /// Where cell number `cell` starts; for the cell count, where the seal starts.
    pub(super) fn cell_offset(self, cell: u32) -> u64 {
        let data = u64::from(self.data_bytes).min(u64::from(self.cell_bytes) * u64::from(cell));
        HEADER_BYTES as u64 + data + u64::from(cell) * CHECKSUM_BYTES as u64
    }

    /// Bytes of the cells and their checksums.
    pub(super) fn body_bytes(self) -> u64 {
        self.cell_offset(self.cell_count()) - HEADER_BYTES as u64
    }

    /// Bytes of the whole record.
    pub(super) fn total_bytes(self) -> u64 {
        HEADER_BYTES as u64 + self.body_bytes() + SEAL_BYTES as u64
    }

    /// Bytes of the record and of the padding behind it in a segment.
    #[allow(clippy::cast_possible_truncation)] // Far below 2^32, asserted above.
    pub(super) fn padded_bytes(self) -> usize {
        (self.total_bytes() as usize).next_multiple_of(RECORD_ALIGNMENT)
    }
}

/// What closes a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// How many cells.
    pub(super) cell_count: u32,
    /// Bytes of data.
    pub(super) data_bytes: u32,
    /// XXH3 of all cells and their checksums.
    pub(super) content: u64,
}

impl Seal {
    /// The seal's bytes for the chunk copy that it closes.
    pub(super) fn encode(&self, name: ChunkName, copy: CopyNumber) -> [u8; SEAL_BYTES] {
        let mut bytes = [0; SEAL_BYTES];
        bytes[..4].copy_from_slice(&SEAL_MAGIC);
        bytes[4..8].copy_from_slice(&self.cell_count.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.data_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.content.to_le_bytes());
        let checksum = XxHash3_64::oneshot_with_seed(seal_seed(name, copy), &bytes[..24]);
        bytes[24..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the seal of this chunk copy; `None` when it is none or another's.
    pub(super) fn decode(bytes: &[u8], name: ChunkName, copy: CopyNumber) -> Option<Self> {
        let bytes: &[u8; SEAL_BYTES] = bytes.first_chunk()?;
        let checksum = XxHash3_64::oneshot_with_seed(seal_seed(name, copy), &bytes[..24]);
        if bytes[..4] != SEAL_MAGIC || u64_at(bytes, 24) != checksum {
            return None;
        }
        let (cell_count, data_bytes) = (u32_at(bytes, 4), u32_at(bytes, 8));
        Some(Self { cell_count, data_bytes, content: u64_at(bytes, 16) })
    }
}

fn seal_seed(name: ChunkName, copy: CopyNumber) -> u64 {
    let mut place = [0; 25];
    place[..16].copy_from_slice(&name.extent.0.to_be_bytes());
    place[16] = name.index.get();
    place[17..].copy_from_slice(&copy.0.to_le_bytes());
    XxHash3_64::oneshot(&place)
}

/// One line of a sealed segment's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// The record's header; its batch is not kept.
    pub(super) header: Header,
    /// Where the record starts.
    pub(super) offset: u32,
}

/// The index and trailer that seal the segment `segment`, to stand at `offset`.
pub(super) fn encode_index(segment: u32, offset: u32, entries: &[IndexEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * INDEX_ENTRY_BYTES + TRAILER_BYTES);
    for entry in entries {
        // The checksum is not taken over: any key serves.
        let header = entry.header.encode(DriveKey(0));
        bytes.extend_from_slice(&header[4..44]);
        bytes.extend_from_slice(&header[44..48]);
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
    }
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..8].copy_from_slice(&INDEX_MAGIC);
    trailer[8..16].copy_from_slice(&u64::from(segment).to_le_bytes());
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    trailer[16..20].copy_from_slice(&count.to_le_bytes());
    trailer[20..24].copy_from_slice(&offset.to_le_bytes());
    trailer[24..32].copy_from_slice(&XxHash3_64::oneshot(&bytes).to_le_bytes());
    let checksum = XxHash3_64::oneshot(&trailer[..32]);
    trailer[32..].copy_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&trailer);
    bytes
}

/// What the end of a sealed segment says about its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    /// The segment.
    pub(super) segment: u32,
    /// How many entries.
    pub(super) entry_count: u32,
    /// Where the first one starts.
    pub(super) offset: u32,
    checksum: u64,
}

impl Trailer {
    /// Reads a trailer; `None` when the segment was not sealed or its end is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; TRAILER_BYTES] = bytes.first_chunk()?;
        if bytes[..8] != INDEX_MAGIC || u64_at(bytes, 32) != XxHash3_64::oneshot(&bytes[..32]) {
            return None;
        }
        Some(Self {
            segment: u32::try_from(u64_at(bytes, 8)).ok()?,
            entry_count: u32_at(bytes, 16),
            offset: u32_at(bytes, 20),
            checksum: u64_at(bytes, 24),
        })
    }

    /// Reads the entries; `None` when they are damaged.
    pub(super) fn entries(&self, bytes: &[u8]) -> Option<Vec<IndexEntry>> {
        let length = self.entry_count as usize * INDEX_ENTRY_BYTES;
        if bytes.len() != length || XxHash3_64::oneshot(bytes) != self.checksum {
            return None;
        }
        bytes.chunks_exact(INDEX_ENTRY_BYTES).map(decode_index_entry).collect()
    }
}

fn decode_index_entry(bytes: &[u8]) -> Option<IndexEntry> {
    let mut fields = [0; 44];
    fields[4..].copy_from_slice(&bytes[..40]);
    let header = Header::from_fields(&fields, u32_at(bytes, 40), 0)?;
    Some(IndexEntry { header, offset: u32_at(bytes, 44) })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

#[cfg(test)]
mod tests;
