//! Missing chunks made anew.

use super::{Body, Cluster, DataLimits, MIB, bytes, choices, limits, name};
use crate::data::Outlook;
use crate::meta::Meta;
use crate::meta::types::{ChunkSet, Extent, Lost, Move};
use crate::nodes::fake::Faults;
use sixfold_proto::name::{ChunkIndex, NodeNumber};
use std::time::Duration;

impl Cluster {
    /// Heals what is degraded, once.
    async fn heal(&self) -> usize {
        let mut healed = 0;
        for extent in self.model.degraded_extents(None, 100).await.unwrap() {
            let Some(moved) = self.data.heal(&extent, self.movers).await.unwrap() else { continue };
            healed += usize::from(self.model.move_chunks(moved).await.unwrap());
        }
        healed
    }

    /// Takes a node down and writes until its breaker is open, so that nothing is placed on it.
    /// How many writes that takes is chance: not every extent is placed on the node.
    async fn lose_node(&self, node: NodeNumber) {
        self.node(node).down();
        for _ in 0..200 {
            if !self.data.0.directory.snapshot().is_usable(node) {
                return;
            }
            drop(self.write(&bytes(1000)).await);
        }
        panic!("the breaker of node {node} stays closed");
    }

    async fn rows(&self, body: &Body) -> Vec<Extent> {
        self.model.extents(body.id, 0).await.unwrap()
    }

    /// Reads the body with every pair of nodes down in turn.
    async fn check_all_pairs(&self, body: &Body) {
        for pair in choices(2) {
            pair.iter().for_each(|&down| self.nodes[down].down());
            self.check(body).await;
            pair.iter().for_each(|&down| self.nodes[down].fail(Faults::default()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_chunks_come_back_on_their_own_node() {
    for size in [1000, 5 * MIB + 77] {
        let cluster = Cluster::new(6).await;
        let body = cluster.committed(&bytes(size)).await;
        for extent in &body.extents {
            for index in [1, 5] {
                cluster.node(extent.placement[index]).lose(name(extent, index));
            }
            cluster.model.mark_missing(extent.id, ChunkSet(0b10_0010)).await.unwrap();
        }
        assert_eq!(cluster.heal().await, body.extents.len());
        assert_eq!(cluster.rows(&body).await, body.extents, "the rows are as after the write");
        cluster.check_all_pairs(&body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_chunk_is_replaced() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(5 * MIB + 77)).await;
    let extent = &body.extents[0];
    cluster.node(extent.placement[2]).flip_bit(name(extent, 2), 0, 13);
    cluster.model.mark_missing(extent.id, ChunkSet(0b100)).await.unwrap();
    assert_eq!(cluster.heal().await, 1);
    cluster.check_all_pairs(&body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_there_after_all_is_not_written_again() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(3 * MIB)).await;
    let extent = &body.extents[0];
    cluster.model.mark_missing(extent.id, ChunkSet(0b1)).await.unwrap();
    let refuses = sixfold_proto::chunks::NodeError::Full;
    let holder = cluster.node(extent.placement[0]);
    holder.fail(Faults { refuses_puts: Some(refuses), ..Faults::default() });
    assert_eq!(cluster.heal().await, 1);
    assert_eq!(cluster.rows(&body).await, body.extents);
}

/// A drive whose every cell comes just in time holds healing up for so long and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn healing_an_extent_ends_in_time() {
    let limits = DataLimits { spread_wait: Duration::from_millis(300), ..limits() };
    let cluster = Cluster::with_limits(6, limits).await;
    let body = cluster.committed(&bytes(2 * MIB)).await;
    let extent = Extent { missing: ChunkSet(0b1), ..body.extents[0].clone() };
    let delay = Duration::from_millis(500);
    cluster.node(extent.placement[0]).fail(Faults { delay, ..Faults::default() });
    let healed = cluster.data.heal(&extent, cluster.movers).await;
    let is_late = healed.is_err_and(|error| error.to_string().contains("not healed within"));
    assert!(is_late);
}

/// What the directory knows decides what is tried.
#[tokio::test(flavor = "multi_thread")]
async fn hopeless_extents_are_known_without_asking() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(1000)).await;
    let with = |missing| Extent { missing: ChunkSet(missing), ..body.extents[0].clone() };
    assert_eq!(cluster.data.outlook(&with(0b1)), Outlook::Good);
    // They may be there after all, since their nodes answer.
    assert_eq!(cluster.data.outlook(&with(0b111)), Outlook::Good);
    cluster.lose_node(body.extents[0].placement[0]).await;
    assert_eq!(cluster.data.outlook(&with(0b1)), Outlook::NoNode);
    assert_eq!(cluster.data.outlook(&with(0b11)), Outlook::Good, "the other one");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_dead_node_move_to_one_that_has_none() {
    let cluster = Cluster::new(7).await;
    let body = cluster.committed(&bytes(5 * MIB + 77)).await;
    let dead = body.extents[0].placement[3];
    cluster.lose_node(dead).await;
    cluster.model.lose_chunks_on(&[dead], Lost::Every, None, 100).await.unwrap();
    let degraded = cluster.model.degraded_extents(None, 100).await.unwrap().len();
    assert!(degraded > 0);
    assert_eq!(cluster.heal().await, degraded);
    for extent in cluster.rows(&body).await {
        assert_eq!(extent.missing, ChunkSet(0));
        assert!(!extent.placement.contains(&dead));
        for (index, node) in ChunkIndex::ALL.into_iter().zip(extent.placement) {
            let name = sixfold_proto::name::ChunkName { extent: extent.id, index };
            assert!(cluster.node(node).names().contains(&name));
        }
        let mut nodes = extent.placement.to_vec();
        nodes.sort_unstable();
        nodes.dedup();
        assert_eq!(nodes.len(), 6, "no two on a node");
    }
    cluster.check(&body).await;
}

/// Found by the simulation's seed 2: rebalance leaves what is missing to heal, and heal left it at
/// home, where it was crowded.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowded_chunk_that_is_missing_finds_a_place_of_its_own() {
    let cluster = Cluster::new(7).await;
    let body = cluster.committed(&bytes(1000)).await;
    let from = body.extents[0].placement;
    let mut to = from;
    to[3] = from[0];
    let (lease, extent) = (cluster.movers, body.extents[0].id);
    let crowded = Move { lease, extent, from, to, healed: ChunkSet(0) };
    assert!(cluster.model.move_chunks(crowded).await.unwrap());
    cluster.model.mark_missing(extent, ChunkSet(0b1000)).await.unwrap();
    assert_eq!(cluster.heal().await, 1);
    let healed = cluster.rows(&body).await.remove(0);
    assert_eq!(healed.missing, ChunkSet(0));
    assert!((0..6).all(|index| index == 3 || healed.placement[index] == from[index]));
    assert!((0..6).all(|index| index == 3 || healed.placement[index] != healed.placement[3]));
    cluster.check(&body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_to_spare_nothing_is_crowded() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(2 * MIB)).await;
    let dead = NodeNumber(4);
    cluster.lose_node(dead).await;
    cluster.model.lose_chunks_on(&[dead], Lost::Every, None, 100).await.unwrap();
    assert_eq!(cluster.heal().await, 0);
    cluster.check(&body).await;
}
