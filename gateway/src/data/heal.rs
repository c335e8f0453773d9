//! Makes an extent's missing chunks anew, from those it has.
//!
//! A chunk goes back to its own node if that takes chunks again, and otherwise to the next one on
//! the ring that has none of the extent. A chunk that is there after all, on a node that was only
//! away, is verified and not written again. What was written and does not come into use, because
//! another process was first or the body is gone, is left to the sweep: nobody but the sweep may
//! delete under a name that others write, too.

use super::copies::Unfinished;
use super::lanes::Target;
use super::moves::next_whole;
use super::spread::{SpreadError, rebuild};
use super::{ReadError, Shared};
use crate::erasure::Geometry;
use crate::meta::types::{ChunkSet, Extent, Move, Placement};
use crate::nodes::Liveness;
use crate::points::{crash_point, is_planted};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ChunkIndex, ChunkName, LeaseId};
use std::sync::Arc;
use std::time::Duration;

/// Bytes per second of an extent below which healing it is no pace but an illness.
const LEAST_BYTES_PER_S: u64 = 4 << 20;

/// What the directory says of healing an extent, without asking any node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// A chunk can be made anew.
    Good,
    /// No node takes any of what is missing.
    NoNode,
    /// Too many of its other chunks are missing or on nodes that don't answer.
    TooFewChunks,
}

/// Whether healing `extent` is worth a try.
pub(super) fn outlook(shared: &Shared, extent: &Extent) -> Outlook {
    let (homes, wanted) = homes(shared, extent);
    if wanted == ChunkSet(0) {
        return Outlook::NoNode;
    }
    let snapshot = shared.directory.snapshot();
    let answers = |index: usize| {
        let entry = snapshot.entry(extent.placement[index]);
        entry.is_some_and(|entry| entry.node().is_some() && entry.liveness() != Liveness::Dead)
    };
    // A missing one may be there after all, where its node was only away.
    let may_be_read = |index: &usize| {
        let is_at_home = wanted.contains(*index) && homes[*index] == extent.placement[*index];
        is_at_home || !extent.missing.contains(*index) && answers(*index)
    };
    let count = (0..CHUNKS_PER_EXTENT).filter(may_be_read).count();
    if count < extent.scheme.data_count() { Outlook::TooFewChunks } else { Outlook::Good }
}

/// Makes what it can of the chunks that `extent` lacks. Answers which of them are durable, and
/// where; `None` when no node took any.
pub(super) async fn heal(
    shared: &Arc<Shared>,
    extent: &Extent,
    lease: LeaseId,
) -> Result<Option<Move>, ReadError> {
    let limit = shared.limits.spread_wait + Duration::from_secs(extent.size / LEAST_BYTES_PER_S);
    let healed = tokio::time::timeout(limit, heal_now(shared, extent, lease)).await;
    let late = |_| Err(ReadError::TooFewChunks(format!("not healed within {} s", limit.as_secs())));
    healed.unwrap_or_else(late)
}

async fn heal_now(
    shared: &Arc<Shared>,
    extent: &Extent,
    lease: LeaseId,
) -> Result<Option<Move>, ReadError> {
    let (homes, wanted) = homes(shared, extent);
    crash_point!("heal.begun");
    let mut healed = present(shared, extent, homes, wanted).await;
    let absent = ChunkSet(wanted.0 & !healed.0);
    if absent != ChunkSet(0) {
        let (unfinished, ledger) = Unfinished::new(&shared.directory);
        drop(unfinished.keep());
        let (shared, id, scheme) = (Arc::clone(shared), extent.id, extent.scheme);
        // Nothing counts as kept: here is time to wait for a node that is slow.
        let (kept, trouble) = ([false; CHUNKS_PER_EXTENT], Arc::default());
        let placement = homes;
        let target = Target { shared, lease, ledger, extent: id, scheme, placement, kept, trouble };
        let acks = rebuild(&target, extent.clone(), absent).await.map_err(ReadError::from)?;
        healed.0 |= ChunkSet::of(|index| acks.durable[index]).0;
    }
    crash_point!("heal.written");
    if healed == ChunkSet(0) {
        return Ok(None);
    }
    let to = std::array::from_fn(|index| {
        if healed.contains(index) { homes[index] } else { extent.placement[index] }
    });
    Ok(Some(Move { lease, extent: extent.id, from: extent.placement, to, healed }))
}

/// Where the missing chunks can be, and which of them have such a place.
fn homes(shared: &Shared, extent: &Extent) -> (Placement, ChunkSet) {
    let snapshot = shared.directory.snapshot();
    // Crowding two chunks on a node would have to be undone later; six nodes or more can wait.
    let may_crowd = snapshot.ring().node_count() < CHUNKS_PER_EXTENT;
    let is_crowded = |index: usize| {
        let node = extent.placement[index];
        extent.placement.iter().filter(|other| **other == node).count() > 1
    };
    // One that was crowded when it was lost has its place elsewhere: nobody moves what is missing.
    let stays = |index: usize| {
        let is_home = snapshot.is_usable(extent.placement[index]);
        !extent.missing.contains(index) || is_home && (may_crowd || !is_crowded(index))
    };
    let kept = std::array::from_fn(|index| stays(index).then_some(extent.placement[index]));
    let left = (0..CHUNKS_PER_EXTENT).filter(|&index| !stays(index));
    let left = left.map(|index| extent.placement[index]).collect::<Vec<_>>();
    let filled = shared.directory.fill(extent.id, extent.scheme, kept, &left);
    let homes = filled.unwrap_or(extent.placement);
    let is_alone = |index: usize| homes.iter().filter(|node| **node == homes[index]).count() == 1;
    let wanted = ChunkSet::of(|index| {
        extent.missing.contains(index)
            && snapshot.is_usable(homes[index])
            && (may_crowd || stays(index) || is_alone(index))
    });
    (homes, wanted)
}

/// Those of `wanted` that are whole where they were.
async fn present(
    shared: &Arc<Shared>,
    extent: &Extent,
    homes: Placement,
    wanted: ChunkSet,
) -> ChunkSet {
    let at_home =
        |index: &usize| wanted.contains(*index) && homes[*index] == extent.placement[*index];
    let checks = (0..CHUNKS_PER_EXTENT)
        .filter(at_home)
        .map(|index| async move { is_whole(shared, extent, index).await.then_some(index) });
    let whole = futures::future::join_all(checks).await;
    ChunkSet::of(|index| whole.contains(&Some(index)))
}

/// Reads a chunk to its end and verifies every cell.
async fn is_whole(shared: &Shared, extent: &Extent, index: usize) -> bool {
    let Some(node) = shared.directory.node(extent.placement[index]) else { return false };
    let name = ChunkName { extent: extent.id, index: ChunkIndex::ALL[index] };
    let stripes = Geometry::new(extent.scheme, extent.size).stripe_count();
    let Ok(mut cells) = node.get(name, 0..stripes).await else { return false };
    let key = CellKey::new(shared.directory.cluster(), name);
    if is_planted("heal.presence_not_verified") {
        return true;
    }
    for stripe in 0..stripes {
        let cell = next_whole(&mut cells, key, stripe, shared.limits.cell_wait).await;
        if cell.is_err() {
            return false;
        }
    }
    true
}

impl From<SpreadError> for ReadError {
    fn from(error: SpreadError) -> Self {
        match error {
            SpreadError::SlowDown { waited_ms } => Self::SlowDown { waited_ms },
            SpreadError::Full => Self::TooFewChunks("no node has room".to_owned()),
            SpreadError::TooFewNodes(why) => Self::TooFewChunks(why),
        }
    }
}
