//! Gathers the stripes of uploads that are under way at the same time, so that they are hashed
//! side by side.

use super::{Md5, update_all};
use bytes::Bytes;
use sixfold_lanes::md5::LANES;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a stripe waits at most for others to be hashed with: as long as a busy upload takes to
/// receive its next one. A stripe whose MD5 is awaited does not wait, nor does a single upload.
const GATHER_WAIT: Duration = Duration::from_millis(20);

/// Stripes that wait to be hashed, at most one for each upload.
#[derive(Default)]
pub(in crate::data) struct Queue {
    state: Mutex<State>,
    has_come: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Uploads that may bring a stripe.
    members: usize,
    /// The number of the next one.
    next_member: u64,
    /// Threads at work.
    running: usize,
}

struct Job {
    /// The upload that brought it.
    member: u64,
    /// Whether the upload can't go on without it.
    is_awaited: bool,
    md5: Md5,
    bytes: Bytes,
    reply: oneshot::Sender<Md5>,
}

/// An upload that brings stripes, until it is dropped.
pub(in crate::data) struct Member {
    queue: Arc<Queue>,
    number: u64,
}

impl Member {
    pub(in crate::data) fn join(queue: &Arc<Queue>) -> Self {
        let mut state = queue.state();
        let number = state.next_member;
        state.next_member += 1;
        state.members += 1;
        Self { queue: Arc::clone(queue), number }
    }

    /// Hashes `bytes`, off the async threads.
    pub(in crate::data) fn update(&self, md5: Md5, bytes: Bytes) -> oneshot::Receiver<Md5> {
        let (reply, hashed) = oneshot::channel();
        let mut state = self.queue.state();
        state.jobs.push_back(Job { member: self.number, is_awaited: false, md5, bytes, reply });
        if state.running < threads() {
            state.running += 1;
            let queue = Arc::clone(&self.queue);
            tokio::task::spawn_blocking(move || queue.run());
        }
        drop(state);
        self.queue.has_come.notify_one();
        hashed
    }

    /// Says that the upload can't go on without its stripe's MD5.
    pub(in crate::data) fn hurry(&self) {
        let mut state = self.queue.state();
        let waiting = state.jobs.iter_mut().find(|job| job.member == self.number);
        let Some(job) = waiting else { return };
        job.is_awaited = true;
        drop(state);
        self.queue.has_come.notify_one();
    }
}

impl State {
    /// Whether stripes that wait may wait for more.
    fn may_wait(&self) -> bool {
        !self.jobs.is_empty()
            && self.jobs.len() < self.members.min(LANES)
            && !self.jobs.iter().any(|job| job.is_awaited)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.queue.state().members -= 1;
        self.queue.has_come.notify_one();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes until nothing waits.
    fn run(&self) {
        loop {
            let jobs = self.gather();
            if jobs.is_empty() {
                return;
            }
            let (mut messages, replies): (Vec<_>, Vec<_>) =
                jobs.into_iter().map(|job| ((job.md5, job.bytes), job.reply)).unzip();
            update_all(&mut messages);
            for ((md5, _), reply) in messages.into_iter().zip(replies) {
                // An upload that was given up does not want to know.
                let _ = reply.send(md5);
            }
        }
    }

    /// What is hashed next. Nothing: this thread's work is over.
    fn gather(&self) -> Vec<Job> {
        let mut state = self.state();
        let until = Instant::now() + GATHER_WAIT;
        while state.may_wait() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            let waited = self.has_come.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.jobs.is_empty() {
            state.running -= 1;
        }
        let count = state.jobs.len().min(LANES);
        state.jobs.drain(..count).collect()
    }
}

/// Threads that hash at the same time: more would take each other's lanes.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Job, LANES, Member, Queue, State};
    use crate::data::md5::Md5;
    use bytes::Bytes;
    use md5::Digest;
    use std::sync::Arc;

    #[test]
    fn a_stripe_waits_while_others_may_come_and_nobody_needs_it() {
        let state = |jobs: usize, members, is_awaited| {
            let job = |member| {
                let (reply, _) = tokio::sync::oneshot::channel();
                Job { member, is_awaited, md5: Md5::new(), bytes: Bytes::new(), reply }
            };
            State { jobs: (0..jobs as u64).map(job).collect(), members, ..State::default() }
        };
        assert!(state(1, 2, false).may_wait());
        assert!(state(LANES - 1, 2 * LANES, false).may_wait());
        for (jobs, members, is_awaited) in
            [(0, 2, false), (1, 1, false), (2, 2, false), (LANES, 2 * LANES, false), (1, 2, true)]
        {
            assert!(!state(jobs, members, is_awaited).may_wait(), "{jobs} {members} {is_awaited}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_upload_gets_its_own_md5() {
        let queue = Arc::<Queue>::default();
        let uploads = (0..20_u8).map(|number| {
            let member = Member::join(&queue);
            tokio::spawn(async move {
                let stripe = Bytes::from(vec![number; 1000 + usize::from(number)]);
                let mut md5 = Md5::new();
                for _ in 0..=number % 3 {
                    md5 = member.update(md5, stripe.clone()).await.unwrap();
                }
                let bytes = stripe.repeat(usize::from(number % 3) + 1);
                assert_eq!(md5.finish(), <[u8; 16]>::from(md5::Md5::digest(bytes)));
            })
        });
        for upload in uploads.collect::<Vec<_>>() {
            upload.await.unwrap();
        }
        assert_eq!(queue.state().members, 0);
    }
}
