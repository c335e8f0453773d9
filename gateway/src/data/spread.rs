//! One extent on its way: encoded stripes in, a row's worth of durable chunks out.

use super::ReadError;
use super::gather::Gather;
use super::lanes::{Acks, Encoded, Lanes, Target};
use super::retries::Tries;
use super::task::compute;
use crate::erasure::{self, Scheme, Stripe};
use crate::meta::types::{ChunkSet, Extent};
use crate::nodes::NotPlaced;
use crate::placement::is_spread;
use crate::points::{crash_point, is_planted};
use crate::telemetry::trace::{self, Parent, Span};
use bytes::Bytes;
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, NodeError};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ChunkIndex, ChunkName, ExtentId};
use std::pin::pin;
use std::sync::Arc;
use uuid::Uuid;

/// Why an extent was not stored.
pub(super) enum SpreadError {
    Full,
    TooFewNodes(String),
    SlowDown { waited_ms: u128 },
}

impl SpreadError {
    /// By what happened to the chunks that were not stored.
    pub(super) fn too_few(lost: &[(usize, NodeError)]) -> Self {
        if lost.iter().any(|(_, error)| *error == NodeError::Full) {
            return Self::Full;
        }
        let reason = lost.first().map_or_else(String::new, |(_, error)| format!(": {error}"));
        Self::TooFewNodes(format!("{} of 6 chunks were not stored{reason}", lost.len()))
    }
}

impl From<NotPlaced> for SpreadError {
    fn from(error: NotPlaced) -> Self {
        match error {
            NotPlaced::Full => Self::Full,
            NotPlaced::TooFew(refused) => Self::TooFewNodes(refused.to_string()),
        }
    }
}

impl From<ReadError> for SpreadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::SlowDown { waited_ms } => Self::SlowDown { waited_ms },
            error => Self::TooFewNodes(format!("lost chunks can't be rebuilt: {error}")),
        }
    }
}

/// Encodes one stripe: six cells with their checksums.
pub(super) fn encode(
    cluster: Uuid,
    extent: ExtentId,
    scheme: Scheme,
    number: u32,
    bytes: &Bytes,
) -> Vec<Cell> {
    let stripe = Stripe::new(scheme, number, bytes.len() as u64);
    let cells = erasure::encode(scheme, &stripe, bytes);
    with_checksums(cluster, extent, number, cells)
}

fn with_checksums(cluster: Uuid, extent: ExtentId, number: u32, cells: Vec<Bytes>) -> Vec<Cell> {
    let cells = cells.into_iter().zip(ChunkIndex::ALL);
    let cell = |(data, index): (Bytes, ChunkIndex)| {
        let key = CellKey::new(cluster, ChunkName { extent, index });
        Cell { checksum: key.checksum(number, &data), data, is_verified: false }
    };
    cells.map(cell).collect()
}

/// Stores an extent of one stripe: six puts at once.
pub(super) async fn spread_single(
    target: Target,
    start: u64,
    size: u64,
    encoded: Encoded,
) -> Result<Extent, SpreadError> {
    let all = std::array::from_fn::<usize, CHUNKS_PER_EXTENT, _>(|index| index);
    let mut tries = Tries::begin(&target);
    let mut target = target;
    let mut acks = target.put_single(&encoded.cells, &all).await;
    while acks.durable_count() < fewest_durable(target.scheme) {
        // The cells are still at hand: lost ones go out again as they are.
        target = tries.next(&target, &acks).await?;
        crash_point!("put.substituting");
        let lost = all.into_iter().filter(|&index| !acks.durable[index]).collect::<Vec<_>>();
        acks = target.put_single(&encoded.cells, &lost).await;
    }
    target.settled(start, size, &acks)
}

/// An extent of several stripes, whose cells go out as they come.
pub(super) struct Spread {
    target: Target,
    lanes: Lanes,
    start: u64,
    size: u64,
    span: Span,
}

impl Spread {
    pub(super) fn new(target: Target, start: u64) -> Self {
        let span = target.span();
        let lanes = || Lanes::start(target.clone(), 0..CHUNKS_PER_EXTENT);
        let lanes = Parent::enter(span.parent(), lanes);
        Self { target, lanes, start, size: 0, span }
    }

    /// Sends a stripe on, waiting while the nodes are behind.
    pub(super) async fn push(&mut self, encoded: &Encoded, size: u64) -> Result<(), SpreadError> {
        self.lanes.push(encoded).await;
        crash_point!("put.stripe_sent");
        self.size += size;
        if self.lanes.open_count() < self.target.scheme.rebuild_at() {
            return Err(SpreadError::too_few(self.lanes.lost()));
        }
        Ok(())
    }

    /// Waits until enough chunks are durable; rebuilds lost ones elsewhere when they are needed.
    pub(super) async fn finish(self) -> Result<Extent, SpreadError> {
        let Self { mut target, lanes, start, size, span } = self;
        let mut acks = lanes.finish().await;
        let mut tries = Tries::begin(&target);
        while acks.durable_count() < fewest_durable(target.scheme) {
            if acks.durable_count() < target.scheme.rebuild_at() {
                return Err(SpreadError::too_few(&acks.lost));
            }
            let known = target.extent(start, size, &acks);
            target = tries.next(&target, &acks).await?;
            let lost = known.missing;
            crash_point!("put.rebuilding");
            let rebuilding = pin!(rebuild(&target, known, lost));
            acks = trace::within(span.parent(), rebuilding).await?;
        }
        target.settled(start, size, &acks)
    }
}

/// Makes the chunks `lost` anew, from those that `known` does not lack, where `target` places them.
pub(super) async fn rebuild(
    target: &Target,
    known: Extent,
    lost: ChunkSet,
) -> Result<Acks, SpreadError> {
    let (shared, scheme, id) = (&target.shared, target.scheme, target.extent);
    tracing::info!(extent = %id, "rebuilding lost chunks of extent {id}");
    let lost = (0..CHUNKS_PER_EXTENT).filter(|&index| lost.contains(index));
    let mut lanes = Lanes::start(target.clone(), lost);
    let range = 0..known.size;
    let mut gather = Gather::new(shared, None, known, range);
    for number in gather.stripes() {
        let room = shared.memory.room(shared.limits.stripe_wait).await;
        let room = room.map_err(|full| SpreadError::SlowDown { waited_ms: full.waited_ms })?;
        let mut cells = gather.data(number, shared.limits.later_stripe_wait()).await?;
        let cluster = shared.directory.cluster();
        let size = cells.iter().flatten().map(Bytes::len).sum();
        let rebuilt = compute(size, move || {
            erasure::reconstruct(scheme, &mut cells).ok()?;
            let cells = cells.into_iter().collect::<Option<Vec<_>>>()?;
            Some(with_checksums(cluster, id, number, cells))
        });
        let Some(cells) = rebuilt.await else {
            return Err(SpreadError::TooFewNodes("a lost chunk can't be rebuilt".to_owned()));
        };
        lanes.push(&Encoded { cells, room: Some(Arc::new(room)) }).await;
    }
    Ok(lanes.finish().await)
}

impl Target {
    /// The extent's row, if enough chunks are durable.
    fn settled(&self, start: u64, size: u64, acks: &Acks) -> Result<Extent, SpreadError> {
        if acks.durable_count() < fewest_durable(self.scheme) {
            return Err(SpreadError::too_few(&acks.lost));
        }
        let durable = (0..CHUNKS_PER_EXTENT).filter(|&index| acks.durable[index]);
        let durable = durable.map(|index| self.placement[index]);
        if !is_spread(self.shared.directory.snapshot().ring(), durable) {
            return Err(self.crowded());
        }
        Ok(self.extent(start, size, acks))
    }

    /// Why its chunks could only be crowded: what would hinder the next extent, if it is known.
    fn crowded(&self) -> SpreadError {
        let text = "the nodes that took chunks are too few to lose two of them";
        let next = self.shared.directory.place(self.extent, self.scheme);
        next.err().map_or_else(|| SpreadError::TooFewNodes(text.to_owned()), SpreadError::from)
    }

    fn extent(&self, start: u64, size: u64, acks: &Acks) -> Extent {
        let is_missing =
            |index: usize| !acks.durable[index] && !is_planted("put.missing_not_marked");
        let missing = ChunkSet::of(is_missing);
        let (id, scheme, placement) = (self.extent, self.scheme, self.placement);
        Extent { id, start, size, scheme, placement, missing }
    }
}

/// How many chunks have to be durable for a commit.
pub(super) fn fewest_durable(scheme: Scheme) -> usize {
    scheme.commit_at() - usize::from(is_planted("put.quorum_off_by_one"))
}

impl Acks {
    fn durable_count(&self) -> usize {
        self.durable.iter().filter(|durable| **durable).count()
    }
}
