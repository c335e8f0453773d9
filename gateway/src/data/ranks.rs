//! Which of an extent's chunks to read first.

use super::Shared;
use crate::meta::types::Extent;
use crate::nodes::{BreakerState, Liveness, Node};
use sixfold_proto::name::CHUNKS_PER_EXTENT;
use std::sync::Arc;
use std::time::Duration;

/// A node this many times slower than the median of the extent's nodes is read last.
const SLOW_FACTOR: u32 = 4;

/// Below this no node counts as slow.
const SLOW_FLOOR: Duration = Duration::from_millis(20);

/// Whether to ask a chunk, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Nothing speaks against it.
    Good,
    /// It is expected to answer later than the others.
    Slow,
    /// Its node is not expected to answer.
    Doubtful,
    /// A row says that it is missing.
    Missing,
    /// It gave no cell in time, but may yet.
    Late,
    /// It failed in this read.
    Failed,
}

/// What is known of an extent's chunks before any is read.
pub(super) fn ranks(shared: &Shared, extent: &Extent) -> [Rank; CHUNKS_PER_EXTENT] {
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
            Some(node) if node.latency() > slow && !node.is_slow_to_be_tried() => Rank::Slow,
            Some(_) => Rank::Good,
        }
    })
}
