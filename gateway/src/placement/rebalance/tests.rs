use super::{Standing, Wish, wish};
use crate::erasure::Scheme;
use crate::meta::types::{ChunkSet, Extent, Placement};
use crate::placement::{Member, Ring, place};
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use sixfold_proto::name::{ExtentId, NodeNumber};
use std::collections::{BTreeMap, HashSet};

/// Tokens of each node, as a cluster has them by default.
const TOKENS: u32 = 150;

/// More chunks of all than this never move for one node: 1.2 of its share.
const MOST_MOVED: f64 = 1.2;

fn member(number: u16, zone: u16) -> Member {
    let node = NodeNumber(number);
    Member { node, seat: node, zone: format!("zone {zone}"), weight: 1.0 }
}

/// Nodes 1 to `count`, spread evenly over the zones.
fn members(count: u16, zones: u16) -> Vec<Member> {
    (1..=count).map(|number| member(number, number % zones)).collect()
}

fn ring(members: &[Member]) -> Ring {
    Ring::new(members, TOKENS)
}

/// Extents as they are placed on a ring whose nodes are all well.
fn placed(ring: &Ring, count: u64, salt: u64) -> Vec<Extent> {
    let extent = |number: u64| {
        let id = ExtentId(u128::from(number ^ salt << 32) << 64 | u128::from(number * 77));
        let scheme = Scheme::FourTwo;
        let placement = place(ring, id, scheme, |_| true).unwrap();
        Extent { id, start: 0, size: 1, scheme, placement, missing: ChunkSet(0) }
    };
    (0..count).map(extent).collect()
}

const WELL: Standing = Standing { is_member: true, is_usable: true, is_readable: true };
const DRAINING: Standing = Standing { is_member: false, is_usable: false, is_readable: true };
const DEAD: Standing = Standing { is_member: true, is_usable: false, is_readable: false };

/// Fulfils every wish; says how many there were.
fn settle(
    ring: &Ring,
    extents: &mut [Extent],
    standing: impl Fn(NodeNumber) -> Standing + Copy,
) -> usize {
    let mut moved = 0;
    for extent in extents {
        let before = moved;
        while let Some(next) = wish(ring, extent, standing) {
            assert!(
                standing(next.to).is_usable && standing(extent.placement[next.index]).is_readable
            );
            extent.placement = next.placement(&extent.placement);
            moved += 1;
            assert!(moved - before <= 6, "an extent moves in circles");
        }
    }
    moved
}

fn is_distinct(placement: &Placement) -> bool {
    placement.iter().collect::<HashSet<_>>().len() == placement.len()
}

/// The most chunks in a zone.
fn most_in_zone(members: &[Member], placement: &Placement) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for node in placement {
        let zone = members.iter().find(|member| member.node == *node).map(|member| &*member.zone);
        *counts.entry(zone.unwrap_or("none")).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

const EXTENTS: u64 = 3000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// F23: a new node takes its share, and hardly more moves.
    #[test]
    fn f23_a_new_node_takes_its_share(count in 6..24_u16, zones in 1..4_u16, salt: u16) {
        let whole_zones = count - count % zones;
        let mut all = members(whole_zones.max(6), zones);
        let mut extents = placed(&ring(&all), EXTENTS, u64::from(salt));
        let new = member(100 + salt % 1000, 0);
        all.push(new.clone());
        let moved = settle(&ring(&all), &mut extents, |_| WELL);
        let share = 6.0 * EXTENTS as f64 / all.len() as f64;
        prop_assert!(moved as f64 <= MOST_MOVED * share, "{moved} moved, {share} are its share");
        let on_new = extents.iter().filter(|e| e.placement.contains(&new.node)).count();
        prop_assert!(on_new as f64 >= share * 0.5, "{on_new} came, {share} are its share");
        for extent in &extents {
            prop_assert!(is_distinct(&extent.placement));
            prop_assert!(most_in_zone(&all, &extent.placement) <= 6_usize.div_ceil(zones.into()));
        }
        prop_assert_eq!(settle(&ring(&all), &mut extents, |_| WELL), 0);
    }

    /// A drained node is empty, what it had is in the places of a ring without it, and nothing
    /// else moves: neither now nor when it is removed.
    #[test]
    fn f23_a_drain_moves_what_the_node_has(count in 7..24_u16, salt: u16) {
        let all = members(count, 1);
        let before = placed(&ring(&all), EXTENTS, u64::from(salt));
        let mut extents = before.clone();
        let drained = NodeNumber(1 + salt % count);
        let had = before.iter().filter(|extent| extent.placement.contains(&drained)).count();
        let standing = |node| if node == drained { DRAINING } else { WELL };
        prop_assert_eq!(settle(&ring(&all), &mut extents, standing), had);
        let share = 6.0 * EXTENTS as f64 / f64::from(count - 1);
        prop_assert!(had as f64 <= MOST_MOVED * share);
        for (extent, before) in extents.iter().zip(&before) {
            prop_assert!(!extent.placement.contains(&drained) && is_distinct(&extent.placement));
            let stayed = extent.placement.iter().zip(before.placement).filter(|(a, b)| *a == b);
            prop_assert!(stayed.count() >= 5);
        }
        let left = all.into_iter().filter(|member| member.node != drained).collect::<Vec<_>>();
        prop_assert_eq!(settle(&ring(&left), &mut extents, |_| WELL), 0);
    }

    /// Weights: a node's share is its weight's, and a change of weight moves the difference.
    #[test]
    fn a_weight_moves_its_difference(count in 10..24_u16, salt: u16) {
        let mut all = members(count, 1);
        let mut extents = placed(&ring(&all), EXTENTS, u64::from(salt));
        all[usize::from(salt % count)].weight = 0.5;
        let moved = settle(&ring(&all), &mut extents, |_| WELL);
        let share = 6.0 * EXTENTS as f64 / f64::from(count);
        prop_assert!(moved as f64 <= MOST_MOVED * share, "{moved} moved, a share is {share}");
        prop_assert!(moved as f64 >= 0.25 * share, "{moved} moved, half of {share} should");
    }

    /// A node in another's seat gets just what that one had.
    #[test]
    fn a_node_in_the_seat_of_another_changes_nothing_else(count in 6..24_u16, salt: u16) {
        let mut all = members(count, 1);
        let before = placed(&ring(&all), 500, u64::from(salt));
        let at = usize::from(salt % count);
        let (old, new) = (all[at].node, NodeNumber(500));
        all[at].node = new;
        let after = placed(&ring(&all), 500, u64::from(salt));
        for (before, after) in before.iter().zip(after) {
            let expected = before.placement.map(|node| if node == old { new } else { node });
            prop_assert_eq!(after.placement, expected);
        }
    }

    /// Whatever is down, a wish never crowds two chunks on a node while six members are there,
    /// never names a node that takes none, and leaves a dead node's chunks alone.
    #[test]
    fn illness_moves_nothing(
        down in proptest::collection::hash_set(1..=9_u16, 0..5),
        salt: u16,
    ) {
        let all = members(9, 3);
        let mut extents = placed(&ring(&all), 200, u64::from(salt));
        let standing = |node: NodeNumber| if down.contains(&node.0) { DEAD } else { WELL };
        prop_assert_eq!(settle(&ring(&all), &mut extents, standing), 0);
        let draining = NodeNumber(10);
        let mut more = all.clone();
        more.push(member(10, 0));
        let mut extents = placed(&ring(&more), 200, u64::from(salt));
        let standing = |node| if node == draining { DRAINING } else { standing(node) };
        settle(&ring(&more), &mut extents, standing);
        prop_assert!(extents.iter().all(|extent| is_distinct(&extent.placement)));
    }
}

#[test]
fn a_crowded_extent_is_spread_out_when_a_node_is_there() {
    let all = members(7, 1);
    let ring = ring(&all);
    let mut extent = placed(&ring, 1, 1).remove(0);
    extent.placement[5] = extent.placement[0];
    let free = (1..=7).map(NodeNumber).filter(|node| !extent.placement.contains(node));
    let free = free.collect::<Vec<_>>();
    let none = |node| if free.contains(&node) { DEAD } else { WELL };
    assert_eq!(wish(&ring, &extent, none), None, "nowhere to go");
    let next = wish(&ring, &extent, |_| WELL).unwrap();
    assert!(next.index == 5 && free.contains(&next.to));
    assert!(is_distinct(&next.placement(&extent.placement)));
}

#[test]
fn what_is_missing_is_left_to_heal() {
    let all = members(8, 1);
    let mut extents = placed(&ring(&all[..7]), 300, 2);
    extents.iter_mut().for_each(|extent| extent.missing = ChunkSet(0b10));
    assert_eq!(settle(&ring(&all), &mut extents, |_| WELL), 0);
    let drained = extents[0].placement[1];
    let standing = |node| if node == drained { DRAINING } else { WELL };
    assert_eq!(wish(&ring(&all), &extents[0], standing), None);
}

#[test]
fn below_six_members_a_drain_crowds_four_two_and_nothing_else() {
    let all = members(6, 1);
    let ring = ring(&all);
    let mut extents = placed(&ring, 200, 3);
    let standing = |node| if node == NodeNumber(2) { DRAINING } else { WELL };
    assert_eq!(settle(&ring, &mut extents, standing), 200);
    for extent in &extents {
        let most = extent
            .placement
            .map(|node| extent.placement.iter().filter(|other| **other == node).count());
        assert!(most.into_iter().max() == Some(2), "{:?}", extent.placement);
    }
    let mut narrow = placed(&ring, 1, 3).remove(0);
    narrow.scheme = Scheme::FiveOne;
    assert_eq!(wish(&ring, &narrow, standing), None);
    let next = Wish { index: 0, to: NodeNumber(9) };
    assert_eq!(next.placement(&narrow.placement)[0], NodeNumber(9));
}
