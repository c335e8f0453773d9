//! Which chunks the drive has and where: an ordered map in memory, so that a list reads no
//! bytes. A chunk takes [`BYTES_PER_CHUNK`] in it.

use sixfold_proto::chunks::{ChunkEntry, NodeError};
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

/// Memory of a chunk in the index. With the slack of the tree's nodes, which are three
/// quarters full on average, it stays below 48 bytes.
pub(super) const BYTES_PER_CHUNK: usize = 36;
const _: () = assert!(size_of::<Key>() + size_of::<Value>() == BYTES_PER_CHUNK);

/// Copy numbers have 48 bits here and in no other place fewer.
pub(super) const MAX_COPY_NUMBER: u64 = (1 << 48) - 1;

/// Where a chunk's record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file of its own.
    File,
    /// In a segment.
    Segment {
        /// The segment's number, from 1.
        segment: u32,
        /// The record's offset in it.
        offset: u32,
    },
}

/// A chunk's entry and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// What is told about it.
    pub(super) entry: ChunkEntry,
    /// Where it stands.
    pub(super) place: Place,
}

/// A name: extent in big-endian, so that bytes and names have one order, then the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key([u8; 17]);

/// The rest, packed: copy number 6 bytes, data bytes 4, cell count 1, segment 4 (0 for a
/// file), offset 4.
#[derive(Clone, Copy)]
struct Value([u8; 19]);

impl Key {
    fn new(name: ChunkName) -> Self {
        let mut bytes = [0; 17];
        bytes[..16].copy_from_slice(&name.extent.0.to_be_bytes());
        bytes[16] = name.index.get();
        Self(bytes)
    }

    fn name(self) -> Option<ChunkName> {
        let extent = ExtentId(u128::from_be_bytes(*self.0.first_chunk()?));
        Some(ChunkName { extent, index: ChunkIndex::new(self.0[16])? })
    }
}

impl Value {
    fn new(located: &Located) -> Self {
        let mut bytes = [0; 19];
        let (segment, offset) = match located.place {
            Place::File => (0, 0),
            Place::Segment { segment, offset } => (segment, offset),
        };
        let size = u32::try_from(located.entry.size_bytes).unwrap_or(u32::MAX);
        let cells = u8::try_from(located.entry.cell_count).unwrap_or(u8::MAX);
        bytes[..6].copy_from_slice(&located.entry.copy.0.to_le_bytes()[..6]);
        bytes[6..10].copy_from_slice(&size.to_le_bytes());
        bytes[10] = cells;
        bytes[11..15].copy_from_slice(&segment.to_le_bytes());
        bytes[15..].copy_from_slice(&offset.to_le_bytes());
        Self(bytes)
    }

    fn u32_at(self, at: usize) -> u32 {
        let mut field = [0; 4];
        field.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(field)
    }

    fn located(self, name: ChunkName, writer: LeaseId) -> Located {
        let mut copy = [0; 8];
        copy[..6].copy_from_slice(&self.0[..6]);
        let entry = ChunkEntry {
            name,
            copy: CopyNumber(u64::from_le_bytes(copy)),
            writer,
            size_bytes: u64::from(self.u32_at(6)),
            cell_count: u32::from(self.0[10]),
        };
        let place = match self.u32_at(11) {
            0 => Place::File,
            segment => Place::Segment { segment, offset: self.u32_at(15) },
        };
        Located { entry, place }
    }
}

/// The map.
#[derive(Default)]
pub(super) struct Index {
    chunks: BTreeMap<Key, Value>,
    /// Writers of the chunks whose writer is not the lease in their extent's id: what healers
    /// and movers wrote. Few, so they are kept apart.
    foreign_writers: HashMap<ChunkName, LeaseId>,
    /// Bytes of all chunks.
    size_bytes: u64,
    /// Names that are being written or deleted right now.
    claimed: HashSet<ChunkName>,
}

impl Index {
    /// The chunk of this name.
    pub(super) fn get(&self, name: ChunkName) -> Option<Located> {
        let value = self.chunks.get(&Key::new(name))?;
        Some(value.located(name, self.writer(name)))
    }

    /// Puts a chunk in the place of the one of the same name, which is answered.
    pub(super) fn insert(&mut self, located: &Located) -> Option<Located> {
        let name = located.entry.name;
        let old_writer = self.writer(name);
        if located.entry.writer == name.extent.lease() {
            self.foreign_writers.remove(&name);
        } else {
            self.foreign_writers.insert(name, located.entry.writer);
        }
        self.size_bytes += located.entry.size_bytes;
        let old = self.chunks.insert(Key::new(name), Value::new(located))?;
        let old = old.located(name, old_writer);
        self.size_bytes -= old.entry.size_bytes;
        Some(old)
    }

    /// Takes a chunk out.
    pub(super) fn remove(&mut self, name: ChunkName) -> Option<Located> {
        let writer = self.writer(name);
        let value = self.chunks.remove(&Key::new(name))?;
        self.foreign_writers.remove(&name);
        let removed = value.located(name, writer);
        self.size_bytes -= removed.entry.size_bytes;
        Some(removed)
    }

    /// Up to `limit` chunks behind `after`, in order of name.
    pub(super) fn list(&self, after: Option<ChunkName>, limit: usize) -> Vec<ChunkEntry> {
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(Key::new(name)));
        self.chunks
            .range((from, Bound::Unbounded))
            .filter_map(|(key, value)| {
                let name = key.name()?;
                Some(value.located(name, self.writer(name)).entry)
            })
            .take(limit)
            .collect()
    }

    /// How many chunks.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// How many are being written or deleted.
    pub(super) fn claimed_count(&self) -> usize {
        self.claimed.len()
    }

    /// Bytes of all chunks, without checksums and headers.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn writer(&self, name: ChunkName) -> LeaseId {
        self.foreign_writers.get(&name).copied().unwrap_or(name.extent.lease())
    }
}

/// The right to write or delete a name, given back when dropped. Two calls on one name would
/// otherwise have to agree on whose copy is the newer.
pub(super) struct Claim {
    index: Arc<Mutex<Index>>,
    name: ChunkName,
}

impl Claim {
    /// Claims a name; a caller that meets another one tries again later.
    pub(super) fn take(index: &Arc<Mutex<Index>>, name: ChunkName) -> Result<Self, NodeError> {
        if !super::lock(index).claimed.insert(name) {
            let text = format!("another call is writing or deleting chunk {name}");
            return Err(NodeError::Unavailable(text));
        }
        Ok(Self { index: Arc::clone(index), name })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        super::lock(&self.index).claimed.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            extent: u128, index in 0_u8..6, copy in 0..=MAX_COPY_NUMBER, writer: u64,
            own: bool, size in 1_u64..=33_554_432, cells in 1_u32..=128, place: Option<(u32, u32)>,
        ) {
            let extent = ExtentId(extent);
            let name = ChunkName { extent, index: ChunkIndex::new(index).unwrap() };
            let place = place.map_or(Place::File, |(segment, offset)| {
                Place::Segment { segment: segment.max(1), offset }
            });
            let entry = ChunkEntry {
                name,
                copy: CopyNumber(copy),
                writer: if own { extent.lease() } else { LeaseId(writer) },
                size_bytes: size,
                cell_count: cells,
            };
            let located = Located { entry, place };
            let mut map = Index::default();
            prop_assert_eq!(map.insert(&located), None);
            prop_assert_eq!(map.get(name), Some(located));
            prop_assert_eq!(map.list(None, 10), vec![entry]);
            prop_assert_eq!(map.list(Some(name), 10), vec![]);
            prop_assert_eq!(map.insert(&located), Some(located));
            prop_assert_eq!(map.size_bytes(), size);
            prop_assert_eq!(map.remove(name), Some(located));
            prop_assert_eq!(map.size_bytes(), 0);
            prop_assert_eq!(map.len(), 0);
        }
    }

    #[test]
    fn a_claim_excludes_another_until_dropped() {
        let index = Arc::new(Mutex::new(Index::default()));
        let name = ChunkName { extent: ExtentId(1), index: ChunkIndex::ALL[0] };
        let claim = Claim::take(&index, name).unwrap();
        assert!(matches!(Claim::take(&index, name), Err(NodeError::Unavailable(_))));
        drop(claim);
        assert!(Claim::take(&index, name).is_ok());
    }
}
