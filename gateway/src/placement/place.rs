//! The walk around the ring that chooses an extent's six nodes.
//!
//! Six distinct nodes where there are six that can be used, and at most ⌈6 / usable zones⌉
//! chunks in a zone as long as the zones' sizes allow it: distinct nodes come first, then
//! zones. With fewer usable nodes the scheme decides whether some of them may take two chunks.

use super::ring::{Ring, Seat};
use crate::erasure::Scheme;
use crate::meta::types::Placement;
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ExtentId, NodeNumber};
use std::collections::BTreeSet;

/// In a cluster that has six nodes or more, fewer usable ones than this are an outage and no
/// reason to crowd the chunks.
const FEWEST_USABLE: usize = 4;

/// The chunks can't be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{usable} of {registered} nodes can take chunks")]
pub struct TooFewNodes {
    /// How many nodes can take chunks now.
    pub usable: usize,
    /// How many nodes the cluster has.
    pub registered: usize,
}

/// The six nodes of a new extent.
pub fn place(
    ring: &Ring,
    extent: ExtentId,
    scheme: Scheme,
    is_usable: impl Fn(NodeNumber) -> bool,
) -> Result<Placement, TooFewNodes> {
    fill(ring, extent, scheme, [None; CHUNKS_PER_EXTENT], is_usable)
}

/// Nodes for those chunks of an extent that have none; `kept` stay where they are.
pub fn fill(
    ring: &Ring,
    extent: ExtentId,
    scheme: Scheme,
    kept: [Option<NodeNumber>; CHUNKS_PER_EXTENT],
    is_usable: impl Fn(NodeNumber) -> bool,
) -> Result<Placement, TooFewNodes> {
    let registered = ring.node_count();
    let usable = ring.seats().iter().filter(|seat| is_usable(seat.node)).count();
    let refused = TooFewNodes { usable, registered };
    if registered >= CHUNKS_PER_EXTENT && usable < FEWEST_USABLE {
        return Err(refused);
    }
    // Two on a node only when the usable nodes are fewer than the chunks.
    let most_per_node = if usable >= CHUNKS_PER_EXTENT { 1 } else { scheme.max_chunks_per_node() };
    let mut choice = Choice::new(ring, kept, &is_usable);
    let walk = ring.walk(extent).filter(|seat| is_usable(seat.node));
    let order = choice.take_distinct(walk);
    for per_node in 1..=most_per_node {
        choice.take_more(&order, per_node);
    }
    choice.finish().ok_or(refused)
}

/// Whether what is durable on these nodes may be acknowledged: in a cluster that has six nodes or more
/// on four at least. Fewer were usable after all, and what was crowded on them has nothing to spare.
pub fn is_spread(ring: &Ring, nodes: impl Iterator<Item = NodeNumber>) -> bool {
    ring.node_count() < CHUNKS_PER_EXTENT || nodes.collect::<BTreeSet<_>>().len() >= FEWEST_USABLE
}

/// A placement in the making.
struct Choice {
    chosen: [Option<Seat>; CHUNKS_PER_EXTENT],
    /// The most chunks in a zone, where the zones' sizes allow it.
    zone_limit: usize,
}

impl Choice {
    fn new(
        ring: &Ring,
        kept: [Option<NodeNumber>; CHUNKS_PER_EXTENT],
        is_usable: impl Fn(NodeNumber) -> bool,
    ) -> Self {
        let mut zones = vec![false; ring.zone_count()];
        for seat in ring.seats() {
            zones[seat.zone_index] |= is_usable(seat.node);
        }
        let zone_count = zones.into_iter().filter(|usable| *usable).count().max(1);
        // A node that has left the ring stands in a zone of its own.
        let seat_of = |node| {
            let on_ring = ring.seats().iter().find(|seat| seat.node == node);
            on_ring.copied().unwrap_or(Seat { node, zone_index: usize::MAX })
        };
        Self {
            chosen: kept.map(|node| node.map(seat_of)),
            zone_limit: CHUNKS_PER_EXTENT.div_ceil(zone_count),
        }
    }

    fn open_count(&self) -> usize {
        self.chosen.iter().filter(|seat| seat.is_none()).count()
    }

    fn in_zone(&self, seat: Seat) -> usize {
        self.chosen.iter().flatten().filter(|other| other.zone_index == seat.zone_index).count()
    }

    fn on_node(&self, seat: Seat) -> usize {
        self.chosen.iter().flatten().filter(|other| other.node == seat.node).count()
    }

    fn add(&mut self, seat: Seat) {
        if let Some(open) = self.chosen.iter_mut().find(|chosen| chosen.is_none()) {
            *open = Some(seat);
        }
    }

    /// Takes distinct nodes within the zones' limit, walking no further than needed. Returns
    /// the seats that it met: all of them when chunks are left without a node.
    fn take_distinct(&mut self, walk: impl Iterator<Item = Seat>) -> Vec<Seat> {
        let mut met = Vec::with_capacity(2 * CHUNKS_PER_EXTENT);
        for seat in walk {
            if self.open_count() == 0 {
                break;
            }
            met.push(seat);
            if self.on_node(seat) == 0 && self.in_zone(seat) < self.zone_limit {
                self.add(seat);
            }
        }
        met
    }

    /// Goes over the usable seats again, with up to `per_node` chunks on each, and in each
    /// round with one chunk more in a zone.
    fn take_more(&mut self, order: &[Seat], per_node: usize) {
        for zone_limit in self.zone_limit..=CHUNKS_PER_EXTENT {
            for seat in order {
                let fits = self.on_node(*seat) < per_node && self.in_zone(*seat) < zone_limit;
                if self.open_count() > 0 && fits {
                    self.add(*seat);
                }
            }
        }
    }

    fn finish(self) -> Option<Placement> {
        let mut placement = [NodeNumber(0); CHUNKS_PER_EXTENT];
        for (node, seat) in placement.iter_mut().zip(self.chosen) {
            *node = seat?.node;
        }
        Some(placement)
    }
}

#[cfg(test)]
mod tests;
