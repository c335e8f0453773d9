//! The puts of one extent's chunks: cells go in stripe by stripe, acknowledgements come out.
//!
//! A lane is a put under way to one node with a short queue before it. A node that holds the
//! others up is given up after a while, as long as the extent can do without it.

use super::Shared;
use super::copies::Ledger;
use super::memory::Room;
use super::spread::fewest_durable;
use super::task::Task;
use crate::erasure::Scheme;
use crate::meta::types::Placement;
use crate::points::{crash_point, is_planted};
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use sixfold_proto::chunks::{Cell, Chunks, NodeError, PutItem};
use sixfold_proto::name::{
    CHUNKS_PER_EXTENT, ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId,
};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// The six cells of a stripe and what keeps room for them.
#[derive(Clone)]
pub(super) struct Encoded {
    pub(super) cells: Vec<Cell>,
    pub(super) room: Option<Arc<Room>>,
}

/// What the chunks of one extent have in common.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) shared: Arc<Shared>,
    pub(super) lease: LeaseId,
    pub(super) ledger: Ledger,
    pub(super) extent: ExtentId,
    pub(super) scheme: Scheme,
    pub(super) placement: Placement,
    /// The chunks that an earlier attempt has made durable.
    pub(super) kept: [bool; CHUNKS_PER_EXTENT],
    /// Told when some nodes hold up the others, and when chunks are tried again.
    pub(super) trouble: Arc<Notify>,
}

/// How the puts ended.
pub(super) struct Acks {
    /// Those of an earlier attempt among them.
    pub(super) durable: [bool; CHUNKS_PER_EXTENT],
    /// Those that failed, or were given up.
    pub(super) lost: Vec<(usize, NodeError)>,
}

/// An item on its way, with the room of its stripe.
type Item = (PutItem, Option<Arc<Room>>);
type Ack = (usize, Result<CopyNumber, NodeError>);

/// What is put.
enum Chunk {
    /// One cell, at hand.
    Cell(Cell),
    /// Cells that are still to come.
    Items(BoxStream<'static, PutItem>),
}

struct Lane {
    sender: mpsc::Sender<Item>,
    put: Task<Ack>,
}

/// See the module.
pub(super) struct Lanes {
    target: Target,
    by_chunk: [Option<Lane>; CHUNKS_PER_EXTENT],
    lost: Vec<(usize, NodeError)>,
}

impl Target {
    pub(super) fn name(&self, index: usize) -> ChunkName {
        ChunkName { extent: self.extent, index: ChunkIndex::ALL[index] }
    }

    /// One put of what `chunk` is; its copy is noted before anyone hears of it.
    fn put(&self, index: usize, chunk: Chunk) -> impl Future<Output = Ack> + Send + 'static {
        let (node_number, name) = (self.placement[index], self.name(index));
        let (lease, ledger) = (self.lease, self.ledger.clone());
        let node = self.shared.directory.node(node_number);
        async move {
            let Some(node) = node else {
                let error = NodeError::Unavailable("the node can't be called".to_owned());
                return (index, Err(error));
            };
            let answer = match chunk {
                Chunk::Cell(cell) => node.put_cell(name, lease, cell).await,
                Chunk::Items(items) => node.put(name, lease, items).await,
            };
            if let Ok(copy) = answer {
                ledger.note(node_number, name, copy);
            }
            (index, answer)
        }
    }

    /// Puts chunks of one cell each, all at once.
    pub(super) async fn put_single(&self, cells: &[Cell], indexes: &[usize]) -> Acks {
        let puts = indexes.iter().map(|&index| self.put(index, Chunk::Cell(cells[index].clone())));
        // The cells stay at hand: whatever is lost can be sent to other nodes.
        self.acks(puts.collect(), Vec::new(), 0).await
    }

    /// Waits for acknowledgements until all are there, the rest is given up, or the time is up.
    /// Lost chunks can be made anew where `fewest` are kept.
    async fn acks<F: Future<Output = Ack> + Send>(
        &self,
        mut puts: FuturesUnordered<F>,
        mut lost: Vec<(usize, NodeError)>,
        fewest: usize,
    ) -> Acks {
        let mut durable = self.kept;
        let started = Instant::now();
        let limits = &self.shared.limits;
        while !puts.is_empty() {
            match tokio::time::timeout(limits.stall_give_up, puts.next()).await {
                Ok(Some((index, Ok(_)))) => {
                    durable[index] = true;
                    crash_point!("put.chunk_durable");
                }
                Ok(Some((index, Err(_)))) if is_planted("put.failures_counted") => {
                    durable[index] = true;
                }
                Ok(Some((index, Err(error)))) => lost.push((index, error)),
                Ok(None) => break,
                Err(_) if self.can_do_with(&durable, fewest) => break,
                Err(_) if started.elapsed() >= limits.spread_wait => break,
                Err(_) if durable.contains(&true) => self.trouble.notify_one(),
                Err(_) => {}
            }
        }
        if !puts.is_empty() {
            self.give_up_silent(&durable, &mut lost);
        }
        Acks { durable, lost }
    }

    /// Whether the extent can be finished with only these chunks: they suffice, or they are at
    /// least `fewest` and the others can be made anew on other nodes, which is tried once like this.
    fn can_do_with(&self, kept: &[bool; CHUNKS_PER_EXTENT], fewest: usize) -> bool {
        let count = kept.iter().filter(|kept| **kept).count();
        count >= fewest_durable(self.scheme)
            || (!self.is_second_attempt() && count >= fewest && self.substitutes(kept).is_some())
    }

    fn is_second_attempt(&self) -> bool {
        self.kept.contains(&true)
    }

    /// The target of a second attempt: other nodes for the chunks that are not durable.
    pub(super) fn with_substitutes(&self, acks: &Acks) -> Option<Self> {
        let placement = self.substitutes(&acks.durable)?;
        let lost = acks.durable.iter().filter(|is_durable| !**is_durable).count();
        self.shared.substituted.increment(lost as u64);
        Some(Self { placement, kept: acks.durable, ..self.clone() })
    }

    fn substitutes(&self, kept: &[bool; CHUNKS_PER_EXTENT]) -> Option<Placement> {
        let kept_nodes = std::array::from_fn(|index| kept[index].then_some(self.placement[index]));
        let avoided = (0..CHUNKS_PER_EXTENT).filter(|&index| !kept[index]);
        let avoided = avoided.map(|index| self.placement[index]).collect::<Vec<_>>();
        let filled = self.shared.directory.fill(self.extent, self.scheme, kept_nodes, &avoided);
        filled.ok()
    }

    fn give_up_silent(
        &self,
        durable: &[bool; CHUNKS_PER_EXTENT],
        lost: &mut Vec<(usize, NodeError)>,
    ) {
        for (index, is_durable) in durable.iter().enumerate() {
            if !is_durable && lost.iter().all(|(known, _)| *known != index) {
                lost.push((index, self.given_up(index)));
            }
        }
    }

    fn given_up(&self, index: usize) -> NodeError {
        let number = self.placement[index];
        if let Some(node) = self.shared.directory.node(number) {
            node.note_late();
        }
        let (name, id) = (self.name(index), number.0);
        tracing::warn!(chunk = %name, node.id = id, "node {id} held chunk {name} up, given up");
        NodeError::Unavailable("given up because it held the others up".to_owned())
    }
}

impl Lanes {
    /// Starts the puts of the chunks `indexes`.
    pub(super) fn start(target: Target, indexes: impl Iterator<Item = usize>) -> Self {
        let mut lanes = [const { None }; CHUNKS_PER_EXTENT];
        for index in indexes {
            let (sender, items) = mpsc::channel::<Item>(target.shared.limits.stripes_in_flight);
            let items = ReceiverStream::new(items).map(|(item, _)| item).boxed();
            lanes[index] =
                Some(Lane { sender, put: Task::spawn(target.put(index, Chunk::Items(items))) });
        }
        Self { target, by_chunk: lanes, lost: Vec::new() }
    }

    /// Sends each lane its cell of the next stripe.
    pub(super) async fn push(&mut self, encoded: &Encoded) {
        let cell = |index: usize| PutItem::Cell(encoded.cells[index].clone());
        self.send(cell, encoded.room.as_ref()).await;
    }

    /// Ends the chunks and waits until they are durable.
    pub(super) async fn finish(mut self) -> Acks {
        self.send(|_| PutItem::End, None).await;
        let lanes = std::mem::take(&mut self.by_chunk).into_iter().flatten();
        let puts = lanes.map(|lane| lane.put).collect::<FuturesUnordered<_>>();
        let fewest = self.target.scheme.rebuild_at();
        self.target.acks(puts, self.lost, fewest).await
    }

    /// How many lanes have not failed.
    pub(super) fn open_count(&self) -> usize {
        self.by_chunk.iter().flatten().count()
    }

    /// Why lanes failed.
    pub(super) fn lost(&self) -> &[(usize, NodeError)] {
        &self.lost
    }

    async fn send(&mut self, item: impl Fn(usize) -> PutItem, room: Option<&Arc<Room>>) {
        let mut blocked = Vec::new();
        for index in 0..CHUNKS_PER_EXTENT {
            let Some(lane) = &self.by_chunk[index] else { continue };
            match lane.sender.try_send((item(index), room.cloned())) {
                Ok(()) => {}
                Err(TrySendError::Full(item)) => blocked.push((index, item)),
                Err(TrySendError::Closed(_)) => self.lose(index).await,
            }
        }
        if !blocked.is_empty() {
            self.send_blocked(blocked).await;
        }
    }

    /// Waits for lanes whose queue is full.
    async fn send_blocked(&mut self, blocked: Vec<(usize, Item)>) {
        let mut waiting = [false; CHUNKS_PER_EXTENT];
        let mut sends = FuturesUnordered::new();
        for (index, item) in blocked {
            let Some(lane) = &self.by_chunk[index] else { continue };
            let sender = lane.sender.clone();
            waiting[index] = true;
            sends.push(async move { (index, sender.send(item).await.is_ok()) });
        }
        let started = Instant::now();
        let limits = self.target.shared.limits.clone();
        let fewest = self.target.scheme.rebuild_at();
        while !sends.is_empty() {
            match tokio::time::timeout(limits.stall_give_up, sends.next()).await {
                Ok(Some((index, is_sent))) => {
                    waiting[index] = false;
                    if !is_sent {
                        self.lose(index).await;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    let goes_on = |i: usize| self.by_chunk[i].is_some() && !waiting[i];
                    let kept = std::array::from_fn(|i| self.target.kept[i] || goes_on(i));
                    let is_over = started.elapsed() >= limits.spread_wait;
                    if is_over || self.target.can_do_with(&kept, fewest) {
                        self.give_up(waiting);
                        break;
                    }
                }
            }
        }
    }

    /// A lane whose put has ended early: its answer says why.
    async fn lose(&mut self, index: usize) {
        let Some(lane) = self.by_chunk[index].take() else { return };
        let error = match lane.put.await {
            (_, Err(error)) => error,
            (_, Ok(_)) => NodeError::Invalid("acknowledged before the end".to_owned()),
        };
        let (name, node) = (self.target.name(index), self.target.placement[index].0);
        tracing::warn!(chunk = %name, node.id = node, "lost chunk {name} on node {node}: {error}");
        self.lost.push((index, error));
    }

    fn give_up(&mut self, waiting: [bool; CHUNKS_PER_EXTENT]) {
        for index in (0..CHUNKS_PER_EXTENT).filter(|&index| waiting[index]) {
            if self.by_chunk[index].take().is_some() {
                self.lost.push((index, self.target.given_up(index)));
            }
        }
    }
}
