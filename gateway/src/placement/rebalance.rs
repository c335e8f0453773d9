//! Which chunk of an extent should move, and where to: off nodes that are emptied, off nodes that
//! have two of them, and to where the ring has its place since nodes came or went.
//!
//! One chunk of an extent at a time, so that five stay where readers look for them. A move is
//! wished for only while it brings the extent closer to the ring's placement, which is the same
//! for everybody: two who move at once agree, and a walk over extents that are in their places
//! moves nothing.

use super::place::{fill, place};
use super::ring::Ring;
use crate::meta::types::{Extent, Placement};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, NodeNumber};

/// What becomes of a node's chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It has its share: whether it is ill for a moment makes no difference.
    pub is_member: bool,
    /// It takes chunks now.
    pub is_usable: bool,
    /// It gives chunks away: it can be read.
    pub is_readable: bool,
}

/// A chunk that should be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its index.
    pub index: usize,
    /// The node that should have it.
    pub to: NodeNumber,
}

impl Wish {
    /// The placement once it is fulfilled.
    pub fn placement(&self, from: &Placement) -> Placement {
        let mut to = *from;
        to[self.index] = self.to;
        to
    }
}

/// The next move of an extent; `None` when it is in its place, or nothing can be done now.
pub fn wish(
    ring: &Ring,
    extent: &Extent,
    standing: impl Fn(NodeNumber) -> Standing,
) -> Option<Wish> {
    let standings = extent.placement.map(&standing);
    // What is missing is made anew by heal, in its right place at once.
    let can_move = |index: usize| standings[index].is_readable && !extent.missing.contains(index);
    let is_usable = |node| standing(node).is_usable;
    let must_leave = |index: &usize| !standings[*index].is_member && can_move(*index);
    if let Some(index) = (0..CHUNKS_PER_EXTENT).find(must_leave) {
        let wish = elsewhere(ring, extent, index, is_usable)?;
        // Two on a node only where there will never be six: a node that is ill comes back.
        let members = ring.seats().iter().filter(|seat| standing(seat.node).is_member).count();
        let is_crowding = extent.placement.contains(&wish.to);
        return (!is_crowding || members < CHUNKS_PER_EXTENT).then_some(wish);
    }
    if extent.missing.0 != 0 {
        return None;
    }
    let is_second = |index: &usize| {
        extent.placement[..*index].contains(&extent.placement[*index]) && can_move(*index)
    };
    if let Some(index) = (0..CHUNKS_PER_EXTENT).find(is_second) {
        let wish = elsewhere(ring, extent, index, is_usable)?;
        return (!extent.placement.contains(&wish.to)).then_some(wish);
    }
    let ideal = place(ring, extent.id, extent.scheme, |node| standing(node).is_member).ok()?;
    toward(ring, &extent.placement, &ideal, can_move, is_usable)
}

/// The node for one chunk while the others stay.
fn elsewhere(
    ring: &Ring,
    extent: &Extent,
    index: usize,
    is_usable: impl Fn(NodeNumber) -> bool,
) -> Option<Wish> {
    let node = extent.placement[index];
    let kept = std::array::from_fn(|other| (other != index).then_some(extent.placement[other]));
    let filled =
        fill(ring, extent.id, extent.scheme, kept, |other| other != node && is_usable(other));
    Some(Wish { index, to: filled.ok()?[index] })
}

/// The first step from one placement of six nodes to another. The order within them is no matter:
/// a chunk is as good on any of the six. No step crowds a zone.
fn toward(
    ring: &Ring,
    from: &Placement,
    ideal: &Placement,
    can_move: impl Fn(usize) -> bool,
    is_usable: impl Fn(NodeNumber) -> bool,
) -> Option<Wish> {
    if (1..CHUNKS_PER_EXTENT).any(|index| ideal[..index].contains(&ideal[index])) {
        return None;
    }
    let in_zone = |zone: Option<usize>, of: &Placement| {
        of.iter().filter(|node| ring.zone_of(**node) == zone).count()
    };
    let arriving = ideal.iter().filter(|node| !from.contains(node) && is_usable(**node));
    let leaving =
        || (0..CHUNKS_PER_EXTENT).filter(|&index| !ideal.contains(&from[index]) && can_move(index));
    let wishes = arriving.flat_map(|&to| leaving().map(move |index| Wish { index, to }));
    wishes.into_iter().find(|wish| {
        let zone = ring.zone_of(wish.to);
        in_zone(zone, &wish.placement(from)) <= in_zone(zone, ideal).max(in_zone(zone, from))
    })
}

#[cfg(test)]
mod tests;
