//! Calls that come at the same time share a round trip: while calls run, what is asked meanwhile
//! gathers, and the next call takes all of it that fits together. A call that comes alone goes
//! at once.

use super::super::{MetaError, Result};
use sqlx::PgPool;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A call that takes longer is waited for no more by those behind it: it waits for a lock that
/// is held elsewhere, and must not hold up what does not need that lock. The pool bounds how
/// many there can be.
const SLOW_CALL: Duration = Duration::from_millis(50);

/// One of several things that a statement can do together.
pub(super) trait Together: Send + Sized + 'static {
    /// What it answers.
    type Answer: Send + 'static;
    /// The most items of one call.
    const ITEMS: usize;
    /// Calls at once. More of them would be shorter, and cost more together.
    const CALLS: usize;

    /// Whether it may stand in one call with `others`, of which there is at least one.
    fn fits(&self, others: &[Self]) -> bool;

    /// One call: an answer for each item, in their order.
    fn call(pool: &PgPool, items: Vec<Self>) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// Gathers items. A cheap handle.
pub(super) struct Gathering<T: Together> {
    pool: PgPool,
    state: Arc<Mutex<State<T>>>,
}

struct State<T: Together> {
    /// As many at most as requests may run in the process.
    waiting: VecDeque<Waiting<T>>,
    running: usize,
}

struct Waiting<T: Together> {
    item: T,
    reply: oneshot::Sender<T::Answer>,
}

impl<T: Together> Gathering<T> {
    pub(super) fn new(pool: &PgPool) -> Self {
        let state = State { waiting: VecDeque::new(), running: 0 };
        Self { pool: pool.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Asks, together with whoever asks at this time. An item whose asker has gone away before
    /// its turn is left out.
    pub(super) async fn ask(&self, item: T) -> Result<T::Answer> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            state.waiting.push_back(Waiting { item, reply });
            if state.running < T::CALLS {
                state.running += 1;
                tokio::spawn(self.clone().run());
            }
        }
        answer.await.map_err(|_| MetaError::Unavailable("the call was cut off".to_owned()))
    }

    /// Calls until nothing waits.
    async fn run(self) {
        let mut running = Running { state: &self.state, has_ended: false };
        while let Some(batch) = running.next() {
            let pool = self.pool.clone();
            let mut call = Box::pin(async move {
                let (items, replies): (Vec<_>, Vec<_>) =
                    batch.into_iter().map(|waiting| (waiting.item, waiting.reply)).unzip();
                for (answer, reply) in T::call(&pool, items).await.into_iter().zip(replies) {
                    // Whoever has gone away does not want to know.
                    let _ = reply.send(answer);
                }
            });
            if tokio::time::timeout(SLOW_CALL, &mut call).await.is_err() {
                tokio::spawn(call);
            }
        }
    }
}

impl<T: Together> Clone for Gathering<T> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), state: Arc::clone(&self.state) }
    }
}

impl<T: Together> std::fmt::Debug for Gathering<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathering")
            .field("waiting", &lock(&self.state).waiting.len())
            .finish_non_exhaustive()
    }
}

/// One place among the calls that run; given back also when a call panics.
struct Running<'a, T: Together> {
    state: &'a Mutex<State<T>>,
    has_ended: bool,
}

impl<T: Together> Running<'_, T> {
    /// The items of the next call. `None`: there are none, and the place is given back.
    fn next(&mut self) -> Option<Vec<Waiting<T>>> {
        let mut state = lock(self.state);
        let mut items = Vec::new();
        let mut replies = Vec::new();
        let mut left = VecDeque::new();
        while let Some(Waiting { item, reply }) = state.waiting.pop_front() {
            if reply.is_closed() {
                continue;
            }
            if items.is_empty() || items.len() < T::ITEMS && item.fits(&items) {
                items.push(item);
                replies.push(reply);
            } else {
                left.push_back(Waiting { item, reply });
            }
        }
        state.waiting = left;
        if items.is_empty() {
            self.has_ended = true;
            state.running -= 1;
            return None;
        }
        let batch = items.into_iter().zip(replies);
        Some(batch.map(|(item, reply)| Waiting { item, reply }).collect())
    }
}

impl<T: Together> Drop for Running<'_, T> {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(self.state).running -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
