//! Calls that come at the same time share a round trip: while calls run, what is asked meanwhile
//! gathers, and the next call takes all of it that fits together. A call that comes alone goes
//! at once, and so does a second one in quiet times; in busy ones what would go with it costs less in
//! the call after the one that runs. A call begins after all that it answers was asked, so that a
//! look-up sees whatever was committed before it.

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

/// Fewer items than these in the calls that run make a quiet time.
const QUIET_ITEMS: usize = 4;

/// One of several things that a statement can do together.
pub(super) trait Together: Send + Sized + 'static {
    /// What it answers.
    type Answer: Send + 'static;
    /// The most items of one call.
    const ITEMS: usize;
    /// Calls at once, in quiet times or when more waits than one can take.
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
    /// Items in the calls that run.
    called: usize,
}

impl<T: Together> State<T> {
    /// Whether another call may begin.
    fn may_call(&self) -> bool {
        self.called < QUIET_ITEMS || self.waiting.len() >= T::ITEMS
    }
}

struct Waiting<T: Together> {
    item: T,
    reply: oneshot::Sender<T::Answer>,
}

impl<T: Together> Gathering<T> {
    pub(super) fn new(pool: &PgPool) -> Self {
        let state = State { waiting: VecDeque::new(), runners: 0, idle: 0, called: 0 };
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
            if !state.may_call() {
                // A runner looks when its call ends.
            } else if state.idle > 0 {
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
        let mut runner = Runner { state: &self.state, called: 0, has_ended: false };
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
    /// Items in its call.
    called: usize,
    has_ended: bool,
}

impl<T: Together> Runner<'_, T> {
    /// The items of the next call. `None`: there are none, or another runner takes them after its
    /// call, and this one counts as idle.
    fn next(&mut self) -> Option<Vec<Waiting<T>>> {
        let mut state = lock(self.state);
        state.called -= std::mem::take(&mut self.called);
        if !state.may_call() {
            state.idle += 1;
            return None;
        }
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
        self.called = items.len();
        state.called += self.called;
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
            let mut state = lock(self.state);
            state.runners -= 1;
            state.called -= self.called;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    /// How long a call takes.
    const CALL: Duration = Duration::from_millis(10);

    /// Answered with the number of items in its call.
    struct Counted;

    impl Together for Counted {
        type Answer = usize;
        const ITEMS: usize = 64;
        const CALLS: usize = 2;

        fn fits(&self, _others: &[Self]) -> bool {
            true
        }

        async fn call(_line: &mut Line, items: Vec<Self>) -> Vec<usize> {
            sleep(CALL).await;
            vec![items.len(); items.len()]
        }
    }

    async fn ask(gathering: &Gathering<Counted>, count: usize, after: Duration) -> Vec<usize> {
        sleep(after).await;
        let answers = join_all((0..count).map(|_| gathering.ask(Counted))).await;
        answers.into_iter().map(|answer| answer.unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_gathers_in_busy_times_only() {
        let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/nothing").unwrap();
        let (gathering, start) = (Gathering::new(&pool), Instant::now());
        let at = Duration::from_millis;
        // In a quiet time the second does not wait for the first.
        let quiet = async { (ask(&gathering, 1, at(1)).await, start.elapsed()) };
        let (first, (second, took)) = tokio::join!(ask(&gathering, 1, at(0)), quiet);
        assert_eq!((first, second), (vec![1], vec![1]));
        assert!(took < CALL * 2, "{took:?}");
        // In a busy one all who come go together, in the call after the one that runs.
        let (first, second, third) = tokio::join!(
            ask(&gathering, QUIET_ITEMS, at(0)),
            ask(&gathering, 2, at(1)),
            ask(&gathering, 3, at(2)),
        );
        assert_eq!((first, second, third), (vec![4; 4], vec![5; 2], vec![5; 3]));
        // What does not go into one call begins another.
        let (first, second) = tokio::join!(
            ask(&gathering, QUIET_ITEMS, at(0)),
            ask(&gathering, Counted::ITEMS, at(1)),
        );
        assert_eq!((first, second), (vec![4; 4], vec![64; 64]));
        // And nothing was left.
        assert_eq!(lock(&gathering.state).called, 0);
    }
}
