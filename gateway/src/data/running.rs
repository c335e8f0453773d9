//! The reads that are running: freed chunks wait for the oldest of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// All running reads, by the order of their begin.
#[derive(Default)]
pub(super) struct RunningReads(Mutex<Begins>);

#[derive(Default)]
struct Begins {
    next: u64,
    begins: BTreeMap<u64, Instant>,
}

/// One running read; it has ended when this is dropped.
pub(super) struct RunningRead {
    reads: Arc<RunningReads>,
    number: u64,
}

impl RunningReads {
    pub(super) fn begin(self: &Arc<Self>) -> RunningRead {
        let mut begins = self.begins();
        let number = begins.next;
        begins.next += 1;
        begins.begins.insert(number, Instant::now());
        RunningRead { reads: Arc::clone(self), number }
    }

    pub(super) fn oldest(&self) -> Option<Duration> {
        self.begins().begins.first_key_value().map(|(_, begin)| begin.elapsed())
    }

    fn begins(&self) -> MutexGuard<'_, Begins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningRead {
    fn drop(&mut self) {
        self.reads.begins().begins.remove(&self.number);
    }
}
