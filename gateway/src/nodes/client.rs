//! One node: how to call it, and what earlier calls taught about it.

use super::breaker::{Breaker, BreakerState};
use super::calls::NodeMetrics;
use super::limits::NodeLimits;
use crate::telemetry::trace::{self, Part, Span};
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use sixfold_proto::chunks::{Cell, ChunkEntry, Chunks, Health, NodeError, PutItem};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use sixfold_proto::node_v1::node_server::SERVICE_NAME;
use sixfold_proto::status::error_name;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A page of names is long to collect on a busy drive.
const LIST_ANSWER: Duration = Duration::from_secs(20);

/// For how long a node that refused a put (full, draining, fenced) is passed by before it is
/// tried again, unless its row says so anyway.
const REFUSAL_HOLDS: Duration = Duration::from_secs(30);

/// How often a node that is read last is asked first all the same, to see whether it still is slow.
const TRY_SLOW_EVERY: Duration = Duration::from_secs(10);

/// The longest that a read which was given up can say of its node: nobody may have looked at it
/// any more.
const MOST_LATE: Duration = Duration::from_secs(2);

/// A node, embedded or remote. Calls go through it so that it learns from them.
pub struct Node {
    number: NodeNumber,
    chunks: Arc<dyn Chunks>,
    first_answer: Duration,
    /// Shared with the streams of reads, which teach as long as they run.
    lessons: Arc<Lessons>,
}

struct Lessons {
    calls: Mutex<Calls>,
    metrics: NodeMetrics,
    /// Moving average of the time to a read's first cell, in microseconds; 0 before any.
    latency_us: AtomicU64,
}

#[derive(Debug, Default)]
struct Calls {
    breaker: Breaker,
    last_success: Option<Instant>,
    refused: Option<(Instant, Refusal)>,
    /// When a read last tried whether it still is slow.
    slow_tried: Option<Instant>,
}

/// Why a node takes no new chunks, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Other,
}

impl Node {
    pub(super) fn new(number: NodeNumber, chunks: Arc<dyn Chunks>, limits: &NodeLimits) -> Self {
        let calls = Calls { breaker: Breaker::new(limits.breaker), ..Calls::default() };
        let (calls, metrics) = (Mutex::new(calls), NodeMetrics::of(number));
        let lessons = Arc::new(Lessons { calls, metrics, latency_us: AtomicU64::new(0) });
        Self { number, chunks, first_answer: limits.first_answer, lessons }
    }

    /// Its number.
    pub fn number(&self) -> NodeNumber {
        self.number
    }

    /// What the breaker says.
    pub fn breaker(&self) -> BreakerState {
        self.lessons.calls().breaker.state(Instant::now())
    }

    /// How long a read's first cell lately took to come, on average.
    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.lessons.latency_us.load(Ordering::Relaxed))
    }

    /// Whether this read should find out if the node, known as slow, still is: one does, once in a
    /// while. Nobody else asks it, so nothing else would tell that it is fast again.
    pub fn is_slow_to_be_tried(&self) -> bool {
        let (mut calls, now) = (self.lessons.calls(), Instant::now());
        let is_due = calls.slow_tried.is_none_or(|at| now - at >= TRY_SLOW_EVERY);
        if is_due {
            calls.slow_tried = Some(now);
        }
        is_due
    }

    /// A caller gave a call up because it took too long.
    pub fn note_late(&self) {
        self.lessons.calls().breaker.failed(Instant::now());
    }

    /// A cell of it is not what was stored.
    pub fn note_damaged(&self) {
        self.lessons.metrics.damaged.increment(1);
    }

    pub(super) fn since_success(&self) -> Option<Duration> {
        self.lessons.calls().last_success.map(|at| at.elapsed())
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        let (at, refusal) = self.lessons.calls().refused?;
        (at.elapsed() < REFUSAL_HOLDS).then_some(refusal)
    }

    /// The node registered anew: what was learned of the old process counts no longer.
    pub(super) fn registered_anew(&self) {
        let mut calls = self.lessons.calls();
        calls.breaker.half_open();
        calls.refused = None;
    }

    /// The span of a call.
    fn span(&self, call: &'static str, name: ChunkName) -> Span {
        trace::span(Part::Call, call).with(|note| {
            note.text("rpc.system", "grpc");
            note.text("rpc.service", SERVICE_NAME);
            note.text("rpc.method", call);
            note.number("sixfold.node", self.number.0);
            note.text("sixfold.chunk", name.to_string());
        })
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let answer = answer_within(limit, call).await;
        self.lessons.learn(answer.as_ref().err());
        answer
    }
}

/// Says in a call's span how it ended.
fn note_end(span: &mut Span, error: Option<&NodeError>) {
    match error {
        None => span.answered(),
        Some(error) => span.failed(error_name(error)),
    }
}

impl Lessons {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from how a call ended.
    fn learn(&self, error: Option<&NodeError>) {
        error.iter().for_each(|error| self.metrics.failed(error));
        let mut calls = self.calls();
        match error {
            Some(NodeError::Unavailable(_) | NodeError::Unauthenticated) => {
                calls.breaker.failed(Instant::now());
            }
            // What answered before may have been that other node, too.
            Some(NodeError::WrongNode(_)) => {
                calls.breaker.failed(Instant::now());
                calls.last_success = None;
            }
            // An empty drive says so of everything, also one that is not registered yet.
            Some(NodeError::NotFound) => {}
            Some(NodeError::Full) => calls.refused = Some((Instant::now(), Refusal::Full)),
            Some(NodeError::Fenced | NodeError::Draining) => {
                calls.refused = Some((Instant::now(), Refusal::Other));
            }
            _ => {
                calls.breaker.succeeded();
                calls.last_success = Some(Instant::now());
            }
        }
    }

    fn learn_latency(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.latency_us.load(Ordering::Relaxed);
        // A lost update between the two costs one sample of an estimate.
        let next = match before {
            0 => took,
            // Slow nodes are seldom read: each read that was fast must count.
            _ if took < before / 4 => before / 2,
            _ => (before / 8) * 7 + took / 8,
        };
        self.latency_us.store(next.max(1), Ordering::Relaxed);
    }

    /// A read that was given up after `waited` would have taken longer.
    fn learn_lateness(&self, waited: Duration) {
        let waited = waited.min(MOST_LATE);
        if waited.as_micros() > u128::from(self.latency_us.load(Ordering::Relaxed)) {
            self.learn_latency(waited);
        }
    }
}

/// The wait for the first cell of a read. One that ends without it teaches as well: where a hedge
/// answers first, the late answer is never seen.
struct Wait {
    lessons: Arc<Lessons>,
    asked: Instant,
    is_over: bool,
}

impl Wait {
    fn begin(lessons: &Arc<Lessons>) -> Self {
        Self { lessons: Arc::clone(lessons), asked: Instant::now(), is_over: false }
    }

    /// There was an answer.
    fn end(&mut self, answer: Result<(), &NodeError>) {
        if !std::mem::replace(&mut self.is_over, true) && answer.is_ok() {
            self.lessons.learn_latency(self.asked.elapsed());
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.is_over {
            self.lessons.learn_lateness(self.asked.elapsed());
        }
    }
}

async fn answer_within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, NodeError>>,
) -> Result<T, NodeError> {
    let answer = tokio::time::timeout(limit, call).await;
    answer.unwrap_or_else(|_| {
        Err(NodeError::Unavailable(format!("no answer within {} ms", limit.as_millis())))
    })
}

/// The calls of the node behind it, with deadlines but for puts and gets, whose callers know how
/// long the bytes may take.
#[async_trait]
impl Chunks for Node {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        self.lessons.metrics.puts.increment(1);
        let mut span = self.span("put", name);
        let put = self.chunks.put(name, writer, items);
        let answer = trace::within(span.parent(), put).await;
        note_end(&mut span, answer.as_ref().err());
        self.lessons.learn(answer.as_ref().err());
        answer
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        // A stream that opens proves little: what counts is the first cell, and an error later.
        self.lessons.metrics.gets.increment(1);
        let mut wait = Wait::begin(&self.lessons);
        let mut span = self.span("get", name);
        let answer = trace::within(span.parent(), self.chunks.get(name, cells)).await;
        if let Err(error) = &answer {
            wait.end(Err(error));
            note_end(&mut span, Some(error));
            self.lessons.learn(Some(error));
        }
        let cells = answer?;
        let lessons = Arc::clone(&self.lessons);
        let mut is_first = true;
        Ok(cells
            .inspect(move |cell| {
                if is_first || cell.is_err() {
                    note_end(&mut span, cell.as_ref().err());
                }
                if std::mem::take(&mut is_first) {
                    wait.end(cell.as_ref().map(|_| ()));
                    lessons.learn(cell.as_ref().err());
                } else if let Err(error) = cell {
                    lessons.learn(Some(error));
                }
            })
            .boxed())
    }

    async fn put_cell(
        &self,
        name: ChunkName,
        writer: LeaseId,
        cell: Cell,
    ) -> Result<CopyNumber, NodeError> {
        self.lessons.metrics.puts.increment(1);
        let mut span = self.span("put", name);
        let put = self.chunks.put_cell(name, writer, cell);
        let answer = trace::within(span.parent(), put).await;
        note_end(&mut span, answer.as_ref().err());
        self.lessons.learn(answer.as_ref().err());
        answer
    }

    async fn get_cell(&self, name: ChunkName, number: u32) -> Result<Cell, NodeError> {
        self.lessons.metrics.gets.increment(1);
        let mut wait = Wait::begin(&self.lessons);
        let mut span = self.span("get", name);
        let answer = trace::within(span.parent(), self.chunks.get_cell(name, number)).await;
        wait.end(answer.as_ref().map(|_| ()));
        note_end(&mut span, answer.as_ref().err());
        self.lessons.learn(answer.as_ref().err());
        answer
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        self.lessons.metrics.deletes.increment(1);
        self.within(self.first_answer, self.chunks.delete(name, copy)).await
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        self.lessons.metrics.others.increment(1);
        self.within(LIST_ANSWER, self.chunks.list(after, limit)).await
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        self.lessons.metrics.others.increment(1);
        self.within(self.first_answer, self.chunks.stat(name)).await
    }

    async fn health(&self) -> Result<Health, NodeError> {
        self.lessons.metrics.others.increment(1);
        self.within(self.first_answer, self.chunks.health()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::fake::{FakeNode, Faults};
    use sixfold_proto::name::{ChunkIndex, ExtentId};

    /// Where a hedge is faster, the slow answer never comes; the node must be known as slow all
    /// the same, and as fast when it is fast again.
    #[tokio::test(start_paused = true)]
    async fn f06_a_node_whose_late_reads_are_given_up_is_known_as_slow() {
        let fake = FakeNode::new(NodeNumber(1));
        let node = Node::new(NodeNumber(1), fake.clone(), &NodeLimits::default());
        let name = ChunkName { extent: ExtentId(7), index: ChunkIndex::new(0).unwrap() };
        let cell = Cell { data: "x".into(), checksum: 1, is_verified: false };
        fake.put_cell(name, LeaseId(1), cell).await.unwrap();
        let late = Duration::from_millis(100);
        let fast = node.get_cell(name, 0).await;
        assert!(fast.is_ok() && node.latency() < late / 10, "{:?}", node.latency());
        fake.fail(Faults { delay: late * 10, ..Faults::default() });
        for _ in 0..8 {
            assert!(tokio::time::timeout(late, node.get_cell(name, 0)).await.is_err());
            drop(
                tokio::time::timeout(late, async {
                    node.get(name, 0..1).await?.next().await.unwrap()
                })
                .await,
            );
        }
        assert!(node.latency() > late / 2, "{:?}", node.latency());
        // One tries it, and then for a while nobody.
        assert!(node.is_slow_to_be_tried() && !node.is_slow_to_be_tried());
        tokio::time::advance(TRY_SLOW_EVERY).await;
        assert!(node.is_slow_to_be_tried() && !node.is_slow_to_be_tried());
        fake.fail(Faults::default());
        for _ in 0..5 {
            node.get_cell(name, 0).await.unwrap();
        }
        assert!(node.latency() < late / 10, "{:?}", node.latency());
    }

    /// A wiped drive answers at the address of the node that is meant. Neither that it has nothing
    /// nor that it is another node says that the one that is meant lives.
    #[tokio::test]
    async fn f27_another_node_at_the_address_is_no_sign_of_life() {
        let fake = FakeNode::new(NodeNumber(1));
        let limits = NodeLimits::default();
        let node = Node::new(NodeNumber(1), fake.clone(), &limits);
        let name = ChunkName { extent: ExtentId(7), index: ChunkIndex::new(0).unwrap() };
        assert_eq!(node.stat(name).await, Err(NodeError::NotFound));
        assert_eq!(node.since_success(), None);
        node.health().await.unwrap();
        assert!(node.since_success().is_some());
        for _ in 0..limits.breaker.failures {
            assert_eq!(node.breaker(), BreakerState::Closed);
            let refuses = Some(NodeError::WrongNode("node 7 is here".to_owned()));
            fake.fail(Faults { refuses, ..Faults::default() });
            assert!(node.health().await.is_err());
            assert_eq!(node.since_success(), None);
            fake.fail(Faults::default());
            assert_eq!(node.stat(name).await, Err(NodeError::NotFound));
        }
        assert_eq!(node.breaker(), BreakerState::Open);
        assert_eq!(node.since_success(), None);
    }
}
