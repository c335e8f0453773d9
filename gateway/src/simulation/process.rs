//! Processes within one process. All tasks of a simulated process are polled through it: a paused
//! one is not polled until it goes on, a killed one never again. To the others that looks like
//! a stopped or dead machine, since all that a gateway does it does by calls.

use super::world::world;
use futures::FutureExt;
use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Process>>> = const { RefCell::new(None) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    Dead,
}

/// One simulated process.
pub(crate) struct Process {
    pub(super) name: String,
    state: Mutex<State>,
    died: Notify,
}

struct State {
    life: Life,
    /// Tasks that wanted to run while it was paused.
    waiting: Vec<Waker>,
    /// Since when it has been running.
    since: Instant,
    /// How much its clock is ahead of the right time; negative: behind.
    clock_ahead: time::Duration,
}

impl Process {
    pub(super) fn new(name: String) -> Arc<Self> {
        let state = State {
            life: Life::Running,
            waiting: Vec::new(),
            since: Instant::now(),
            clock_ahead: time::Duration::ZERO,
        };
        Arc::new(Self { name, state: Mutex::new(state), died: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn kill(&self) {
        self.state().life = Life::Dead;
        self.died.notify_waiters();
    }

    pub(super) fn pause(&self) {
        let mut state = self.state();
        if state.life == Life::Running {
            state.life = Life::Paused;
        }
    }

    pub(super) fn go_on(&self) {
        let mut state = self.state();
        if state.life == Life::Paused {
            state.life = Life::Running;
            state.since = Instant::now();
            state.waiting.drain(..).for_each(Waker::wake);
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().life == Life::Dead
    }

    pub(super) fn is_running(&self) -> bool {
        self.state().life == Life::Running
    }

    pub(super) fn clock_ahead(&self) -> time::Duration {
        self.state().clock_ahead
    }

    /// Sets its clock.
    pub(super) fn set_clock_ahead(&self, ahead: time::Duration) {
        self.state().clock_ahead = ahead;
    }

    /// Whether it has been running for this long without a pause.
    pub(super) fn has_run_for(&self, time: Duration) -> bool {
        let state = self.state();
        state.life == Life::Running && state.since.elapsed() >= time
    }

    /// Returns when it is dead.
    pub(super) async fn died(&self) {
        let died = self.died.notified();
        if !self.is_dead() {
            died.await;
        }
    }

    /// Runs a task in it.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(InProcess { process: Some(Arc::clone(self)), work: Box::pin(work) });
    }
}

/// The process whose task is being polled.
pub(super) fn current() -> Option<Arc<Process>> {
    CURRENT.with_borrow(Option::clone)
}

/// Keeps a task within the process that starts it.
pub(crate) fn in_process<F: Future>(work: F) -> InProcess<F> {
    InProcess { process: current(), work: Box::pin(work) }
}

/// A task of a process; of none outside of simulations.
pub(crate) struct InProcess<F> {
    process: Option<Arc<Process>>,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for InProcess<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(process) = self.process.clone() else { return self.work.poll_unpin(cx) };
        {
            let mut state = process.state();
            match state.life {
                Life::Dead => return Poll::Pending,
                Life::Paused => {
                    state.waiting.push(cx.waker().clone());
                    return Poll::Pending;
                }
                Life::Running => {}
            }
        }
        let before = CURRENT.replace(Some(Arc::clone(&process)));
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.work.poll_unpin(cx)));
        CURRENT.set(before);
        polled.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            if let Some(world) = world() {
                world.wrong(format!("I10: {} panicked: {text:?}", process.name));
            }
            process.kill();
            Poll::Pending
        })
    }
}
