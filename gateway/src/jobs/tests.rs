//! The jobs over the model and nodes in memory.

use super::*;
use crate::erasure::Scheme;
use crate::meta::model::Model;
use crate::meta::types::{
    BodyId, BodySource, Bucket, ChunkSet, Commit, Content, Extent, Headers, NewBody, UserId,
    WriteCondition,
};
use crate::nodes::fake::{FakeNode, Faults};
use bytes::Bytes;
use futures::StreamExt;
use sixfold_proto::chunks::{Cell, PutItem};
use sixfold_proto::history::{Mark, Memory};
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

struct SixNodes(BTreeMap<NodeNumber, Arc<FakeNode>>);

impl Nodes for SixNodes {
    fn node(&self, number: NodeNumber) -> Option<Arc<dyn Chunks>> {
        Some(self.0.get(&number)?.clone())
    }
}

impl SixNodes {
    fn chunk_count(&self) -> usize {
        self.0.values().map(|node| node.chunk_count()).sum()
    }
}

struct World {
    meta: Arc<dyn Meta>,
    six: Arc<SixNodes>,
    nodes: Arc<dyn Nodes>,
    bucket: Arc<Bucket>,
    lease: LeaseId,
    paces: Paces,
}

impl World {
    async fn new() -> Self {
        let meta: Arc<dyn Meta> = Arc::new(Model::new());
        let mut nodes = BTreeMap::new();
        for _ in 0..6 {
            let row = meta.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
            let node = FakeNode::new(row.number);
            let seen = meta.witness(row.number, &[], CopyNumber(0), true).await.unwrap();
            node.remember(Memory { mark: Some(seen.mark), kept: CopyNumber(0) });
            nodes.insert(row.number, node);
        }
        let six = Arc::new(SixNodes(nodes));
        let bucket = meta.create_bucket("bucket", UserId(Uuid::new_v4())).await.unwrap();
        let lease = meta.begin_lease("test").await.unwrap();
        let paces = Paces { collect_after: Duration::ZERO, ..Paces::default() };
        Self { meta, nodes: six.clone(), six, bucket: Arc::new(bucket), lease, paces }
    }

    /// Writes the six chunks of an extent; no row knows it yet.
    async fn write(&self) -> Extent {
        let numbers: Vec<_> = self.six.0.keys().copied().collect();
        let extent = Extent {
            id: ExtentId::new(self.lease, rand::random()),
            start: 0,
            size: 4,
            scheme: Scheme::FourTwo,
            placement: numbers.try_into().unwrap(),
            missing: ChunkSet(0),
        };
        for (index, node) in ChunkIndex::ALL.into_iter().zip(self.six.0.values()) {
            let cell = Cell { data: Bytes::from_static(b"x"), checksum: 1, is_verified: false };
            let items = futures::stream::iter([PutItem::Cell(cell), PutItem::End]).boxed();
            let name = ChunkName { extent: extent.id, index };
            node.put(name, self.lease, items).await.unwrap();
        }
        extent
    }

    async fn put(&self, key: &str) -> Extent {
        let extent = self.write().await;
        let content = Content {
            size: 4,
            etag: "e".to_owned(),
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            checksum: None,
            tags: std::collections::BTreeMap::new(),
            parts: Vec::new(),
        };
        let body = NewBody { id: BodyId(Uuid::new_v4()), extents: vec![extent.clone()] };
        let commit = Commit {
            lease: self.lease,
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            content,
            body: BodySource::New(body),
            condition: WriteCondition::default(),
        };
        self.meta.commit(commit).await.unwrap();
        extent
    }

    async fn delete(&self, key: &str) {
        self.meta.delete(&self.bucket, key, None, None).await.unwrap();
    }

    async fn collect(&self) -> Progress {
        self.meta.renew_lease(self.lease, None).await.unwrap();
        let job = Collect::new(self.meta.clone(), self.nodes.clone(), &self.paces);
        job.step().await.unwrap()
    }

    /// A whole round; errors are what a node that is away gives.
    async fn sweep(&self) -> u64 {
        let job = Sweep::new(self.meta.clone(), self.nodes.clone(), &self.paces);
        let mut count = 0;
        loop {
            match job.step().await {
                Ok(Progress::More(swept)) => count += swept,
                Ok(Progress::Idle(swept)) => return count + swept,
                Err(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn deleted_and_overwritten_objects_leave_the_nodes() {
    let world = World::new().await;
    world.put("deleted").await;
    world.put("overwritten").await;
    world.put("overwritten").await;
    world.delete("deleted").await;
    assert_eq!(world.six.chunk_count(), 18);
    assert_eq!(world.collect().await, Progress::Idle(2));
    assert_eq!(world.six.chunk_count(), 6, "only the live one is left");
    assert_eq!(world.collect().await, Progress::Idle(0), "and forgotten");
}

#[tokio::test]
async fn f19_a_body_is_kept_while_an_older_read_runs() {
    let world = World::new().await;
    world.put("key").await;
    world.delete("key").await;
    let an_hour = Some(Duration::from_secs(3600));
    world.meta.renew_lease(world.lease, an_hour).await.unwrap();
    let job = Collect::new(world.meta.clone(), world.nodes.clone(), &world.paces);
    assert_eq!(job.step().await.unwrap(), Progress::Idle(0));
    assert_eq!(world.six.chunk_count(), 6);
}

#[tokio::test]
async fn f22_a_node_that_was_away_is_swept_once_the_writer_has_gone() {
    let world = World::new().await;
    for key in 0..10 {
        world.put(&key.to_string()).await;
    }
    let away = &world.six.0[&NodeNumber(3)];
    away.down();
    for key in 0..10 {
        world.delete(&key.to_string()).await;
    }
    assert_eq!(world.collect().await, Progress::Idle(10));
    assert_eq!(world.six.chunk_count(), 10, "those of the node that is away");
    world.meta.end_lease(world.lease).await.unwrap();
    assert_eq!(world.sweep().await, 0, "still away");
    away.fail(Faults::default());
    assert_eq!(world.sweep().await, 10);
    assert_eq!(world.six.chunk_count(), 0);
}

#[tokio::test]
async fn f01_leftovers_are_swept_and_live_or_fresh_chunks_are_not() {
    let world = World::new().await;
    world.put("kept").await;
    world.write().await;
    assert_eq!(world.sweep().await, 0, "the writer may still commit");
    world.meta.end_lease(world.lease).await.unwrap();
    assert_eq!(world.sweep().await, 6);
    assert_eq!(world.six.chunk_count(), 6);
    assert_eq!(world.sweep().await, 0);
}

#[tokio::test]
async fn more_bodies_than_one_step_takes_go_in_several() {
    let world = World::new().await;
    for _ in 0..2100 {
        world.put("key").await;
    }
    assert_eq!(world.collect().await, Progress::More(2000));
    assert_eq!(world.collect().await, Progress::Idle(99));
    assert_eq!(world.six.chunk_count(), 6);
}

/// After an outage of the database every lease looks silent, and after a stop of this process
/// its own does, too.
#[tokio::test]
async fn leases_are_ended_only_after_the_database_answered_for_long_enough() {
    let world = World::new().await;
    let silent = Duration::from_millis(400);
    let job = EndLeases::new(world.meta.clone(), &Paces { lease_silent: silent, ..world.paces });
    tokio::time::sleep(silent).await;
    assert_eq!(job.step().await.unwrap(), Progress::Idle(0), "just began to look");
    tokio::time::sleep(silent).await;
    assert_eq!(job.step().await.unwrap(), Progress::Idle(0), "did not look meanwhile");
    let mut ended = Progress::Idle(0);
    for _ in 0..100 {
        tokio::time::sleep(silent / 4).await;
        ended = job.step().await.unwrap();
        if ended != Progress::Idle(0) {
            break;
        }
    }
    assert_eq!(ended, Progress::Idle(1));
    assert!(world.meta.renew_lease(world.lease, None).await.is_err());
}

/// A database was restored from a backup: the nodes remember marks that it does not have.
#[tokio::test]
async fn f14_by_a_database_that_the_node_does_not_know_nothing_is_swept() {
    let world = World::new().await;
    world.write().await;
    world.meta.end_lease(world.lease).await.unwrap();
    let node = &world.six.0[&NodeNumber(2)];
    for mark in [None, Some(Mark { number: 1, tag: Uuid::new_v4() })] {
        node.remember(Memory { mark, kept: CopyNumber(0) });
        world.sweep().await;
        assert_eq!(world.six.chunk_count(), 1, "what it has");
    }
    // It saw the database meanwhile, and keeps what it had until then.
    let kept = CopyNumber(1);
    let seen = world.meta.witness(NodeNumber(2), &[], kept, false).await.unwrap();
    node.remember(Memory { mark: Some(seen.mark), kept });
    assert_eq!(world.sweep().await, 0);
    let rows = world.meta.quarantines().await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.chunks, row.bytes)).collect::<Vec<_>>(),
        [(Some(1), Some(1))]
    );
    node.remember(Memory { mark: Some(seen.mark), kept: CopyNumber(0) });
    assert_eq!(world.sweep().await, 1, "given up");
}

/// The lease of a writer may outlive its lost commit by hours.
#[tokio::test]
async fn f14_what_is_kept_is_counted_although_its_writer_lives() {
    let world = World::new().await;
    world.write().await;
    let kept = CopyNumber(1);
    let seen = world.meta.witness(NodeNumber(2), &[], kept, false).await.unwrap();
    world.six.0[&NodeNumber(2)].remember(Memory { mark: Some(seen.mark), kept });
    world.sweep().await;
    assert_eq!(world.meta.quarantines().await.unwrap()[0].chunks, Some(1));
}
