//! The job over the model, with a healer that is told what it can do. What healing does to chunks
//! is tested beside the data path.

use super::*;
use crate::erasure::Scheme;
use crate::meta::model::Model;
use crate::meta::types::{
    BodyId, BodySource, Bucket, ChunkSet, Commit, Content, Headers, NewBody, UserId, WriteCondition,
};
use sixfold_proto::name::{ExtentId, LeaseId};
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// Puts every missing chunk on node 7, unless told that there is no node.
struct OnSeven {
    lease: LeaseId,
    has_node: AtomicBool,
}

#[async_trait]
impl Healer for OnSeven {
    async fn heal(&self, extent: &Extent) -> Result<Option<Move>, ReadError> {
        if !self.has_node.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let to = std::array::from_fn(|index| {
            if extent.missing.contains(index) { NodeNumber(7) } else { extent.placement[index] }
        });
        let (lease, healed) = (self.lease, extent.missing);
        Ok(Some(Move { lease, extent: extent.id, from: extent.placement, to, healed }))
    }
}

#[derive(Default)]
struct Named(Mutex<Vec<NodeNumber>>, Mutex<Vec<NodeNumber>>);

impl Gone for Named {
    fn gone(&self) -> Vec<NodeNumber> {
        lock(&self.0).clone()
    }

    fn dead(&self) -> Vec<NodeNumber> {
        lock(&self.1).clone()
    }
}

struct World {
    model: Arc<Model>,
    bucket: Arc<Bucket>,
    healer: Arc<OnSeven>,
    gone: Arc<Named>,
    heal: Heal,
}

impl World {
    async fn new() -> Self {
        let model = Arc::new(Model::new());
        let bucket = model.create_bucket("bucket", UserId(Uuid::new_v4())).await.unwrap();
        let lease = model.begin_lease("test").await.unwrap();
        let healer = Arc::new(OnSeven { lease, has_node: AtomicBool::new(true) });
        let gone = Arc::new(Named::default());
        let (meta, paces) = (Arc::clone(&model) as Arc<dyn Meta>, Paces::default());
        let heal = Heal::new(meta, healer.clone(), gone.clone(), &paces);
        Self { model, bucket: Arc::new(bucket), healer, gone, heal }
    }

    async fn put(&self, missing: u8) -> ExtentId {
        let extent = Extent {
            id: ExtentId::new(self.healer.lease, rand::random()),
            start: 0,
            size: 10,
            scheme: Scheme::FourTwo,
            placement: [1, 2, 3, 4, 5, 6].map(NodeNumber),
            missing: ChunkSet(missing),
        };
        let id = extent.id;
        let content = Content {
            size: 10,
            etag: "e".to_owned(),
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            checksum: None,
            tags: std::collections::BTreeMap::new(),
            parts: Vec::new(),
        };
        let commit = Commit {
            lease: self.healer.lease,
            bucket: Arc::clone(&self.bucket),
            key: Uuid::new_v4().to_string(),
            content,
            body: BodySource::New(NewBody { id: BodyId(Uuid::new_v4()), extents: vec![extent] }),
            condition: WriteCondition::default(),
        };
        self.model.commit(commit).await.unwrap();
        id
    }

    async fn degraded(&self) -> usize {
        self.model.degraded_extents(None, 10_000).await.unwrap().len()
    }
}

#[tokio::test]
async fn what_is_missing_is_healed_page_by_page() {
    let world = World::new().await;
    for missing in 0..2 * PER_STEP {
        world.put(1 << (missing % 6)).await;
    }
    world.put(0).await;
    assert_eq!(world.heal.step().await.unwrap(), Progress::More(PER_STEP as u64));
    assert_eq!(world.heal.step().await.unwrap(), Progress::More(PER_STEP as u64));
    assert_eq!(world.heal.step().await.unwrap(), Progress::Idle(0));
    assert_eq!(world.degraded().await, 0);
}

#[tokio::test]
async fn what_can_not_be_healed_holds_nothing_up_and_is_tried_again() {
    let world = World::new().await;
    for _ in 0..=PER_STEP {
        world.put(1).await;
    }
    world.healer.has_node.store(false, Ordering::SeqCst);
    assert_eq!(world.heal.step().await.unwrap(), Progress::More(0));
    assert_eq!(world.heal.step().await.unwrap(), Progress::Idle(0), "the one behind is seen, too");
    world.healer.has_node.store(true, Ordering::SeqCst);
    assert_eq!(world.heal.step().await.unwrap(), Progress::More(PER_STEP as u64));
    assert_eq!(world.heal.step().await.unwrap(), Progress::Idle(1));
    assert_eq!(world.degraded().await, 0);
}

#[tokio::test]
async fn chunks_on_nodes_that_are_gone_are_missing() {
    let world = World::new().await;
    for _ in 0..=MARKED_PER_STEP {
        world.put(0).await;
    }
    assert_eq!(world.heal.step().await.unwrap(), Progress::Idle(0));
    *lock(&world.gone.0) = vec![NodeNumber(2)];
    while world.heal.step().await.unwrap() != Progress::Idle(0) {}
    assert_eq!(world.degraded().await, 0);
    let moved = world.model.degraded_extents(None, 1).await.unwrap();
    assert!(moved.is_empty());
    let next =
        world.model.lose_chunks_on(&[NodeNumber(7)], Lost::Every, None, 10_000).await.unwrap();
    assert_eq!(next, None);
    assert_eq!(world.degraded().await, MARKED_PER_STEP + 1, "all of them moved to node 7");
}

/// Two of six chunks on dead nodes can't wait for the hold-down; one can.
#[tokio::test]
async fn what_is_at_risk_is_healed_at_once() {
    let world = World::new().await;
    for missing in [0, 0b1000] {
        world.put(missing).await;
    }
    world.healer.has_node.store(false, Ordering::SeqCst);
    *lock(&world.gone.1) = vec![NodeNumber(2)];
    world.heal.step().await.unwrap();
    let marked = world.model.degraded_extents(None, 10).await.unwrap();
    assert_eq!(marked.iter().map(|e| e.missing.0).collect::<Vec<_>>(), [0b1010], "the other waits");
    *lock(&world.gone.1) = vec![NodeNumber(2), NodeNumber(5)];
    world.heal.step().await.unwrap();
    let marked = world.model.degraded_extents(None, 10).await.unwrap();
    let mut missing = marked.iter().map(|e| e.missing.0).collect::<Vec<_>>();
    missing.sort_unstable();
    assert_eq!(missing, [0b1010, 0b1_0010], "none to spare; what is lost already is not marked");
    world.healer.has_node.store(true, Ordering::SeqCst);
    while world.heal.step().await.unwrap() != Progress::Idle(0) {}
    assert_eq!(world.degraded().await, 0);
}
