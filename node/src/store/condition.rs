//! How a node is, by its own word.

use super::drive::Room;
use super::{Store, lock};
use sixfold_proto::chunks::{DriveState, Health, NodeError};

impl Store {
    /// Who the node is and how it is. Asks the file system for its numbers, which blocks.
    pub fn condition(&self) -> Result<Health, NodeError> {
        Ok(self.health_with(self.inner.room_blocking()?))
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> u64 {
        lock(&self.inner.index).len() as u64
    }

    /// Who the node is and how it is; its numbers may be a moment old.
    pub(super) async fn ask_health(&self) -> Result<Health, NodeError> {
        Ok(self.health_with(self.inner.room().await?))
    }

    /// How the node is on a drive with this much room in all and free.
    pub(super) fn health_with(&self, (capacity, free): Room) -> Health {
        let kept_back = self.inner.options.reserve_of(capacity);
        let state = self.inner.state(free, kept_back);
        let (chunks, claimed) = {
            let index = lock(&self.inner.index);
            (index.len(), index.claimed_count())
        };
        // A draining node is empty when nothing is under way to it, either.
        let under_way = if state == DriveState::Draining { claimed } else { 0 };
        Health {
            node: self.node(),
            state,
            capacity_bytes: capacity,
            free_bytes: free.saturating_sub(kept_back),
            chunk_count: (chunks + under_way) as u64,
            memory: self.memory(),
        }
    }
}
