//! Gathers the stripes of uploads that are under way at the same time, so that they are hashed
//! side by side.

use super::lanes::LANES;
use super::{Md5, update_all};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a stripe waits at most for others to be hashed with. An upload receives its next
/// stripe meanwhile, which takes longer than this below 200 MB/s. A single upload never waits.
const GATHER_WAIT: Duration = Duration::from_millis(5);

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
    /// Threads at work.
    running: usize,
}

struct Job {
    md5: Md5,
    bytes: Bytes,
    reply: oneshot::Sender<Md5>,
}

/// An upload that brings stripes, until it is dropped.
pub(in crate::data) struct Member(Arc<Queue>);

impl Member {
    pub(in crate::data) fn join(queue: &Arc<Queue>) -> Self {
        queue.state().members += 1;
        Self(Arc::clone(queue))
    }

    /// Hashes `bytes`, off the async threads.
    pub(in crate::data) fn update(&self, md5: Md5, bytes: Bytes) -> oneshot::Receiver<Md5> {
        let (reply, hashed) = oneshot::channel();
        let mut state = self.0.state();
        state.jobs.push_back(Job { md5, bytes, reply });
        if state.running < threads() {
            state.running += 1;
            let queue = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || queue.run());
        }
        drop(state);
        self.0.has_come.notify_one();
        hashed
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.state().members -= 1;
        self.0.has_come.notify_one();
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
        while !state.jobs.is_empty() && state.jobs.len() < state.members.min(LANES) {
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
    use super::{Member, Queue};
    use crate::data::md5::Md5;
    use bytes::Bytes;
    use md5::Digest;
    use std::sync::Arc;

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
