//! Room for stripes: what bounds the memory of all bodies of the process together.

use crate::pressure::Pressure;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long room is waited for before a slow client is asked to go, again and again: longer than
/// the stripes of fast clients take, much shorter than a request waits.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Up to this size bytes need no room of their own: they are bounded by the number of connections,
/// and somebody who sends or takes a byte a second must not hold a whole stripe's room.
pub(super) const SMALL_BYTES: usize = 64 * 1024;

/// Room for one stripe; given back when dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// All the room there is.
pub(super) struct Memory {
    stripes: Arc<Semaphore>,
    total: usize,
    pressure: Pressure,
}

/// No room was free within the time.
pub(super) struct NoRoom {
    pub(super) waited_ms: u128,
}

impl Memory {
    pub(super) fn new(stripes: usize, pressure: Pressure) -> Self {
        Self { stripes: Arc::new(Semaphore::new(stripes)), total: stripes, pressure }
    }

    /// What the clients that hold room are told by.
    pub(super) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    /// Waits for room, at most `wait`.
    pub(super) async fn room(&self, wait: Duration) -> Result<Room, NoRoom> {
        let room = tokio::time::timeout(wait, self.room_asked_for()).await;
        // The semaphore is never closed, so that only the time can run out.
        room.ok().flatten().ok_or(NoRoom { waited_ms: wait.as_millis() })
    }

    /// Waits for room in its turn, and asks slow clients to go meanwhile.
    async fn room_asked_for(&self) -> Option<Room> {
        let mut room = std::pin::pin!(Arc::clone(&self.stripes).acquire_owned());
        let mut asked = 0;
        loop {
            if let Ok(room) = tokio::time::timeout(ASK_EVERY, room.as_mut()).await {
                // What nobody has followed yet is no longer wanted.
                (0..asked).for_each(|_| self.pressure.withdraw());
                return room.ok();
            }
            self.pressure.ask();
            asked += 1;
        }
    }

    /// Whether so little is free that nobody should take room for what is not needed at once.
    pub(super) fn is_scarce(&self) -> bool {
        self.stripes.available_permits() < self.total / 2
    }

    /// Stripes in memory now.
    pub(super) fn in_use(&self) -> usize {
        self.total - self.stripes.available_permits()
    }

    /// How many there may be.
    pub(super) fn total(&self) -> usize {
        self.total
    }
}
