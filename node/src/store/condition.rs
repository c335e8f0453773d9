//! How a node is, by its own word.

use super::{Store, lock, unavailable};
use sixfold_proto::chunks::{DriveState, Health, NodeError};

impl Store {
    /// Who the node is and how it is; reads the file system's numbers, nothing else.
    pub fn condition(&self) -> Result<Health, NodeError> {
        let room = self.inner.drive.room();
        let (capacity, free) = room.map_err(|e| unavailable("the drive's size", &e))?;
        let kept_back = self.inner.options.reserve_of(capacity);
        let state = self.inner.state(free, kept_back);
        let (chunks, claimed) = {
            let index = lock(&self.inner.index);
            (index.len(), index.claimed_count())
        };
        // A draining node is empty when nothing is under way to it, either.
        let under_way = if state == DriveState::Draining { claimed } else { 0 };
        Ok(Health {
            node: self.node(),
            state,
            capacity_bytes: capacity,
            free_bytes: free.saturating_sub(kept_back),
            chunk_count: (chunks + under_way) as u64,
            memory: self.memory(),
        })
    }
}
