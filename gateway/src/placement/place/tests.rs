use super::{fill, is_spread, place};
use crate::erasure::Scheme;
use crate::meta::types::Placement;
use crate::placement::{Member, Ring};
use proptest::prelude::{prop_assert, prop_assert_eq, prop_assume, proptest};
use sixfold_proto::name::{ExtentId, NodeNumber};
use std::collections::{BTreeMap, HashSet};

const SCHEME: Scheme = Scheme::FourTwo;

/// Tokens of each node, as a cluster has them by default.
const TOKENS: u32 = 150;

fn members(zones: &[u16]) -> Vec<Member> {
    let member = |(number, zone): (usize, &u16)| Member {
        node: NodeNumber(number as u16 + 1),
        seat: NodeNumber(number as u16 + 1),
        zone: format!("zone {zone}"),
        weight: 1.0,
    };
    zones.iter().enumerate().map(member).collect()
}

fn one_zone(count: u16) -> Vec<Member> {
    members(&vec![0; usize::from(count)])
}

fn extents(count: u64) -> impl Iterator<Item = ExtentId> {
    (0..count).map(|i| ExtentId(u128::from(i) << 64 | u128::from(i * 77)))
}

fn counts<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    keys.fold(BTreeMap::new(), |mut counts, key| {
        *counts.entry(key).or_default() += 1;
        counts
    })
}

fn node_set(placement: &Placement) -> HashSet<NodeNumber> {
    placement.iter().copied().collect()
}

proptest! {
    #[test]
    fn six_usable_nodes_are_six_distinct_nodes_within_the_zones_limit(
        zones in proptest::collection::vec(0..4_u16, 6..16),
        down in proptest::collection::hash_set(1..16_u16, 0..6),
        extent: u128,
    ) {
        let all = members(&zones);
        let usable = all.iter().filter(|member| !down.contains(&member.node.0)).collect::<Vec<_>>();
        prop_assume!(usable.len() >= 6);
        let ring = Ring::new(&all, TOKENS);
        let placement =
            place(&ring, ExtentId(extent), SCHEME, |node| !down.contains(&node.0)).unwrap();
        prop_assert_eq!(node_set(&placement).len(), 6);
        prop_assert!(placement.iter().all(|node| !down.contains(&node.0)));
        let sizes = counts(usable.iter().map(|member| &member.zone));
        let limit = 6_usize.div_ceil(sizes.len());
        let in_zone = counts(placement.iter().map(|node| &all[usize::from(node.0) - 1].zone));
        if sizes.values().map(|size| (*size).min(limit)).sum::<usize>() >= 6 {
            prop_assert!(in_zone.values().all(|count| *count <= limit), "{in_zone:?}");
        }
    }

    #[test]
    fn the_order_in_which_nodes_are_named_makes_no_difference(extent: u128, turn in 0..9_usize) {
        let all = members(&[0, 1, 2, 0, 1, 2, 0, 1, 2]);
        let mut turned = all.clone();
        turned.rotate_left(turn);
        let (ring, other) = (Ring::new(&all, TOKENS), Ring::new(&turned, TOKENS));
        prop_assert_eq!(ring.epoch(), other.epoch());
        let extent = ExtentId(extent);
        prop_assert_eq!(
            place(&ring, extent, SCHEME, |_| true),
            place(&other, extent, SCHEME, |_| true)
        );
    }

    #[test]
    fn a_lost_chunk_moves_alone(extent: u128, lost in 0..6_usize) {
        let ring = Ring::new(&one_zone(8), TOKENS);
        let before = place(&ring, ExtentId(extent), SCHEME, |_| true).unwrap();
        let mut kept = before.map(Some);
        kept[lost] = None;
        let after =
            fill(&ring, ExtentId(extent), SCHEME, kept, |node| node != before[lost]).unwrap();
        for index in 0..6 {
            prop_assert_eq!(before[index] == after[index], index != lost);
        }
        prop_assert_eq!(node_set(&after).len(), 6);
    }
}

#[test]
fn fewer_nodes_take_two_chunks_where_the_scheme_allows_it() {
    for usable in 1..=6_u16 {
        let ring = Ring::new(&one_zone(6), TOKENS);
        for scheme in Scheme::ALL {
            let placed = place(&ring, ExtentId(5), scheme, |node| node.0 <= usable);
            let allowed = usable == 6 || (scheme == SCHEME && usable >= 4);
            assert_eq!(placed.is_ok(), allowed, "{scheme:?} on {usable} of 6");
            let Ok(placement) = placed else { continue };
            let per_node = counts(placement.into_iter());
            assert_eq!(per_node.len(), usize::from(usable));
            assert!(per_node.values().all(|count| *count <= 2));
        }
    }
}

#[test]
fn small_clusters_work_as_far_as_the_scheme_allows() {
    for registered in 0..=5_u16 {
        let ring = Ring::new(&one_zone(registered), TOKENS);
        for scheme in Scheme::ALL {
            let placed = place(&ring, ExtentId(5), scheme, |_| true);
            assert_eq!(placed.is_ok(), scheme == SCHEME && registered >= 3);
        }
    }
}

#[test]
fn doubled_chunks_keep_the_zones_apart() {
    let all = members(&[0, 0, 1, 1, 2, 2]);
    let ring = Ring::new(&all, TOKENS);
    for extent in extents(200) {
        let placement = place(&ring, extent, SCHEME, |node| node.0 != 1).unwrap();
        let in_zone = counts(placement.iter().map(|node| &all[usize::from(node.0) - 1].zone));
        assert!(in_zone.values().all(|count| *count == 2), "{in_zone:?}");
    }
}

#[test]
fn a_join_or_a_leave_moves_little() {
    for count in [7_u16, 10, 20, 50] {
        let (small, large) = (one_zone(count - 1), one_zone(count));
        let (small, large) = (Ring::new(&small, TOKENS), Ring::new(&large, TOKENS));
        let total = 20_000;
        let mut moved = 0;
        for extent in extents(total) {
            let before = node_set(&place(&small, extent, SCHEME, |_| true).unwrap());
            let after = node_set(&place(&large, extent, SCHEME, |_| true).unwrap());
            let came = after.difference(&before).collect::<Vec<_>>();
            assert!(came.iter().all(|node| node.0 == count), "only the new node takes chunks");
            moved += came.len();
        }
        // A join and a leave are the same two rings the one or the other way round; a leave's
        // fraction is of the more chunks, so the join's bound is the tighter one.
        let fraction = moved as f64 / (6.0 * total as f64);
        assert!(fraction <= 1.2 / f64::from(count), "{fraction} of {count} nodes");
    }
}

#[test]
fn chunks_are_balanced_within_a_quarter_and_by_weight() {
    let mut all = one_zone(12);
    all[3].weight = 2.0;
    let ring = Ring::new(&all, TOKENS);
    let total = 20_000;
    let placements = extents(total).map(|extent| place(&ring, extent, SCHEME, |_| true).unwrap());
    let per_node = counts(placements.flatten());
    let light = per_node.iter().filter(|(node, _)| node.0 != 4).map(|(_, count)| *count);
    let (least, most) = (light.clone().min().unwrap(), light.clone().max().unwrap());
    let mean = light.sum::<usize>() as f64 / 11.0;
    assert!(least as f64 > 0.75 * mean && (most as f64) < 1.25 * mean, "{per_node:?}");
    // Six of twelve nodes hold every extent, so that twice the weight is less than twice the
    // chunks, but clearly more than the others'.
    assert!(per_node[&NodeNumber(4)] as f64 > 1.3 * mean, "{per_node:?}");
}

#[test]
fn a_crowd_on_three_nodes_is_spread_in_a_small_cluster_only() {
    for (registered, expected) in [(5, [true, true]), (6, [false, true]), (9, [false, true])] {
        let ring = Ring::new(&one_zone(registered), TOKENS);
        let crowds = [[1, 2, 3, 1, 2, 3], [1, 2, 3, 4, 1, 2]];
        let is_spread = |crowd: [u16; 6]| is_spread(&ring, crowd.into_iter().map(NodeNumber));
        assert_eq!(crowds.map(is_spread), expected, "{registered}");
    }
}
