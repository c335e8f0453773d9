//! Room for stripes: what bounds the memory of all bodies of the process together.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Up to this size bytes need no room of their own: they are bounded by the number of connections,
/// and somebody who sends or takes a byte a second must not hold a whole stripe's room.
pub(super) const SMALL_BYTES: usize = 64 * 1024;

/// Room for one stripe; given back when dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// All the room there is.
pub(super) struct Memory {
    stripes: Arc<Semaphore>,
    total: usize,
}

/// No room was free within the time.
pub(super) struct NoRoom {
    pub(super) waited_ms: u128,
}

impl Memory {
    pub(super) fn new(stripes: usize) -> Self {
        Self { stripes: Arc::new(Semaphore::new(stripes)), total: stripes }
    }

    /// Waits for room, at most `wait`.
    pub(super) async fn room(&self, wait: Duration) -> Result<Room, NoRoom> {
        let room = tokio::time::timeout(wait, Arc::clone(&self.stripes).acquire_owned()).await;
        // The semaphore is never closed, so that only the time can run out.
        room.ok().and_then(Result::ok).ok_or(NoRoom { waited_ms: wait.as_millis() })
    }

    /// Whether so little is free that nobody should take room for what is not needed at once.
    pub(super) fn is_scarce(&self) -> bool {
        self.stripes.available_permits() < self.total / 2
    }

    /// Stripes in memory now.
    pub(super) fn in_use(&self) -> usize {
        self.total - self.stripes.available_permits()
    }
}
