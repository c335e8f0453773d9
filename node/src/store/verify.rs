//! What the scrub needs of a store: cells read from the drive and verified, and how busy it is.

use super::read::OpenChunk;
use super::{Inner, Store, blocking, lock};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::NodeError;
use sixfold_proto::name::ChunkName;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Store {
    /// Reads these cells of a chunk, as many as it has, from the drive and not from memory, and
    /// answers the numbers of those that fail their checksum. Structural damage is
    /// [`NodeError::Damaged`], as in a read.
    pub async fn verify(
        &self,
        name: ChunkName,
        key: CellKey,
        cells: Range<u32>,
    ) -> Result<Vec<u32>, NodeError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || OpenChunk::find(&inner, name)?.rotten_cells(key, cells)).await
    }

    /// Bytes of all chunks, without checksums and headers.
    pub fn stored_bytes(&self) -> u64 {
        lock(&self.inner.index).size_bytes()
    }

    /// Grows with every piece of up to a MiB that callers read or write: how busy the drive is.
    pub fn activity(&self) -> u64 {
        self.inner.activity.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// A caller reads or writes a piece of up to a MiB.
    pub(super) fn note_activity(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}
