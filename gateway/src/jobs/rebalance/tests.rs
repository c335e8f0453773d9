//! The job over rows in memory, nodes that fail on cue, and the real data path.

use super::{Mover, Rebalance};
use crate::data::{CurrentLease, Data, DataLimits, Digests};
use crate::erasure::Scheme;
use crate::jobs::{Heal, Job, Paces, Progress};
use crate::meta::Meta;
use crate::meta::model::Model;
use crate::meta::types::{
    BodyId, BodySource, Bucket, Claimant, Commit, Content, Extent, Headers, Heir, NodeCondition,
    NodeState, Placed, Removal, RemoveNode, WriteCondition,
};
use crate::nodes::fake::{FakeNode, Faults};
use crate::nodes::{Directory, NodeLimits};
use bytes::Bytes;
use futures::TryStreamExt;
use sixfold_proto::chunks::Chunks;
use sixfold_proto::history::Memory;
use sixfold_proto::name::CopyNumber;
use sixfold_proto::name::{ChunkIndex, ChunkName, LeaseId, NodeNumber};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Objects of a world; enough for shares to show.
const BODIES: usize = 60;

struct OneLease(LeaseId);

impl CurrentLease for OneLease {
    fn current(&self) -> LeaseId {
        self.0
    }
}

struct World {
    model: Arc<Model>,
    fakes: Vec<Arc<FakeNode>>,
    directory: Arc<Directory>,
    data: Data,
    writer: LeaseId,
    mover: Mover,
    bodies: Vec<(BodyId, Bytes)>,
    bucket: Arc<Bucket>,
}

impl World {
    /// Nodes 1 to `there`, and more that are known to this process but not registered yet.
    async fn new(there: u16) -> Self {
        let model = Arc::new(Model::new());
        let fakes = (1..=9).map(|number| FakeNode::new(NodeNumber(number))).collect::<Vec<_>>();
        let embedded = fakes
            .iter()
            .zip(1..)
            .map(|(fake, number)| (NodeNumber(number), Arc::clone(fake) as Arc<dyn Chunks>));
        let embedded = embedded.collect::<HashMap<_, _>>();
        for _ in 0..there {
            model.register_node(Uuid::new_v4(), None, "here", 1.0).await.unwrap();
        }
        let seen = model.witness(NodeNumber(1), &[], CopyNumber(0), true).await.unwrap();
        for fake in &fakes {
            fake.remember(Memory { mark: Some(seen.mark), kept: CopyNumber(0) });
        }
        let cluster = model.cluster_id().await.unwrap();
        let meta = Arc::clone(&model) as Arc<dyn Meta>;
        let limits = NodeLimits::default();
        let directory = Directory::with_limits(cluster, meta.clone(), embedded, None, limits);
        directory.refresh().await.unwrap();
        let writer = model.begin_lease("writer").await.unwrap();
        let limits = DataLimits { rebalance_mib_per_s: 1000, ..DataLimits::default() };
        let data = Data::new(directory.clone(), meta, Arc::new(OneLease(writer)), limits);
        let movers = model.begin_lease("movers").await.unwrap();
        let mover = Mover::new(data.clone(), Arc::new(OneLease(movers)));
        let owner = model.create_user("owner").await.unwrap();
        let bucket = Arc::new(model.create_bucket("bucket", owner.id).await.unwrap());
        Self { model, fakes, directory, data, writer, mover, bodies: Vec::new(), bucket }
    }

    async fn filled(there: u16) -> Self {
        let mut world = Self::new(there).await;
        for seed in 0..BODIES {
            world.put(seed, Scheme::FourTwo).await;
        }
        world
    }

    async fn put(&mut self, seed: usize, scheme: Scheme) {
        let bytes = Bytes::from(vec![seed as u8; 3000 + seed * 10_007]);
        let frames = futures::stream::iter([Ok::<_, Infallible>(bytes.clone())]);
        let written = self.data.write(scheme, frames, Digests::md5()).await.unwrap();
        let body = written.body.unwrap();
        self.bodies.push((body.id, bytes));
        let content = Content {
            size: written.size,
            etag: "0".repeat(32),
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            checksum: None,
            tags: std::collections::BTreeMap::new(),
            parts: Vec::new(),
        };
        let commit = Commit {
            lease: written.lease,
            bucket: Arc::clone(&self.bucket),
            key: Uuid::new_v4().to_string(),
            content,
            body: BodySource::New(body),
            condition: WriteCondition::default(),
        };
        self.model.commit(commit).await.unwrap();
    }

    fn job(&self) -> Rebalance {
        let paces = Paces { collect_after: Duration::ZERO, ..Paces::default() };
        let meta = Arc::clone(&self.model) as Arc<dyn Meta>;
        Rebalance::new(meta, Arc::clone(&self.directory), self.mover.clone(), &paces)
    }

    /// A whole round; answers how many chunks moved.
    async fn round(&self, job: &Rebalance) -> u64 {
        // Nobody reads now.
        self.model.renew_lease(self.writer, None).await.unwrap();
        self.model.renew_lease(self.mover.lease.current(), None).await.unwrap();
        let mut moved = 0;
        for _ in 0..1000 {
            match job.step().await.unwrap() {
                Progress::More(count) => moved += count,
                Progress::Idle(count) => return moved + count,
            }
        }
        panic!("a round without an end");
    }

    async fn decide(&self, node: u16, state: NodeState) {
        assert!(self.model.set_node_state(NodeNumber(node), state).await.unwrap());
        self.directory.refresh().await.unwrap();
    }

    async fn remove(&self, node: u16) {
        let removal = RemoveNode { node: NodeNumber(node), heir: Heir::Nobody, may_lose: false };
        assert_eq!(self.model.remove_node(removal).await.unwrap(), Removal::Done);
        self.directory.refresh().await.unwrap();
    }

    async fn extents(&self) -> Vec<Extent> {
        let all = self.model.placed_extents(Placed::Anywhere, None, 10_000).await.unwrap();
        all.into_iter().map(|(_, extent)| extent).collect()
    }

    /// Every row's chunks are where the row says, on six nodes, and every body can be read.
    async fn check(&self) {
        for extent in self.extents().await {
            assert_eq!(BTreeSet::from(extent.placement).len(), 6, "{:?}", extent.placement);
            for (index, node) in ChunkIndex::ALL.into_iter().zip(extent.placement) {
                let name = ChunkName { extent: extent.id, index };
                let is_missing = extent.missing.contains(index.as_usize());
                assert!(
                    is_missing || self.fake(node.0).names().contains(&name),
                    "{name} is not on {node}"
                );
            }
        }
        self.read_all().await;
    }

    async fn read_all(&self) {
        for (id, bytes) in &self.bodies {
            let extents = self.model.extents(*id, 0).await.unwrap();
            let read = self.data.read(*id, extents, 0..bytes.len() as u64).await.unwrap();
            let read = read.try_collect::<Vec<_>>().await.unwrap().concat();
            assert!(read == *bytes, "other bytes");
        }
    }

    fn fake(&self, node: u16) -> &FakeNode {
        &self.fakes[usize::from(node) - 1]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_is_empty_and_the_others_have_everything() {
    let world = World::filled(7).await;
    let job = world.job();
    assert_eq!(world.round(&job).await, 0, "all is in its place");
    world.decide(3, NodeState::Draining).await;
    let had = world.fake(3).chunk_count() as u64;
    assert!(had > 0);
    assert_eq!(world.round(&job).await, had);
    // The copies left behind were still wanted by readers; now they are not.
    world.round(&job).await;
    assert_eq!(world.fake(3).chunk_count(), 0);
    world.check().await;
    world.remove(3).await;
    assert_eq!(world.round(&job).await, 0, "nothing moves a second time");
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_takes_its_share_and_back() {
    let world = World::filled(7).await;
    let job = world.job();
    world.round(&job).await;
    let row = world.model.register_node(Uuid::new_v4(), None, "here", 1.0).await.unwrap();
    world.directory.refresh().await.unwrap();
    let moved = world.round(&job).await;
    let share = (6 * world.extents().await.len() / 8) as u64;
    assert!(moved > share / 2 && moved <= share * 3 / 2, "{moved} of {share}");
    assert_eq!(world.fake(8).chunk_count() as u64, moved);
    world.check().await;
    assert_eq!(world.round(&job).await, 0);
    world.decide(row.number.0, NodeState::Draining).await;
    assert_eq!(world.round(&job).await, moved);
    world.check().await;
}

/// F34: two runners at once, and one that is broken off, do no harm.
#[tokio::test(flavor = "multi_thread")]
async fn f34_two_runners_and_a_broken_one_do_no_harm() {
    let world = World::filled(7).await;
    let (one, two) = (world.job(), world.job());
    world.decide(5, NodeState::Draining).await;
    // One is dropped within a step, with chunks on their way, and keeps the claim for a while.
    drop(tokio::time::timeout(Duration::from_micros(300), one.step()).await);
    let (first, second) = tokio::join!(world.round(&one), world.round(&two));
    assert!(first == 0 || second == 0, "both had the claim: {first}, {second}");
    world.round(&one).await;
    world.check().await;
    assert!(world.extents().await.iter().all(|e| !e.placement.contains(&NodeNumber(5))));

    // Without the claim: the rows are switched once, whoever copies.
    world.decide(5, NodeState::Active).await;
    let snapshot = world.directory.snapshot();
    let extents = world.extents().await;
    let extent = extents.iter().find(|extent| snapshot.wish(extent).is_some()).unwrap();
    let wish = snapshot.wish(extent).unwrap();
    let lease = world.mover.lease.current();
    let copies = [(); 2].map(|()| world.data.move_chunk(extent, wish, lease));
    let mut switched = 0;
    for moved in futures::future::join_all(copies).await.into_iter().flatten() {
        switched += usize::from(world.model.move_chunks(moved).await.unwrap());
    }
    assert_eq!(switched, 1);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f34_a_lease_that_ended_moves_nothing() {
    let world = World::filled(7).await;
    let job = world.job();
    world.decide(2, NodeState::Draining).await;
    let before = world.extents().await;
    world.model.end_lease(world.mover.lease.current()).await.unwrap();
    assert!(job.step().await.is_ok());
    assert_eq!(world.extents().await, before);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_while_more_than_two_are_silent_nothing_moves() {
    let world = World::filled(9).await;
    let job = world.job();
    world.round(&job).await;
    world.decide(1, NodeState::Draining).await;
    // Rows whose drives are not here are nodes that don't answer.
    for _ in 0..3 {
        world.model.register_node(Uuid::new_v4(), None, "here", 1.0).await.unwrap();
    }
    world.directory.refresh().await.unwrap();
    assert_eq!(world.round(&job).await, 0);
    let doing = world.model.jobs().await.unwrap().remove(0).doing;
    assert!(doing.contains("more than two nodes are silent"), "{doing}");
    world.remove(12).await;
    assert!(world.round(&job).await > 0);
}

/// A chunk that is rotten where it should be taken from is heal's, which makes it on another node.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_rotten_is_healed_off_a_drained_node() {
    let world = World::filled(7).await;
    let job = world.job();
    let rotten = world.fake(4).names()[0];
    world.fake(4).flip_bit(rotten, 0, 5);
    world.decide(4, NodeState::Draining).await;
    world.round(&job).await;
    let on_four = world.model.placed_extents(Placed::On(&[NodeNumber(4)]), None, 10).await;
    assert_eq!(on_four.unwrap().len(), 1);
    let meta = Arc::clone(&world.model) as Arc<dyn Meta>;
    let healer = Arc::new(world.mover.clone());
    let heal = Heal::new(meta, healer, world.directory.clone(), &Paces::default());
    heal.step().await.unwrap();
    world.round(&job).await;
    world.round(&job).await;
    assert_eq!(world.fake(4).chunk_count(), 0);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crowded_extents_are_spread_out_when_their_node_is_back() {
    let mut world = World::new(6).await;
    world.fake(6).fail(Faults {
        refuses_puts: Some(sixfold_proto::chunks::NodeError::Full),
        ..Faults::default()
    });
    for seed in 0..BODIES {
        world.put(seed, Scheme::FourTwo).await;
    }
    let crowded = world.model.placed_extents(Placed::Crowded, None, 1000).await.unwrap().len();
    assert!(crowded > 0);
    let job = world.job();
    assert_eq!(world.round(&job).await, 0, "nowhere to go");
    world.fake(6).fail(Faults::default());
    let row = world.model.register_node(Uuid::new_v4(), None, "here", 1.0).await.unwrap();
    let state = NodeState::Active;
    let well = NodeCondition { state, capacity_bytes: 9, free_bytes: 9, chunk_count: 0 };
    world.model.heartbeat(row.number, row.registration, well).await.unwrap();
    world.directory.refresh().await.unwrap();
    assert!(world.round(&job).await >= crowded as u64);
    world.check().await;
}

/// One process does the work; the other takes over when its lease has ended.
#[tokio::test(flavor = "multi_thread")]
async fn another_process_waits_for_the_claim() {
    let world = World::filled(7).await;
    let job = world.job();
    let lease = world.model.begin_lease("another").await.unwrap();
    let another = Claimant { id: 1, lease };
    let hour = Duration::from_hours(1);
    assert!(world.model.claim_job("rebalance", another, "works", hour).await.unwrap());
    world.decide(1, NodeState::Draining).await;
    assert_eq!(world.round(&job).await, 0);
    world.model.end_lease(lease).await.unwrap();
    assert!(world.round(&job).await > 0);
}

/// A drained node that died is named, and what it left behind holds nothing else up.
#[tokio::test]
async fn a_dead_node_that_is_drained_is_named() {
    let world = World::new(9).await;
    let job = world.job();
    // Its drive is not here.
    let dead = world.model.register_node(Uuid::new_v4(), None, "here", 1.0).await.unwrap().number;
    world.decide(dead.0, NodeState::Draining).await;
    world.round(&job).await;
    let doing = world.model.jobs().await.unwrap().remove(0).doing;
    assert_eq!(doing, format!("waits for node {dead}, which does not answer"));
}
