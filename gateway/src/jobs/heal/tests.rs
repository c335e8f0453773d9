//! The job over the model, with a healer that is told what it can do. What healing does to chunks
//! is tested beside the data path.

use super::*;
use crate::erasure::Scheme;
use crate::meta::model::Model;
use crate::meta::types::{
    BodyId, BodySource, Bucket, ChunkSet, Commit, Content, Headers, Lost, NewBody, UserId,
    WriteCondition,
};
use sixfold_proto::name::{ExtentId, LeaseId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// Puts every missing chunk on node 7, unless told otherwise.
struct OnSeven {
    lease: LeaseId,
    has_node: AtomicBool,
    /// Extents that fail, after how long.
    failing: Mutex<BTreeMap<ExtentId, Duration>>,
    /// How long the others take.
    takes: Mutex<Duration>,
    /// Whether another process is always first.
    is_late: AtomicBool,
    mib_per_s: u32,
    /// The extents that were tried, in order.
    tried: Mutex<Vec<ExtentId>>,
}

impl OnSeven {
    fn new(lease: LeaseId, mib_per_s: u32) -> Arc<Self> {
        Arc::new(Self {
            lease,
            has_node: AtomicBool::new(true),
            failing: Mutex::default(),
            takes: Mutex::default(),
            is_late: AtomicBool::new(false),
            mib_per_s,
            tried: Mutex::default(),
        })
    }

    fn tried(&self) -> Vec<ExtentId> {
        lock(&self.tried).clone()
    }
}

#[async_trait]
impl Healer for OnSeven {
    async fn heal(&self, extent: &Extent) -> Result<Option<Move>, ReadError> {
        lock(&self.tried).push(extent.id);
        let fails = lock(&self.failing).get(&extent.id).copied();
        let takes = fails.unwrap_or(*lock(&self.takes));
        tokio::time::sleep(takes).await;
        if fails.is_some() {
            return Err(ReadError::TooFewChunks("no luck".to_owned()));
        }
        let to = std::array::from_fn(|index| {
            if extent.missing.contains(index) { NodeNumber(7) } else { extent.placement[index] }
        });
        let is_late = self.is_late.load(Ordering::SeqCst);
        let from = if is_late { [NodeNumber(9); 6] } else { extent.placement };
        let (lease, healed) = (self.lease, extent.missing);
        Ok(Some(Move { lease, extent: extent.id, from, to, healed }))
    }

    fn outlook(&self, _: &Extent) -> Outlook {
        if self.has_node.load(Ordering::SeqCst) { Outlook::Good } else { Outlook::NoNode }
    }

    fn lease(&self) -> LeaseId {
        self.lease
    }

    fn pace(&self) -> BytePace {
        BytePace::new(self.mib_per_s)
    }
}

#[derive(Default)]
struct Named {
    gone: Mutex<Vec<NodeNumber>>,
    dead: Mutex<Vec<NodeNumber>>,
    reachable: Mutex<Vec<(NodeNumber, bool)>>,
}

impl Gone for Named {
    fn gone(&self) -> Vec<NodeNumber> {
        lock(&self.gone).clone()
    }

    fn dead(&self) -> Vec<NodeNumber> {
        lock(&self.dead).clone()
    }

    fn reachable(&self) -> Vec<(NodeNumber, bool)> {
        lock(&self.reachable).clone()
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
        Self::with_pace(1000).await
    }

    async fn with_pace(mib_per_s: u32) -> Self {
        let model = Arc::new(Model::new());
        let bucket = model.create_bucket("bucket", UserId(Uuid::new_v4())).await.unwrap();
        let lease = model.begin_lease("test").await.unwrap();
        let (healer, gone) = (OnSeven::new(lease, mib_per_s), Arc::new(Named::default()));
        let heal = heal(&model, &healer, &gone);
        Self { model, bucket: Arc::new(bucket), healer, gone, heal }
    }

    /// Units of work, a second after the other, until none has anything to do for a while.
    async fn settle(&self) {
        let mut idle = 0;
        while idle < 3 {
            idle = if self.heal.step().await.unwrap() == Progress::Idle(0) { idle + 1 } else { 0 };
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Says whether there is a node that takes chunks.
    fn set_node(&self, has_node: bool) {
        self.healer.has_node.store(has_node, Ordering::SeqCst);
        *lock(&self.gone.reachable) = vec![(NodeNumber(7), has_node)];
    }

    async fn put(&self, missing: u8) -> ExtentId {
        self.put_large(missing, 10).await
    }

    async fn put_large(&self, missing: u8, size: u64) -> ExtentId {
        let extent = Extent {
            id: ExtentId::new(self.healer.lease, rand::random()),
            start: 0,
            size,
            scheme: Scheme::FourTwo,
            placement: [1, 2, 3, 4, 5, 6].map(NodeNumber),
            missing: ChunkSet(missing),
        };
        let id = extent.id;
        let content = Content {
            size,
            etag: "e".to_owned(),
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            checksum: None,
            tags: BTreeMap::new(),
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

    /// Works until this one is healed.
    async fn settle_one(&self, id: ExtentId) {
        let is_left = async || {
            let left = self.model.degraded_extents(None, 10_000).await.unwrap();
            left.iter().any(|extent| extent.id == id)
        };
        while is_left().await {
            self.heal.step().await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn degraded(&self) -> usize {
        self.model.degraded_extents(None, 10_000).await.unwrap().len()
    }
}

fn heal(model: &Arc<Model>, healer: &Arc<OnSeven>, gone: &Arc<Named>) -> Heal {
    let (meta, paces) = (Arc::clone(model) as Arc<dyn Meta>, Paces::default());
    Heal::new(meta, healer.clone(), gone.clone(), &paces)
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_healed() {
    let world = World::new().await;
    for missing in 0..2 * walk::AHEAD {
        world.put(1 << (missing % 6)).await;
    }
    world.put(0).await;
    world.settle().await;
    assert_eq!(world.degraded().await, 0);
    assert_eq!(world.healer.tried().len(), 2 * walk::AHEAD);
    let told = world.heal.told().unwrap();
    assert_eq!(told, format!("{} healed; nothing to heal", 2 * walk::AHEAD));
}

#[tokio::test(start_paused = true)]
async fn what_no_node_takes_is_not_tried_until_one_does() {
    let world = World::new().await;
    world.set_node(false);
    for _ in 0..=walk::PAGE {
        world.put(1).await;
    }
    world.settle().await;
    assert_eq!(world.healer.tried(), []);
    let told = world.heal.told().unwrap();
    let (all, waits) = ("0 healed; 1001 left, 0 of them at risk, 0 unreadable", "1001 wait for");
    assert!(told.starts_with(all) && told.contains(waits), "{told}");
    world.set_node(true);
    world.settle().await;
    assert_eq!(world.degraded().await, 0);
}

/// What can lose no chunk more goes before what can, however long the queue of that is already.
#[tokio::test(start_paused = true)]
async fn what_comes_to_be_at_risk_goes_first() {
    let world = World::new().await;
    *lock(&world.healer.takes) = Duration::from_secs(1);
    for _ in 0..500 {
        world.put(0b1).await;
    }
    world.heal.step().await.unwrap();
    let before = world.healer.tried().len();
    assert!(before < 50, "one unit of work takes a moment, and not {before} s");
    let at_risk = [world.put(0b11).await, world.put(0b11_0000).await];
    // A walk over those at risk, of whom there were none, begins anew after a second.
    world.heal.step().await.unwrap();
    let tried = world.healer.tried();
    let next = &tried[before..before + 2];
    assert!(at_risk.iter().all(|id| next.contains(id)), "{next:?}, not {at_risk:?}");
    world.settle().await;
    assert_eq!(world.degraded().await, 0);
}

/// They stand first in the queue, fail slowly, and are tried again later and later.
#[tokio::test(start_paused = true)]
async fn what_fails_holds_up_nothing_for_long() {
    let world = World::new().await;
    for _ in 0..20 {
        let (hopeless, at_risk) = (world.put(0b111).await, world.put(0b11).await);
        for id in [hopeless, at_risk] {
            lock(&world.healer.failing).insert(id, Duration::from_secs(20));
        }
    }
    for _ in 0..10 {
        world.put(0b1).await;
    }
    let begun = Instant::now();
    while world.degraded().await > 40 {
        world.heal.step().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Each at risk failed once, eight at a time, and the unreadable ones wait their turn.
    let first = begun.elapsed();
    assert!(first < Duration::from_mins(3), "after {first:?}");
    while begun.elapsed() < Duration::from_mins(10) {
        world.heal.step().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let at_risk = world.put(0b11).await;
    let before = world.healer.tried().len();
    world.settle_one(at_risk).await;
    let tried = world.healer.tried().len() - before;
    assert!(tried < 20, "{tried} tries of others before the one that can be healed");
    let told = world.heal.told().unwrap();
    assert!(told.contains("failed and are tried again: ") && told.contains("no luck"), "{told}");
    lock(&world.healer.failing).clear();
    world.set_node(true);
    world.settle().await;
    assert_eq!(world.degraded().await, 0);
}

/// Two processes share the work, and the other goes on when one is gone.
#[tokio::test(start_paused = true)]
async fn one_process_heals_for_all() {
    let world = World::new().await;
    let lease = world.model.begin_lease("other").await.unwrap();
    let other = heal(&world.model, &OnSeven::new(lease, 1000), &world.gone);
    for _ in 0..100 {
        world.put(1).await;
    }
    world.heal.step().await.unwrap();
    assert_eq!(other.step().await.unwrap(), Progress::Idle(0));
    assert_eq!(other.told().unwrap(), "0 healed; another process heals");
    world.settle().await;
    assert_eq!(world.healer.tried().len(), 100);
    world.put(1).await;
    assert_eq!(other.step().await.unwrap(), Progress::Idle(0));
    assert_eq!(world.degraded().await, 1);
    world.model.end_lease(world.healer.lease).await.unwrap();
    while world.degraded().await > 0 {
        other.step().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(other.told().unwrap().starts_with("1 healed"));
}

#[tokio::test(start_paused = true)]
async fn what_another_healed_first_is_not_counted() {
    let world = World::new().await;
    world.healer.is_late.store(true, Ordering::SeqCst);
    world.put(1).await;
    assert_eq!(world.heal.step().await.unwrap(), Progress::More(0));
    assert!(world.heal.told().unwrap().starts_with("0 healed"));
}

/// The pace is kept, and what is at risk does not wait behind what is being waited for.
#[tokio::test(start_paused = true)]
async fn a_pace_of_bytes_is_kept() {
    let world = World::with_pace(1).await;
    for _ in 0..8 {
        world.put_large(0b1, 8 << 20).await;
    }
    let begun = Instant::now();
    world.heal.step().await.unwrap();
    let at_risk = world.put_large(0b11, 8 << 20).await;
    while world.degraded().await > 0 {
        world.heal.step().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Lanes that are free at the same moment begin together, so that it is not exact.
    assert!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());
    let tried = world.healer.tried();
    let place = tried.iter().position(|id| *id == at_risk).unwrap();
    assert!(place <= AT_ONCE, "at place {place} of 9");
}

#[tokio::test(start_paused = true)]
async fn chunks_on_nodes_that_are_gone_are_missing() {
    let world = World::new().await;
    for _ in 0..=marking::PER_STATEMENT {
        world.put(0).await;
    }
    assert_eq!(world.heal.step().await.unwrap(), Progress::Idle(0));
    *lock(&world.gone.gone) = vec![NodeNumber(2)];
    world.settle().await;
    assert_eq!(world.degraded().await, 0);
    let moved = world.model.degraded_extents(None, 1).await.unwrap();
    assert!(moved.is_empty());
    let next =
        world.model.lose_chunks_on(&[NodeNumber(7)], Lost::Every, None, 10_000).await.unwrap();
    assert_eq!(next, None);
    assert_eq!(world.degraded().await, marking::PER_STATEMENT + 1, "all of them moved to node 7");
}

/// Two of six chunks on dead nodes can't wait for the hold-down; one can.
#[tokio::test(start_paused = true)]
async fn what_is_at_risk_is_healed_at_once() {
    let world = World::new().await;
    for missing in [0, 0b1000] {
        world.put(missing).await;
    }
    world.set_node(false);
    *lock(&world.gone.dead) = vec![NodeNumber(2)];
    world.heal.step().await.unwrap();
    let marked = world.model.degraded_extents(None, 10).await.unwrap();
    assert_eq!(marked.iter().map(|e| e.missing.0).collect::<Vec<_>>(), [0b1010], "the other waits");
    *lock(&world.gone.dead) = vec![NodeNumber(2), NodeNumber(5)];
    world.heal.step().await.unwrap();
    let marked = world.model.degraded_extents(None, 10).await.unwrap();
    let mut missing = marked.iter().map(|e| e.missing.0).collect::<Vec<_>>();
    missing.sort_unstable();
    assert_eq!(missing, [0b1010, 0b1_0010], "none to spare; what is lost already is not marked");
    world.set_node(true);
    world.settle().await;
    assert_eq!(world.degraded().await, 0);
}
