//! Collects enough cells of each stripe of an extent, from whichever chunks have them.
//!
//! In good times the data chunks that a range touches are read as streams, and nothing else.
//! A chunk that is late, lost or rotten is replaced by another one at once, and the stripe is
//! decoded. A late chunk is still listened to: on a machine where everything is slow, its cell may
//! be the one that is needed. Every cell is verified here; what fails its checksum never leaves this module.

use super::ranks::{Rank, ranks};
use super::task::{compute, extent_span};
use super::{ReadError, Shared};
use crate::erasure::{Cells, Geometry, Stripe, reconstruct_data};
use crate::meta::types::{BodyId, Extent};
use crate::nodes::Node;
use crate::points::is_planted;
use crate::telemetry::trace::{self, Span};
use bytes::Bytes;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use futures::{FutureExt, TryFutureExt};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, Chunks, MAX_SHORT_CELL_BYTES, NodeError, next_cell};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ChunkIndex, ChunkName};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

type CellStream = BoxStream<'static, Result<Cell, NodeError>>;
type Answer = (usize, Result<Cell, NodeError>, Range<u32>, CellStream);
type Pending = FuturesUnordered<futures::future::BoxFuture<'static, Answer>>;

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
    span: Span,
}

/// The state of one stripe.
struct Round {
    stripe: Stripe,
    wanted: [bool; CHUNKS_PER_EXTENT],
    cells: Cells,
    /// When each chunk was asked.
    asked: [Option<Instant>; CHUNKS_PER_EXTENT],
    pending: Pending,
    extra: usize,
    /// When to stop waiting.
    deadline: Instant,
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
        let span = extent_span("read extent", extent.id, extent.scheme);
        Self { shared, body, extent, geometry, range, lanes, has_reread: false, span }
    }

    /// The stripes that hold wanted bytes.
    pub(super) fn stripes(&self) -> Range<u32> {
        self.geometry.stripes_of(&self.range)
    }

    /// The wanted bytes of one stripe, as parts of its cells, waited for no longer than `patience`.
    pub(super) async fn bytes(
        &mut self,
        number: u32,
        patience: Duration,
    ) -> Result<Vec<Bytes>, ReadError> {
        let stripe = self.geometry.stripe(number);
        let parts: [Option<Range<usize>>; CHUNKS_PER_EXTENT] = std::array::from_fn(|index| {
            let is_data = index < self.extent.scheme.data_count();
            is_data.then(|| stripe.cell_part(index, &self.range)).flatten()
        });
        let wanted = std::array::from_fn(|index| parts[index].is_some());
        let cells = self.cells(stripe, wanted, patience).await?;
        let parts = cells.into_iter().zip(parts);
        Ok(parts.filter_map(|(cell, part)| Some(cell?.slice(part?))).collect())
    }

    /// The data cells of a whole stripe, waited for no longer than `patience`.
    pub(super) async fn data(
        &mut self,
        number: u32,
        patience: Duration,
    ) -> Result<Cells, ReadError> {
        let data_count = self.extent.scheme.data_count();
        let wanted = std::array::from_fn(|index| index < data_count);
        self.cells(self.geometry.stripe(number), wanted, patience).await
    }

    async fn cells(
        &mut self,
        stripe: Stripe,
        wanted: [bool; CHUNKS_PER_EXTENT],
        patience: Duration,
    ) -> Result<Cells, ReadError> {
        let mut round = Round {
            stripe,
            wanted,
            cells: Cells::default(),
            asked: [None; CHUNKS_PER_EXTENT],
            pending: Pending::new(),
            extra: 0,
            deadline: Instant::now() + patience,
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
        let scheme = self.extent.scheme;
        self.shared.decoded.increment(1);
        let mut cells = std::mem::take(&mut round.cells);
        let size = round.stripe.cell_size * scheme.data_count();
        let decoded = compute(size, move || reconstruct_data(scheme, &mut cells).map(|()| cells));
        round.cells = decoded.await.map_err(|_| self.too_few())?;
        Ok(())
    }

    /// Asks for the cells that are still needed.
    fn ask(&mut self, round: &mut Round) -> Result<(), ReadError> {
        for index in self.targets(round)? {
            if round.asked[index].is_none() {
                round.asked[index] = Some(Instant::now());
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
        // A stream that was opened for the touched cells alone may end before this stripe.
        let number = stripe.number;
        let (cells, mut stream) = match self.lanes[index].stream.take() {
            Some((cells, stream)) if cells.start == number && !cells.is_empty() => (cells, stream),
            _ => self.open(index, stripe),
        };
        async move {
            let answer = next_cell(&mut stream).await;
            (index, answer, cells.start + 1..cells.end, stream)
        }
        .boxed()
    }

    fn open(&self, index: usize, stripe: &Stripe) -> (Range<u32>, CellStream) {
        let from = stripe.number;
        let touched = if index < self.extent.scheme.data_count() {
            self.geometry.cells_of(index, &self.range)
        } else {
            0..0
        };
        let end = if touched.contains(&from) { touched.end } else { self.stripes().end };
        let cells = from..end;
        let name = self.name(index);
        let Some(node) = self.node(index) else {
            let error = NodeError::Unavailable("the node can't be called".to_owned());
            return (cells, futures::stream::iter([Err(error)]).boxed());
        };
        let parent = self.span.parent();
        let is_short = cells.len() == 1 && stripe.cell_size <= MAX_SHORT_CELL_BYTES;
        if is_short {
            let cell = async move { trace::within(parent, node.get_cell(name, cells.start)).await };
            return (cells, cell.into_stream().boxed());
        }
        let asked = cells.clone();
        let stream = async move { trace::within(parent, node.get(name, asked)).await };
        (cells, stream.try_flatten_stream().boxed())
    }

    /// Waits for the next answer, or for the time to ask other chunks as well.
    async fn wait(&mut self, round: &mut Round) -> Result<(), ReadError> {
        let can_hedge = round.extra == 0 && self.extent.scheme.parity_count() > 0;
        let limits = &self.shared.limits;
        let patience = if can_hedge { limits.hedge_after } else { limits.cell_wait };
        let until = round.deadline.min(Instant::now() + patience);
        match tokio::time::timeout_at(until, round.pending.next()).await {
            Ok(Some((index, answer, left, stream))) => {
                self.take(round, index, answer, (left, stream)).await
            }
            Ok(None) => Err(self.too_few()),
            Err(_) if Instant::now() >= round.deadline => Err(self.too_few()),
            Err(_) if can_hedge && self.hedge(round) => Ok(()),
            Err(_) => {
                self.note_late(round);
                Ok(())
            }
        }
    }

    /// From here on, chunks that let themselves be waited for too long are not counted on.
    fn note_late(&mut self, round: &Round) {
        let cell_wait = self.shared.limits.cell_wait;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let is_late = round.is_open(index, cell_wait) && lane.rank < Rank::Late;
            if is_late {
                lane.rank = Rank::Late;
            }
        }
    }

    /// Decides for one more chunk than needed, if the budget allows it.
    fn hedge(&self, round: &mut Round) -> bool {
        let asked = round.asked.iter().flatten().count();
        let data_count = self.extent.scheme.data_count();
        let extra_cells = (data_count + 1).saturating_sub(asked).max(1);
        let is_open = self
            .lanes
            .iter()
            .zip(round.asked)
            .any(|(lane, asked)| asked.is_none() && lane.rank <= Rank::Slow);
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
        let has_checksum = key.matches(stripe.number, &cell) || is_planted("get.checksum_ignored");
        let is_right = cell.data.len() == stripe.cell_size && has_checksum;
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
            round.asked =
                std::array::from_fn(|at| round.asked[at].filter(|_| round.cells[at].is_some()));
            round.pending.clear();
            return Ok(());
        }
        let name = self.name(index);
        tracing::debug!(chunk = %name, node.id = node.0, "chunk {name} on node {node}: {error}");
        if let (NodeError::Damaged(_), Some(node)) = (&error, self.node(index)) {
            node.note_damaged();
        }
        if matches!(error, NodeError::NotFound | NodeError::Damaged(_)) {
            self.shared.missing.report(name);
        }
        self.lanes[index] = Lane { rank: Rank::Failed, stream: None };
        Ok(())
    }

    /// Reads the placement anew, until it is found to be as it was. `true` when chunks have moved
    /// since; a long read may meet several moves.
    async fn reread(&mut self) -> Result<bool, ReadError> {
        let Some(body) = self.body.filter(|_| !self.has_reread) else { return Ok(false) };
        // A database that can't be asked now is no reason to fail: the chunks may still do.
        let Ok(extents) = self.shared.meta.extents(body, self.extent.start).await else {
            self.has_reread = true;
            return Ok(false);
        };
        let found = extents.into_iter().find(|extent| extent.id == self.extent.id);
        let found = found.ok_or(ReadError::Gone)?;
        if found.placement == self.extent.placement {
            self.has_reread = true;
            return Ok(false);
        }
        self.extent = found;
        let ranks = ranks(&self.shared, &self.extent);
        self.lanes = ranks.map(|rank| Lane { rank, stream: None });
        Ok(true)
    }

    /// Chunks that were asked and that the stripe did without are read last from here on. Only
    /// now is it known that a late node is slower than others, so only now is it held against it.
    fn leave_late(&mut self, round: &Round) {
        for index in (0..CHUNKS_PER_EXTENT).filter(|&i| round.is_open(i, Duration::ZERO)) {
            match self.lanes[index].rank {
                Rank::Good => self.lanes[index].rank = Rank::Slow,
                Rank::Late => self.node(index).iter().for_each(|node| node.note_late()),
                _ => {}
            }
        }
    }

    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.shared.directory.node(self.extent.placement[index])
    }

    fn name(&self, index: usize) -> ChunkName {
        ChunkName { extent: self.extent.id, index: ChunkIndex::ALL[index] }
    }

    fn too_few(&self) -> ReadError {
        let failed = self.lanes.iter().filter(|lane| lane.rank >= Rank::Late).count();
        let id = self.extent.id;
        ReadError::TooFewChunks(format!("{failed} of 6 chunks of extent {id} can't be read"))
    }
}

impl Round {
    fn has_wanted(&self) -> bool {
        self.wanted.iter().zip(&self.cells).all(|(wanted, cell)| !wanted || cell.is_some())
    }

    /// Whether a chunk was asked at least `since` ago and has not answered.
    fn is_open(&self, index: usize, since: Duration) -> bool {
        self.cells[index].is_none() && self.asked[index].is_some_and(|at| at.elapsed() >= since)
    }

    fn known_count(&self) -> usize {
        self.cells.iter().flatten().count()
    }
}
