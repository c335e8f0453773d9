//! Reading with nodes down, slow or lying.

use super::{Cluster, MIB, bytes, choices, limits, name};
use crate::data::{DataLimits, ReadError};
use crate::meta::types::ChunkSet;
use crate::nodes::fake::Faults;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_mins(1);

/// Among them one whose last stripe leaves data cells empty.
const SIZES: [usize; 4] = [1000, MIB, MIB + 1, 5 * MIB + 77];

#[tokio::test(flavor = "multi_thread")]
async fn f04_any_pair_of_nodes_may_be_down() {
    for pair in choices(2) {
        let cluster = Cluster::new(6).await;
        let mut bodies = Vec::new();
        for size in SIZES {
            bodies.push(cluster.committed(&bytes(size)).await);
        }
        pair.iter().for_each(|&down| cluster.nodes[down].down());
        for body in &bodies {
            cluster.check(body).await;
        }
        for size in SIZES {
            let body = cluster.committed(&bytes(size)).await;
            cluster.check(&body).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_any_three_nodes_down_are_an_error_before_the_first_byte() {
    for triple in choices(3) {
        let cluster = Cluster::new(6).await;
        let body = cluster.committed(&bytes(5 * MIB + 77)).await;
        triple.iter().for_each(|&down| cluster.nodes[down].down());
        let range = 0..body.bytes.len() as u64;
        let read = cluster.data.read(body.id, body.extents.clone(), range).await;
        assert!(matches!(read, Err(ReadError::TooFewChunks(_))), "{triple:?}");
        triple.iter().for_each(|&up| cluster.nodes[up].fail(Faults::default()));
        cluster.check(&body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_nodes_that_die_in_the_middle_of_a_read_cost_nothing() {
    for dies_after in 0..=2 {
        for pair in choices(2) {
            let cluster = Cluster::new(6).await;
            let body = cluster.committed(&bytes(2 * MIB)).await;
            let faults = Faults { get_dies_after: Some(dies_after), ..Faults::default() };
            pair.iter().for_each(|&down| cluster.nodes[down].fail(faults.clone()));
            cluster.check(&body).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_flipped_bits_in_two_chunks_are_put_right_and_marked() {
    for size in SIZES {
        for pair in choices(2) {
            let cluster = Cluster::new(6).await;
            let body = cluster.committed(&bytes(size)).await;
            let extent = &body.extents[0];
            for &index in &pair {
                cluster.node(extent.placement[index]).flip_bit(name(extent, index), 0, 13 * index);
            }
            cluster.check(&body).await;
            let read_and_rotten = pair.iter().filter(|&&index| index < 4);
            let read_and_rotten = read_and_rotten.fold(0, |bits, index| bits | 1 << index);
            if read_and_rotten != 0 {
                cluster.marked(extent, ChunkSet(read_and_rotten)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_flipped_bits_in_three_chunks_are_an_error_and_never_wrong_bytes() {
    for triple in choices(3) {
        let cluster = Cluster::new(6).await;
        let body = cluster.committed(&bytes(2 * MIB)).await;
        let extent = &body.extents[0];
        for &index in &triple {
            cluster.node(extent.placement[index]).flip_bit(name(extent, index), 1, 4711);
        }
        let read = cluster.read(&body, 0..2 * MIB).await;
        assert!(matches!(read, Err(ReadError::TooFewChunks(_))), "{triple:?}");
        // The first stripe is well.
        assert_eq!(cluster.read(&body, 0..MIB).await.unwrap(), body.bytes.slice(..MIB));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_chunk_is_marked() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(1000)).await;
    let extent = &body.extents[0];
    cluster.node(extent.placement[2]).lose(name(extent, 2));
    cluster.check(&body).await;
    cluster.marked(extent, ChunkSet(0b100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_down_is_no_reason_to_mark_its_chunks() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(1000)).await;
    cluster.node(body.extents[0].placement[0]).down();
    cluster.check(&body).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let degraded = crate::meta::Meta::degraded_extents(&*cluster.model, None, 10).await.unwrap();
    assert!(degraded.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_node_that_hangs_is_waited_for_only_so_long() {
    for stalls_after in [0, 1] {
        let (stripe_wait, cell_wait) = (MINUTE, Duration::from_secs(5));
        let waits = DataLimits { stripe_wait, cell_wait, ..limits() };
        let cluster = Cluster::with_limits(6, waits).await;
        let body = cluster.committed(&bytes(4 * MIB)).await;
        let faults = Faults { get_stalls_after: Some(stalls_after), ..Faults::default() };
        cluster.nodes[0].fail(faults.clone());
        cluster.nodes[3].fail(faults);
        let begun = Instant::now();
        cluster.check(&body).await;
        // Two extents, each at most one wait for both nodes together, and some work.
        assert!(begun.elapsed() < MINUTE, "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_hedges_make_a_slow_node_cheap_within_their_budget() {
    // A cell is waited for so long that only a hedge answers in time.
    let cluster = Cluster::with_limits(6, DataLimits { cell_wait: MINUTE, ..limits() }).await;
    let fast = cluster.committed(&bytes(16 * MIB)).await;
    for _ in 0..10 {
        cluster.check(&fast).await;
    }
    let slow = cluster.committed(&bytes(MIB)).await;
    let late = slow.extents[0].placement[0];
    cluster.node(late).fail(Faults { delay: MINUTE / 2, ..Faults::default() });
    let begun = Instant::now();
    cluster.check(&slow).await;
    assert!(begun.elapsed() < MINUTE / 4, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_node_is_slow_reads_wait_and_writes_go_on() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(2 * MIB)).await;
    let slow = Faults { delay: Duration::from_millis(900), ..Faults::default() };
    cluster.nodes.iter().for_each(|node| node.fail(slow.clone()));
    for _ in 0..6 {
        cluster.check(&body).await;
    }
    let body = cluster.committed(&bytes(1000)).await;
    cluster.check(&body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breakers_that_opened_by_mistake_refuse_no_write() {
    let cluster = Cluster::new(6).await;
    cluster.nodes.iter().for_each(|node| node.down());
    for _ in 0..6 {
        assert!(cluster.write(&bytes(1000)).await.is_err());
    }
    cluster.nodes.iter().for_each(|node| node.fail(Faults::default()));
    let body = cluster.committed(&bytes(1000)).await;
    cluster.check(&body).await;
}
