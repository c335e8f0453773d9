//! One node: how to call it, and what earlier calls taught about it.

use super::breaker::{Breaker, BreakerState};
use async_trait::async_trait;
use futures::stream::BoxStream;
use sixfold_proto::chunks::{Cell, ChunkEntry, Chunks, Health, NodeError, PutItem};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a call that moves no bytes may take, and how long the first answer of one that
/// does.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// A page of names is long to collect on a busy drive.
const LIST_ANSWER: Duration = Duration::from_secs(20);

/// For how long a node that refused a put (full, draining, fenced) is passed by before it is
/// tried again, unless its row says so anyway.
const REFUSAL_HOLDS: Duration = Duration::from_secs(30);

/// A node, embedded or remote. Calls go through it so that it learns from them.
pub struct Node {
    number: NodeNumber,
    chunks: Arc<dyn Chunks>,
    lessons: Mutex<Lessons>,
    /// Moving average of the time to a read's first cell, in microseconds; 0 before any.
    latency_us: AtomicU64,
}

#[derive(Debug, Default)]
struct Lessons {
    breaker: Breaker,
    last_success: Option<Instant>,
    refused: Option<(Instant, Refusal)>,
}

/// Why a node takes no new chunks, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Other,
}

impl Node {
    pub(super) fn new(number: NodeNumber, chunks: Arc<dyn Chunks>) -> Self {
        let (lessons, latency_us) = (Mutex::default(), AtomicU64::new(0));
        Self { number, chunks, lessons, latency_us }
    }

    /// Its number.
    pub fn number(&self) -> NodeNumber {
        self.number
    }

    /// What the breaker says.
    pub fn breaker(&self) -> BreakerState {
        self.lessons().breaker.state(Instant::now())
    }

    /// How long a read's first cell lately took to come, on average.
    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_us.load(Ordering::Relaxed))
    }

    /// A caller gave a call up because it took too long.
    pub fn note_late(&self) {
        self.lessons().breaker.failed(Instant::now());
    }

    pub(super) fn since_success(&self) -> Option<Duration> {
        self.lessons().last_success.map(|at| at.elapsed())
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        let (at, refusal) = self.lessons().refused?;
        (at.elapsed() < REFUSAL_HOLDS).then_some(refusal)
    }

    /// The node registered anew: what was learned of the old process counts no longer.
    pub(super) fn registered_anew(&self) {
        let mut lessons = self.lessons();
        lessons.breaker.half_open();
        lessons.refused = None;
    }

    fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.lessons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from an answer and passes it on.
    fn learn<T>(&self, answer: Result<T, NodeError>) -> Result<T, NodeError> {
        let mut lessons = self.lessons();
        match &answer {
            Err(
                NodeError::Unavailable(_) | NodeError::Unauthenticated | NodeError::WrongNode(_),
            ) => lessons.breaker.failed(Instant::now()),
            Err(NodeError::Full) => lessons.refused = Some((Instant::now(), Refusal::Full)),
            Err(NodeError::Fenced | NodeError::Draining) => {
                lessons.refused = Some((Instant::now(), Refusal::Other));
            }
            _ => {
                lessons.breaker.succeeded();
                lessons.last_success = Some(Instant::now());
            }
        }
        drop(lessons);
        answer
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let answer = tokio::time::timeout(limit, call).await;
        self.learn(answer.unwrap_or_else(|_| {
            Err(NodeError::Unavailable(format!("no answer within {} ms", limit.as_millis())))
        }))
    }

    fn learn_latency(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.latency_us.load(Ordering::Relaxed);
        // A lost update between the two costs one sample of an estimate.
        let next = if before == 0 { took } else { (before / 8) * 7 + took / 8 };
        self.latency_us.store(next.max(1), Ordering::Relaxed);
    }
}

/// The calls of the node behind it, with deadlines but for [`Chunks::put`], whose caller
/// knows how long the bytes may take.
#[async_trait]
impl Chunks for Node {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let answer = self.chunks.put(name, writer, items).await;
        self.learn(answer)
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        let asked = Instant::now();
        let answer = self.within(FIRST_ANSWER, self.chunks.get(name, cells)).await;
        self.learn_latency(asked.elapsed());
        answer
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        self.within(FIRST_ANSWER, self.chunks.delete(name, copy)).await
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        self.within(LIST_ANSWER, self.chunks.list(after, limit)).await
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        self.within(FIRST_ANSWER, self.chunks.stat(name)).await
    }

    async fn health(&self) -> Result<Health, NodeError> {
        self.within(FIRST_ANSWER, self.chunks.health()).await
    }
}
