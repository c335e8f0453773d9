//! Collects enough cells of each stripe of an extent, from whichever chunks have them.
//!
//! In good times the data chunks that a range touches are read as streams, and nothing else.
//! A chunk that is late, lost or rotten is replaced by another one at once, and the stripe is
//! decoded. Every cell is verified here; what fails its checksum never leaves this module.

use super::task::compute;
use super::{ReadError, Shared};
use crate::erasure::{Cells, Geometry, Stripe};
use crate::meta::types::{BodyId, Extent};
use crate::nodes::{BreakerState, Liveness, Node};
use bytes::Bytes;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use futures::{FutureExt, TryFutureExt};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, Chunks, NodeError};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ChunkIndex, ChunkName};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A node this many times slower than the median of the extent's nodes is read last.
const SLOW_FACTOR: u32 = 4;

/// Below this no node counts as slow.
const SLOW_FLOOR: Duration = Duration::from_millis(20);

type CellStream = BoxStream<'static, Result<Cell, NodeError>>;
type Answer = (usize, Result<Cell, NodeError>, Range<u32>, CellStream);
type Pending = FuturesUnordered<futures::future::BoxFuture<'static, Answer>>;

/// Whether to ask a chunk, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Good,
    Slow,
    /// Its node is not expected to answer.
    Doubtful,
    /// A row says that it is missing.
    Missing,
    /// It failed in this read.
    Failed,
}

/// One chunk of the extent.
struct Lane {
    rank: Rank,
    /// The stream under way and the stripes whose cells it has still to give.
    stream: Option<(Range<u32>, CellStream)>,
}

/// Reads the stripes of one extent in order.
pub(super) struct Gather {
    shared: Arc<Shared>,
    /// To read the placement anew; `None` for an extent that has no row yet.
    body: Option<BodyId>,
    extent: Extent,
    geometry: Geometry,
    /// The wanted bytes of the extent.
    range: Range<u64>,
    lanes: [Lane; CHUNKS_PER_EXTENT],
    has_reread: bool,
}

/// The state of one stripe.
struct Round {
    stripe: Stripe,
    wanted: [bool; CHUNKS_PER_EXTENT],
    cells: Cells,
    asked: [bool; CHUNKS_PER_EXTENT],
    pending: Pending,
    extra: usize,
}

impl Gather {
    pub(super) fn new(
        shared: &Arc<Shared>,
        body: Option<BodyId>,
        extent: Extent,
        range: Range<u64>,
    ) -> Self {
        let geometry = Geometry::new(extent.scheme, extent.size);
        let lanes = ranks(shared, &extent).map(|rank| Lane { rank, stream: None });
        let shared = Arc::clone(shared);
        Self { shared, body, extent, geometry, range, lanes, has_reread: false }
    }

    /// The stripes that hold wanted bytes.
    pub(super) fn stripes(&self) -> Range<u32> {
        self.geometry.stripes_of(&self.range)
    }

    /// The wanted bytes of one stripe, as parts of its cells.
    pub(super) async fn bytes(&mut self, number: u32) -> Result<Vec<Bytes>, ReadError> {
        let stripe = self.geometry.stripe(number);
        let parts: [Option<Range<usize>>; CHUNKS_PER_EXTENT] = std::array::from_fn(|index| {
            let is_data = index < self.extent.scheme.data_count();
            is_data.then(|| stripe.cell_part(index, &self.range)).flatten()
        });
        let wanted = std::array::from_fn(|index| parts[index].is_some());
        let cells = self.cells(stripe, wanted).await?;
        let parts = cells.into_iter().zip(parts);
        Ok(parts.filter_map(|(cell, part)| Some(cell?.slice(part?))).collect())
    }

    /// The data cells of a whole stripe.
    pub(super) async fn data(&mut self, number: u32) -> Result<Cells, ReadError> {
        let data_count = self.extent.scheme.data_count();
        let wanted = std::array::from_fn(|index| index < data_count);
        self.cells(self.geometry.stripe(number), wanted).await
    }

    async fn cells(
        &mut self,
        stripe: Stripe,
        wanted: [bool; CHUNKS_PER_EXTENT],
    ) -> Result<Cells, ReadError> {
        let mut round = Round {
            stripe,
            wanted,
            cells: Cells::default(),
            asked: [false; CHUNKS_PER_EXTENT],
            pending: Pending::new(),
            extra: 0,
        };
        loop {
            if round.has_wanted() {
                break;
            }
            if round.known_count() >= self.extent.scheme.data_count() {
                self.decode(&mut round).await?;
                break;
            }
            self.ask(&mut round)?;
            self.wait(&mut round).await?;
        }
        self.leave_late(&round);
        Ok(round.cells)
    }

    async fn decode(&mut self, round: &mut Round) -> Result<(), ReadError> {
        let (codec, scheme) = (Arc::clone(&self.shared.codec), self.extent.scheme);
        let mut cells = std::mem::take(&mut round.cells);
        let size = round.stripe.cell_size * scheme.data_count();
        let decoded =
            compute(size, move || codec.reconstruct_data(scheme, &mut cells).map(|()| cells));
        round.cells = decoded.await.map_err(|_| self.too_few())?;
        Ok(())
    }

    /// Asks for the cells that are still needed.
    fn ask(&mut self, round: &mut Round) -> Result<(), ReadError> {
        for index in self.targets(round)? {
            if !round.asked[index] {
                round.asked[index] = true;
                round.pending.push(self.next_cell(index, &round.stripe));
            }
        }
        Ok(())
    }

    /// Which chunks to read a stripe from: the wanted data chunks when all of them are good,
    /// otherwise the best ones, as many as decoding needs.
    fn targets(&self, round: &Round) -> Result<Vec<usize>, ReadError> {
        let all = 0..CHUNKS_PER_EXTENT;
        let wanted = all.clone().filter(|&index| round.wanted[index]);
        let worst = wanted.clone().map(|index| self.lanes[index].rank).max();
        if worst <= Some(Rank::Good) && round.extra == 0 {
            return Ok(wanted.collect());
        }
        let mut ranked = all
            .filter(|&index| round.cells[index].is_some() || self.lanes[index].rank < Rank::Failed)
            .collect::<Vec<_>>();
        ranked.sort_by_key(|&index| (round.cells[index].is_none(), self.lanes[index].rank));
        let data_count = self.extent.scheme.data_count();
        if ranked.len() < data_count && worst == Some(Rank::Failed) {
            return Err(self.too_few());
        }
        ranked.truncate(data_count + round.extra);
        Ok(ranked)
    }

    /// The next cell of a chunk, from its stream under way or from a new one.
    fn next_cell(
        &mut self,
        index: usize,
        stripe: &Stripe,
    ) -> futures::future::BoxFuture<'static, Answer> {
        let wait = self.shared.limits.cell_wait;
        let node = self.shared.directory.node(self.extent.placement[index]);
        // A stream that was opened for the touched cells alone may end before this stripe.
        let number = stripe.number;
        let (cells, mut stream) = match self.lanes[index].stream.take() {
            Some((cells, stream)) if cells.start == number && !cells.is_empty() => (cells, stream),
            _ => self.open(index, number, node.clone()),
        };
        async move {
            let answer = match tokio::time::timeout(wait, stream.next()).await {
                Ok(Some(answer)) => answer,
                Ok(None) => Err(NodeError::Damaged("the chunk ends early".to_owned())),
                Err(_) => {
                    if let Some(node) = node {
                        node.note_late();
                    }
                    Err(NodeError::Unavailable(format!("no cell in {} ms", wait.as_millis())))
                }
            };
            (index, answer, cells.start + 1..cells.end, stream)
        }
        .boxed()
    }

    fn open(&self, index: usize, from: u32, node: Option<Arc<Node>>) -> (Range<u32>, CellStream) {
        let touched = if index < self.extent.scheme.data_count() {
            self.geometry.cells_of(index, &self.range)
        } else {
            0..0
        };
        let end = if touched.contains(&from) { touched.end } else { self.stripes().end };
        let cells = from..end;
        let name = self.name(index);
        let Some(node) = node else {
            let error = NodeError::Unavailable("the node can't be called".to_owned());
            return (cells, futures::stream::iter([Err(error)]).boxed());
        };
        let asked = cells.clone();
        let stream = async move { node.get(name, asked).await }.try_flatten_stream().boxed();
        (cells, stream)
    }

    /// Waits for the next answer, or for the time to send a hedge.
    async fn wait(&mut self, round: &mut Round) -> Result<(), ReadError> {
        let hedge_after = self.shared.limits.hedge_after;
        let answer = if round.extra == 0 && self.extent.scheme.parity_count() > 0 {
            match tokio::time::timeout(hedge_after, round.pending.next()).await {
                Ok(answer) => answer,
                Err(_) if self.hedge(round) => return Ok(()),
                Err(_) => round.pending.next().await,
            }
        } else {
            round.pending.next().await
        };
        match answer {
            Some((index, answer, left, stream)) => {
                self.take(round, index, answer, (left, stream)).await
            }
            None => Err(self.too_few()),
        }
    }

    /// Decides for one more chunk than needed, if the budget allows it.
    fn hedge(&self, round: &mut Round) -> bool {
        let asked = round.asked.iter().filter(|asked| **asked).count();
        let data_count = self.extent.scheme.data_count();
        let extra_cells = (data_count + 1).saturating_sub(asked).max(1);
        let is_open = self
            .lanes
            .iter()
            .zip(round.asked)
            .any(|(lane, asked)| !asked && lane.rank <= Rank::Slow);
        if is_open && self.shared.hedges.spend(extra_cells) {
            round.extra = 1;
        }
        round.extra == 1
    }

    async fn take(
        &mut self,
        round: &mut Round,
        index: usize,
        answer: Result<Cell, NodeError>,
        stream: (Range<u32>, CellStream),
    ) -> Result<(), ReadError> {
        match answer.and_then(|cell| self.verified(index, &round.stripe, cell)) {
            Ok(data) => {
                self.shared.hedges.earn();
                round.cells[index] = Some(data);
                self.lanes[index].stream = Some(stream);
                Ok(())
            }
            Err(error) => self.lose(round, index, error).await,
        }
    }

    fn verified(&self, index: usize, stripe: &Stripe, cell: Cell) -> Result<Bytes, NodeError> {
        let key = CellKey::new(self.shared.directory.cluster(), self.name(index));
        let is_right = cell.data.len() == stripe.cell_size
            && key.checksum(stripe.number, &cell.data) == cell.checksum;
        is_right
            .then_some(cell.data)
            .ok_or_else(|| NodeError::Damaged(format!("cell {} fails its checksum", stripe.number)))
    }

    /// Goes on without a chunk, unless it has only moved.
    async fn lose(
        &mut self,
        round: &mut Round,
        index: usize,
        error: NodeError,
    ) -> Result<(), ReadError> {
        let node = self.extent.placement[index];
        if error == NodeError::NotFound && self.reread().await? {
            round.asked = std::array::from_fn(|at| round.cells[at].is_some());
            round.pending.clear();
            return Ok(());
        }
        let name = self.name(index);
        tracing::debug!(chunk = %name, node.id = node.0, "chunk {name} on node {node}: {error}");
        if matches!(error, NodeError::NotFound | NodeError::Damaged(_)) {
            self.shared.missing.report(name);
        }
        self.lanes[index] = Lane { rank: Rank::Failed, stream: None };
        Ok(())
    }

    /// Reads the placement anew, once. `true` when chunks have moved since.
    async fn reread(&mut self) -> Result<bool, ReadError> {
        let Some(body) = self.body.filter(|_| !self.has_reread) else { return Ok(false) };
        self.has_reread = true;
        // A database that can't be asked now is no reason to fail: the chunks may still do.
        let Ok(extents) = self.shared.meta.extents(body, self.extent.start).await else {
            return Ok(false);
        };
        let found = extents.into_iter().find(|extent| extent.id == self.extent.id);
        let found = found.ok_or(ReadError::Gone)?;
        if found.placement == self.extent.placement {
            return Ok(false);
        }
        self.extent = found;
        let ranks = ranks(&self.shared, &self.extent);
        self.lanes = ranks.map(|rank| Lane { rank, stream: None });
        Ok(true)
    }

    /// Chunks that were asked and did not answer in time are read last from here on.
    fn leave_late(&mut self, round: &Round) {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if round.asked[index] && round.cells[index].is_none() && lane.rank == Rank::Good {
                lane.rank = Rank::Slow;
            }
        }
    }

    fn name(&self, index: usize) -> ChunkName {
        ChunkName { extent: self.extent.id, index: ChunkIndex::ALL[index] }
    }

    fn too_few(&self) -> ReadError {
        let failed = self.lanes.iter().filter(|lane| lane.rank == Rank::Failed).count();
        let id = self.extent.id;
        ReadError::TooFewChunks(format!("{failed} of 6 chunks of extent {id} can't be read"))
    }
}

impl Round {
    fn has_wanted(&self) -> bool {
        self.wanted.iter().zip(&self.cells).all(|(wanted, cell)| !wanted || cell.is_some())
    }

    fn known_count(&self) -> usize {
        self.cells.iter().flatten().count()
    }
}

/// What is known of an extent's chunks before any is read.
fn ranks(shared: &Shared, extent: &Extent) -> [Rank; CHUNKS_PER_EXTENT] {
    let snapshot = shared.directory.snapshot();
    let mut latencies = extent.placement.map(|node| {
        snapshot
            .entry(node)
            .and_then(|entry| entry.node())
            .map_or(Duration::MAX, |node| node.latency())
    });
    latencies.sort_unstable();
    let slow = (latencies[CHUNKS_PER_EXTENT / 2 - 1].saturating_mul(SLOW_FACTOR)).max(SLOW_FLOOR);
    std::array::from_fn(|index| {
        if extent.missing.0 & (1 << index) != 0 {
            return Rank::Missing;
        }
        let Some(entry) = snapshot.entry(extent.placement[index]) else { return Rank::Doubtful };
        let is_expected = |node: &&Arc<Node>| {
            entry.liveness() != Liveness::Dead && node.breaker() == BreakerState::Closed
        };
        match entry.node().filter(is_expected) {
            None => Rank::Doubtful,
            Some(node) if node.latency() > slow => Rank::Slow,
            Some(_) => Rank::Good,
        }
    })
}
