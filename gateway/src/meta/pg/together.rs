//! Calls that come at the same time share a round trip: while calls run, what is asked meanwhile
//! gathers, and the next call takes all of it that fits together. A call that comes alone goes
//! at once. A call begins after all that it answers was asked, so that a look-up sees whatever was
//! committed before it.

use super::super::{MetaError, Result};
use super::connect::{Line, TRUSTED_IDLE};
use sqlx::PgPool;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

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
    fn call(line: &mut Line, items: Vec<Self>) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// Gathers items. A cheap handle.
pub(super) struct Gathering<T: Together> {
    pool: PgPool,
    state: Arc<Mutex<State<T>>>,
    /// A permit for each idle runner that is to go on.
    woken: Arc<Semaphore>,
}

struct State<T: Together> {
    /// As many at most as requests may run in the process.
    waiting: VecDeque<Waiting<T>>,
    /// Tasks that make one call after the other, the idle ones among them.
    runners: usize,
    /// Those with nothing to do, who keep their connections for a while.
    idle: usize,
}

struct Waiting<T: Together> {
    item: T,
    reply: oneshot::Sender<T::Answer>,
}

impl<T: Together> Gathering<T> {
    pub(super) fn new(pool: &PgPool) -> Self {
        let state = State { waiting: VecDeque::new(), runners: 0, idle: 0 };
        let woken = Arc::new(Semaphore::new(0));
        Self { pool: pool.clone(), state: Arc::new(Mutex::new(state)), woken }
    }

    /// Asks, together with whoever asks at this time. An item whose asker has gone away before
    /// its turn is left out.
    pub(super) async fn ask(&self, item: T) -> Result<T::Answer> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            state.waiting.push_back(Waiting { item, reply });
            if state.idle > 0 {
                state.idle -= 1;
                self.woken.add_permits(1);
            } else if state.runners < T::CALLS {
                state.runners += 1;
                tokio::spawn(self.clone().run());
            }
        }
        answer.await.map_err(|_| MetaError::Unavailable("the call was cut off".to_owned()))
    }

    /// Calls as long as there is something to ask, and a moment longer.
    async fn run(self) {
        let mut runner = Runner { state: &self.state, has_ended: false };
        let mut line = Line::new(&self.pool);
        loop {
            while let Some(batch) = runner.next() {
                line = self.call(line, batch).await;
            }
            if !self.is_woken(&mut runner).await {
                return;
            }
        }
    }

    /// One call. Gives back a line for the next: another one when this takes long.
    async fn call(&self, mut line: Line, batch: Vec<Waiting<T>>) -> Line {
        let mut call = Box::pin(async move {
            let (items, replies): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.item, waiting.reply)).unzip();
            for (answer, reply) in T::call(&mut line, items).await.into_iter().zip(replies) {
                // Whoever has gone away does not want to know.
                let _ = reply.send(answer);
            }
            line
        });
        if let Ok(line) = tokio::time::timeout(SLOW_CALL, &mut call).await {
            return line;
        }
        tokio::spawn(call);
        Line::new(&self.pool)
    }

    /// Waits until there is something to ask, not longer than an idle connection is trusted, nor
    /// when the pool waits for it. `false`: the runner has ended.
    async fn is_woken(&self, runner: &mut Runner<'_, T>) -> bool {
        let is_woken = tokio::select! {
            is_woken = self.permit() => is_woken,
            () = tokio::time::sleep(TRUSTED_IDLE) => false,
            () = self.pool.close_event() => false,
        };
        if is_woken || runner.end_if_idle() {
            return is_woken;
        }
        // It was woken at the last moment, and its permit is there.
        self.permit().await
    }

    async fn permit(&self) -> bool {
        self.woken.acquire().await.map(SemaphorePermit::forget).is_ok()
    }
}

impl<T: Together> Clone for Gathering<T> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            state: Arc::clone(&self.state),
            woken: Arc::clone(&self.woken),
        }
    }
}

impl<T: Together> std::fmt::Debug for Gathering<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathering")
            .field("waiting", &lock(&self.state).waiting.len())
            .finish_non_exhaustive()
    }
}

/// One of the tasks that call; counted off also when a call panics.
struct Runner<'a, T: Together> {
    state: &'a Mutex<State<T>>,
    has_ended: bool,
}

impl<T: Together> Runner<'_, T> {
    /// The items of the next call. `None`: there are none, and the runner counts as idle.
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
            state.idle += 1;
            return None;
        }
        let batch = items.into_iter().zip(replies);
        Some(batch.map(|(item, reply)| Waiting { item, reply }).collect())
    }
    /// Ends an idle runner. `false`: it was woken at the last moment.
    fn end_if_idle(&mut self) -> bool {
        let mut state = lock(self.state);
        if state.idle == 0 {
            return false;
        }
        state.idle -= 1;
        state.runners -= 1;
        self.has_ended = true;
        true
    }
}

impl<T: Together> Drop for Runner<'_, T> {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(self.state).runners -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
