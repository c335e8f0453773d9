//! What is known of the registry, and when.

use super::*;
use crate::meta::migrate::migrate;
use crate::meta::model::Model;
use crate::meta::pg::Pg;
use crate::meta::types::{Heir, NodeCondition, RemoveNode};
use crate::postgres::testing;
use sixfold_proto::name::LeaseId;

/// For what comes at once on an idle machine, and long before the next reading of the registry.
const SOON: Duration = Duration::from_secs(20);

async fn wait_for(directory: &Directory, is_so: impl Fn(&Snapshot) -> bool) {
    let until = Instant::now() + SOON;
    while !is_so(&directory.snapshot()) {
        assert!(Instant::now() < until, "the change was not heard of");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A change of the registry is known at once, and heartbeats wake nobody up.
async fn changes_are_heard_of(meta: Arc<dyn Meta>) {
    let limits = NodeLimits { refresh_every: Duration::from_hours(1), ..NodeLimits::default() };
    let cluster = meta.cluster_id().await.unwrap();
    let meta_of = Arc::clone(&meta);
    let directory = Directory::with_limits(cluster, meta_of, HashMap::new(), None, limits);
    let stop = CancellationToken::new();
    let watching = tokio::spawn(Arc::clone(&directory).watch(stop.clone()));
    let row = meta.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
    wait_for(&directory, |snapshot| snapshot.entries().count() == 1).await;
    let before = directory.snapshot().ring().epoch();
    meta.set_node_weight(row.number, 2.0).await.unwrap();
    wait_for(&directory, |snapshot| snapshot.ring().epoch() != before).await;
    meta.set_node_state(row.number, NodeState::Draining).await.unwrap();
    wait_for(&directory, |snapshot| snapshot.draining() == [row.number]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let read = directory.snapshot().read;
    let state = NodeState::Draining;
    let beat = NodeCondition { state, capacity_bytes: 1, free_bytes: 1, chunk_count: 0 };
    meta.heartbeat(row.number, row.registration, beat).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(directory.snapshot().read, read, "a heartbeat was told");
    let removal = RemoveNode { node: row.number, heir: Heir::Nobody, may_lose: false };
    meta.remove_node(removal).await.unwrap();
    wait_for(&directory, |snapshot| snapshot.ring().node_count() == 0).await;
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn changes_are_heard_of_on_the_model() {
    changes_are_heard_of(Arc::new(Model::new())).await;
}

#[tokio::test]
async fn changes_are_heard_of_on_postgres() {
    let pg = Pg::open(&testing::database().await, 4).unwrap();
    migrate(pg.pool()).await.unwrap();
    changes_are_heard_of(Arc::new(pg)).await;
}

/// Dead nodes are named while what they had could be made anew elsewhere, and an outage of more
/// than two is nobody's loss.
#[tokio::test]
async fn the_dead_are_lost_only_while_others_can_take_over() {
    use crate::nodes::fake::FakeNode;
    for (there, gone, expected) in [(7, 2, 2), (7, 1, 1), (6, 2, 0), (9, 3, 0), (6, 1, 1)] {
        let meta: Arc<dyn Meta> = Arc::new(Model::new());
        let mut embedded: HashMap<_, Arc<dyn Chunks>> = HashMap::new();
        for number in 1..=there {
            meta.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
            if number > gone {
                embedded.insert(NodeNumber(number), FakeNode::new(NodeNumber(number)));
            }
        }
        let cluster = meta.cluster_id().await.unwrap();
        let directory = Directory::new(cluster, meta, embedded);
        directory.refresh().await.unwrap();
        assert_eq!(directory.dead().len(), expected, "{gone} of {there}");
        assert_eq!(directory.snapshot().is_outage(), gone > 2);
        let extent = ExtentId::new(LeaseId(1), 2);
        assert_eq!(directory.place(extent, Scheme::FourTwo).is_ok(), there - gone >= 4);
    }
}
