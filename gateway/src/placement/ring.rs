//! The ring: each node's tokens in the order of their points.

use super::hash;
use sixfold_proto::name::{ExtentId, NodeNumber};
use std::collections::BTreeMap;

/// The most tokens of one node, so that a mistyped weight can't take all memory.
const MAX_TOKENS: f64 = 15_000.0;

/// A node on the ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its number.
    pub node: NodeNumber,
    /// The number that its tokens follow from: its own, or that of a node whose place it took.
    pub seat: NodeNumber,
    /// Its failure domain.
    pub zone: String,
    /// Its share relative to others, above 0.
    pub weight: f64,
}

/// A member as the ring keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) node: NodeNumber,
    pub(super) zone_index: usize,
}

/// The consistent-hash ring over all nodes that are not removed. Whether a node may take a
/// chunk now is not the ring's matter, so that a short illness moves nothing.
#[derive(Debug, Default)]
pub struct Ring {
    seats: Vec<Seat>,
    zone_count: usize,
    /// Points and indexes into `seats`, by point.
    tokens: Vec<(u64, u32)>,
    epoch: u64,
}

impl Ring {
    /// The ring of these members, in whatever order they are named. A member has `tokens` for
    /// each 1 of its weight.
    pub fn new(members: &[Member], tokens: u32) -> Self {
        let mut members = members.iter().collect::<Vec<_>>();
        members.sort_by_key(|member| member.node);
        let mut zones = BTreeMap::new();
        let mut ring = Self::default();
        let mut described = Vec::new();
        for member in members {
            let zone_count = zones.len();
            let zone_index = *zones.entry(member.zone.as_str()).or_insert(zone_count);
            let seat_index = ring.seats.len() as u32;
            let points = (0..token_count(member.weight, tokens))
                .map(|token| (hash::token_point(member.seat, token), seat_index));
            ring.tokens.extend(points);
            ring.seats.push(Seat { node: member.node, zone_index });
            described.extend_from_slice(&member.node.0.to_be_bytes());
            described.extend_from_slice(&member.seat.0.to_be_bytes());
            described.extend_from_slice(&member.weight.to_be_bytes());
            described.extend_from_slice(member.zone.as_bytes());
        }
        ring.zone_count = zones.len();
        ring.tokens.sort_unstable();
        ring.epoch = hash::epoch(&described);
        ring
    }

    /// The ring's number, for display: equal rings have equal ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many nodes are on it.
    pub fn node_count(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn zone_count(&self) -> usize {
        self.zone_count
    }

    /// The zone of a node that is on the ring.
    pub(super) fn zone_of(&self, node: NodeNumber) -> Option<usize> {
        self.seats.iter().find(|seat| seat.node == node).map(|seat| seat.zone_index)
    }

    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The seats in the order in which the walk from the extent's point first meets them.
    pub(super) fn walk(&self, extent: ExtentId) -> impl Iterator<Item = Seat> {
        let point = hash::extent_point(extent);
        let start = self.tokens.partition_point(|(token, _)| *token < point);
        let (before, after) = self.tokens.split_at(start);
        let mut seen = vec![false; self.seats.len()];
        let mut left = self.seats.len();
        after
            .iter()
            .chain(before)
            .map_while(move |&(_, seat)| (left > 0).then_some(seat))
            .filter_map(move |seat| {
                let seat_index = seat as usize;
                if std::mem::replace(&mut seen[seat_index], true) {
                    return None;
                }
                left = left.saturating_sub(1);
                Some(self.seats[seat_index])
            })
    }
}

fn token_count(weight: f64, tokens: u32) -> u32 {
    (f64::from(tokens) * weight).round().clamp(1.0, MAX_TOKENS) as u32
}
