//! Bytes per second that background work keeps to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When the next bytes may go, so that all together keep to so many per second.
#[derive(Debug)]
pub struct BytePace {
    bytes_per_second: u64,
    next: Mutex<Instant>,
}

impl BytePace {
    /// With so many MiB per second, one at the least.
    pub fn new(mib_per_s: u32) -> Self {
        let bytes_per_second = u64::from(mib_per_s.max(1)) << 20;
        Self { bytes_per_second, next: Mutex::new(Instant::now()) }
    }

    /// Waits until these bytes may go, behind those that asked before.
    pub(super) async fn wait(&self, bytes: u64) {
        let start = self.reserve(bytes);
        tokio::time::sleep_until(start).await;
    }

    /// Waits until something may go, whatever its size, or until `limit` is over; says which.
    pub async fn is_ready_within(&self, limit: Duration) -> bool {
        let ready = *self.next();
        let until = Instant::now() + limit;
        tokio::time::sleep_until(ready.min(until)).await;
        ready <= until
    }

    /// Notes that these bytes go.
    pub fn spend(&self, bytes: u64) {
        self.reserve(bytes);
    }

    /// When they may go.
    fn reserve(&self, bytes: u64) -> Instant {
        let mut next = self.next();
        let start = (*next).max(Instant::now());
        *next = start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        start
    }

    fn next(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn what_went_holds_up_what_comes() {
        let (pace, begun) = (BytePace::new(2), Instant::now());
        pace.wait(8 * MIB).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(!pace.is_ready_within(Duration::from_secs(3)).await);
        assert!(pace.is_ready_within(Duration::from_secs(3)).await);
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
        pace.spend(2 * MIB);
        pace.wait(0).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }
}
