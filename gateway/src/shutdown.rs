//! One token, one tracker, one deadline: how the process stops.
//!
//! Everything long-lived is spawned here under a name and watches the token. When it is
//! cancelled, all have until the deadline; what has not finished by then is named. What tells others
//! about the stop itself, such as the health probes, goes last.

use crate::points::in_process;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests and jobs in progress have once the process was asked to stop: below the
/// 30 s after which container runtimes kill.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How long what goes last has beyond that.
const LAST: Duration = Duration::from_secs(1);

/// The process's stop. Clones share everything.
#[derive(Clone, Debug)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
    last: (CancellationToken, TaskTracker),
    running: Arc<Mutex<Running>>,
    deadline: Duration,
}

/// The names of what runs, by a number that is given once.
#[derive(Debug, Default)]
struct Running {
    next: u64,
    names: BTreeMap<u64, String>,
}

impl Shutdown {
    /// A stop that gives everything `deadline` to finish.
    pub fn new(deadline: Duration) -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            last: (CancellationToken::new(), TaskTracker::new()),
            running: Arc::default(),
            deadline,
        }
    }

    /// Cancelled when the process is to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs a task that is waited for at the stop.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&self.tracker, name, task);
    }

    /// Cancelled when everything else has stopped, or had its time.
    pub fn last_token(&self) -> &CancellationToken {
        &self.last.0
    }

    /// Runs a task that goes on while the others stop, and watches [`Shutdown::last_token`].
    pub fn spawn_last(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn_on(&self.last.1, name, task);
    }

    fn spawn_on(
        &self,
        tracker: &TaskTracker,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let entry = self.enter(name.into());
        tracker.spawn(in_process(async move {
            task.await;
            drop(entry);
        }));
    }

    /// Asks everything to stop and waits. Answers the names of what did not finish in time.
    pub async fn finish(&self) -> Vec<String> {
        self.token.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(self.deadline, self.tracker.wait()).await;
        let (token, last) = &self.last;
        token.cancel();
        last.close();
        let last = tokio::time::timeout(LAST, last.wait()).await;
        if ended.and(last).is_ok() {
            return Vec::new();
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.names.values().cloned().collect()
    }

    fn enter(&self, name: String) -> Entry {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let number = running.next;
        running.next += 1;
        running.names.insert(number, name);
        Entry { running: self.running.clone(), number }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new(DEADLINE)
    }
}

/// A name in the list of what runs; leaves it when dropped, also by a panic.
struct Entry {
    running: Arc<Mutex<Running>>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.names.remove(&self.number);
    }
}

/// What asks the process to stop. From its making on a signal no longer ends the process by
/// itself, so it is made before anything is started that has to be stopped.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for SIGTERM or SIGINT and says which came. One that came before is not lost.
    pub async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_watches_the_token_ends_in_time() {
        let shutdown = Shutdown::default();
        let token = shutdown.token().clone();
        shutdown.spawn("obedient", async move { token.cancelled().await });
        assert_eq!(shutdown.finish().await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_goes_last_outlives_the_others() {
        let shutdown = Shutdown::default();
        let (token, last) = (shutdown.token().clone(), shutdown.last_token().clone());
        let after = last.clone();
        shutdown.spawn("first", async move {
            token.cancelled().await;
            tokio::task::yield_now().await;
            assert!(!after.is_cancelled());
        });
        shutdown.spawn_last("last", async move { last.cancelled().await });
        assert_eq!(shutdown.finish().await, Vec::<String>::new());
        let shutdown = Shutdown::default();
        shutdown.spawn_last("stubborn", std::future::pending());
        assert_eq!(shutdown.finish().await, ["stubborn"]);
    }

    #[tokio::test]
    async fn what_does_not_is_named() {
        let shutdown = Shutdown::new(Duration::from_millis(50));
        shutdown.spawn("done", async {});
        shutdown.spawn("stubborn", std::future::pending());
        assert_eq!(shutdown.finish().await, ["stubborn"]);
    }
}
