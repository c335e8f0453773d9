//! Checks over the model and nodes in memory.

use super::*;
use crate::erasure::Scheme;
use crate::meta::model::Model;
use crate::meta::types::{
    BodyId, BodySource, Bucket, Commit, Content, Extent, FoundName, Headers, Heir, Move, Named,
    NewBody, RemoveNode, UserId, VersionId, WriteCondition,
};
use crate::nodes::fake::FakeNode;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use proptest::prelude::*;
use sixfold_proto::chunks::{Cell, Chunks, PutItem};
use sixfold_proto::history::Memory;
use sixfold_proto::name::{CopyNumber, LeaseId};
use uuid::Uuid;

const NODES: u16 = 6;

struct Six {
    nodes: BTreeMap<NodeNumber, Arc<FakeNode>>,
    gone: Mutex<Vec<NodeNumber>>,
}

impl Nodes for Six {
    fn node(&self, number: NodeNumber) -> Option<Arc<dyn Chunks>> {
        Some(self.nodes.get(&number)?.clone())
    }
    fn is_heard(&self, number: NodeNumber) -> bool {
        !lock(&self.gone).contains(&number)
    }
}

struct Lease(LeaseId);

impl CurrentLease for Lease {
    fn current(&self) -> LeaseId {
        self.0
    }
}

/// What happens between the reading of the rows and the listing of the nodes, once.
type Meanwhile = BoxFuture<'static, ()>;

/// The model, with things that happen meanwhile.
struct Rows {
    model: Arc<Model>,
    meanwhile: Mutex<Option<Meanwhile>>,
    /// How many moments before and behind calls the process lives still.
    lives: Mutex<Option<u32>>,
}

impl Rows {
    /// A call of a process that may die before it, and behind it.
    async fn passed<T>(
        &self,
        call: impl Future<Output = crate::meta::Result<T>>,
    ) -> crate::meta::Result<T> {
        self.pass()?;
        let answer = call.await;
        self.pass()?;
        answer
    }

    fn pass(&self) -> crate::meta::Result<()> {
        let mut lives = lock(&self.lives);
        let Some(left) = lives.as_mut() else { return Ok(()) };
        let died = crate::meta::MetaError::Unavailable("it has died".to_owned());
        *left = left.checked_sub(1).ok_or(died)?;
        Ok(())
    }
}

#[async_trait]
impl Checks for Rows {
    async fn ask_check(&self, heals: bool) -> crate::meta::Result<Option<i64>> {
        self.passed(self.model.ask_check(heals)).await
    }
    async fn withdraw_check(&self, run: i64) -> crate::meta::Result<()> {
        self.passed(self.model.withdraw_check(run)).await
    }
    async fn check(&self, run: i64) -> crate::meta::Result<Option<CheckRun>> {
        self.passed(self.model.check(run)).await
    }
    async fn next_check(&self) -> crate::meta::Result<Option<CheckRun>> {
        self.passed(self.model.next_check()).await
    }
    async fn step_check(
        &self,
        run: &CheckRun,
        state: &str,
        is_done: bool,
        findings: &[Finding],
    ) -> crate::meta::Result<bool> {
        self.passed(self.model.step_check(run, state, is_done, findings)).await
    }
    async fn extent_count(&self) -> crate::meta::Result<u64> {
        self.passed(self.model.extent_count()).await
    }
    async fn extents_by_id(
        &self,
        after: Option<ExtentId>,
        limit: usize,
    ) -> crate::meta::Result<Vec<Checked>> {
        let rows = self.passed(self.model.extents_by_id(after, limit)).await;
        let meanwhile = lock(&self.meanwhile).take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        rows
    }
    async fn extents_of(&self, ids: &[ExtentId]) -> crate::meta::Result<Vec<Checked>> {
        self.passed(self.model.extents_of(ids)).await
    }
    async fn findings(
        &self,
        run: i64,
        only_open: bool,
        after: Option<ExtentId>,
        limit: usize,
    ) -> crate::meta::Result<Vec<Finding>> {
        self.passed(self.model.findings(run, only_open, after, limit)).await
    }
    async fn settle_findings(
        &self,
        run: i64,
        settled: &[(ExtentId, Outcome)],
    ) -> crate::meta::Result<()> {
        self.passed(self.model.settle_findings(run, settled)).await
    }
    async fn name_findings(
        &self,
        run: i64,
        after: &NameCursor,
        limit: usize,
    ) -> crate::meta::Result<Option<NameCursor>> {
        self.passed(self.model.name_findings(run, after, limit)).await
    }
    async fn finding_names(
        &self,
        run: i64,
        extents: &[ExtentId],
    ) -> crate::meta::Result<Vec<(ExtentId, FoundName)>> {
        self.passed(self.model.finding_names(run, extents)).await
    }
}

#[derive(Clone)]
struct World {
    model: Arc<Model>,
    rows: Arc<Rows>,
    six: Arc<Six>,
    bucket: Arc<Bucket>,
    lease: LeaseId,
}

impl World {
    async fn new() -> Self {
        let model = Arc::new(Model::new());
        let mut nodes = BTreeMap::new();
        for _ in 0..NODES {
            let row = model.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
            let node = FakeNode::new(row.number);
            let seen = model.witness(row.number, &[], CopyNumber(0), false).await.unwrap();
            node.remember(Memory { mark: Some(seen.mark), kept: CopyNumber(0) });
            nodes.insert(row.number, node);
        }
        let six = Arc::new(Six { nodes, gone: Mutex::default() });
        let bucket = Arc::new(model.create_bucket("b", UserId(Uuid::new_v4())).await.unwrap());
        let lease = model.begin_lease("test").await.unwrap();
        let rows = Arc::new(Rows {
            model: Arc::clone(&model),
            meanwhile: Mutex::default(),
            lives: Mutex::default(),
        });
        Self { model, rows, six, bucket, lease }
    }

    fn check(&self) -> Check {
        let (meta, checks) = (self.model.clone() as Arc<dyn Meta>, self.rows.clone());
        let nodes = self.six.clone() as Arc<dyn Nodes>;
        let paces = Paces { collect_after: Duration::ZERO, ..Paces::default() };
        let lease = Arc::new(Lease(self.lease));
        let mut check = Check::new(meta, checks, nodes, lease, &paces);
        check.page = PageSize { rows: 3, listed: 7 };
        // One process after the other, and not several with a claim.
        check.claimant = 1;
        check
    }

    /// Begins a check and goes on with it until it is done.
    async fn run(&self, heals: bool) -> (CheckState, Vec<Finding>) {
        let (check, run) = (self.check(), self.model.ask_check(heals).await.unwrap().unwrap());
        self.finish(&check, run).await
    }

    async fn finish(&self, check: &Check, run: i64) -> (CheckState, Vec<Finding>) {
        loop {
            check.step().await.unwrap();
            let row = self.model.check(run).await.unwrap().unwrap();
            if row.is_done {
                let findings = self.model.findings(run, false, None, 1000).await.unwrap();
                return (CheckState::from_text(&row.state), findings);
            }
        }
    }

    async fn write_chunk(&self, name: ChunkName, node: NodeNumber) {
        let cell = Cell { data: Bytes::from_static(b"x"), checksum: 1, is_verified: false };
        let items = futures::stream::iter([PutItem::Cell(cell), PutItem::End]).boxed();
        self.six.nodes[&node].put(name, self.lease, items).await.unwrap();
    }

    /// Writes the chunks of an extent; no row knows it yet.
    async fn write(&self) -> Extent {
        let placement = std::array::from_fn(|index| NodeNumber(index as u16 + 1));
        self.write_at(placement).await
    }

    async fn write_at(&self, placement: [NodeNumber; 6]) -> Extent {
        let id = ExtentId::new(self.lease, rand::random());
        for (index, node) in ChunkIndex::ALL.into_iter().zip(placement) {
            self.write_chunk(ChunkName { extent: id, index }, node).await;
        }
        let (scheme, missing) = (Scheme::FourTwo, ChunkSet(0));
        Extent { id, start: 0, size: 4, scheme, placement, missing }
    }

    async fn commit(&self, key: &str, extent: &Extent) -> BodyId {
        let id = BodyId(Uuid::new_v4());
        let body = BodySource::New(NewBody { id, extents: vec![extent.clone()] });
        self.model.commit(self.commit_of(key, body)).await.unwrap();
        id
    }

    fn commit_of(&self, key: &str, body: BodySource) -> Commit {
        let content = Content {
            size: 4,
            etag: String::new(),
            storage_class: String::new(),
            headers: Headers::default(),
            checksum: None,
            tags: std::collections::BTreeMap::new(),
            parts: Vec::new(),
        };
        let (bucket, key) = (self.bucket.clone(), key.to_owned());
        let condition = WriteCondition::default();
        Commit { lease: self.lease, bucket, key, content, body, condition }
    }

    async fn put(&self, key: &str) -> Extent {
        let extent = self.write().await;
        self.commit(key, &extent).await;
        extent
    }

    fn lose(&self, extent: &Extent, index: usize) {
        let name = ChunkName { extent: extent.id, index: ChunkIndex::ALL[index] };
        self.six.nodes[&extent.placement[index]].lose(name);
    }

    fn meanwhile(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *lock(&self.rows.meanwhile) = Some(Box::pin(happens));
    }

    async fn missing_of(&self, extent: &Extent) -> ChunkSet {
        self.model.extents_of(&[extent.id]).await.unwrap()[0].extent.missing
    }
}

#[tokio::test]
async fn what_is_whole_is_well() {
    let world = World::new().await;
    assert_eq!(world.run(false).await.0.extents, 0, "nothing at all");
    for key in 0..8 {
        world.put(&key.to_string()).await;
    }
    let (state, findings) = world.run(false).await;
    assert_eq!((state.extents, state.present, findings), (8, 48, vec![]));
    assert_eq!((state.unwanted, state.unreached), (BTreeMap::new(), BTreeMap::new()));
    assert_eq!(state.phase, Phase::Done);
}

#[tokio::test]
async fn what_is_absent_is_named_and_stays() {
    let world = World::new().await;
    let whole = world.put("whole").await;
    let (lost, hurt) = (world.put("lost").await, world.put("hurt").await);
    let body = world.model.find("b", "hurt", None).await.unwrap().version.unwrap().body;
    let shared = BodySource::Shared(body.unwrap());
    world.model.commit(world.commit_of("copy of it", shared)).await.unwrap();
    [0, 1, 5].iter().for_each(|index| world.lose(&lost, *index));
    world.lose(&hurt, 3);
    let (state, findings) = world.run(false).await;
    assert_eq!((state.absent, state.degraded, state.lost), (4, 2, 1));
    let of = |extent: &Extent| *findings.iter().find(|f| f.extent == extent.id).unwrap();
    assert_eq!((of(&lost).absent, of(&lost).is_lost), (ChunkSet(0b10_0011), true));
    assert_eq!((of(&hurt).absent, of(&hurt).is_lost), (ChunkSet(0b1000), false));
    let names = world.model.finding_names(1, &[lost.id, hurt.id]).await.unwrap();
    let what = Named::Current(VersionId::Null);
    let name = |key: &str| FoundName { bucket: "b".to_owned(), key: key.to_owned(), what };
    assert!(names.contains(&(lost.id, name("lost"))), "{names:?}");
    assert!(names.contains(&(hurt.id, name("hurt"))), "{names:?}");
    assert!(names.contains(&(hurt.id, name("copy of it"))), "{names:?}");
    assert_eq!(names.len(), 3);
    // Nobody asked for a mending, and no row goes.
    for extent in [&lost, &hurt, &whole] {
        assert_eq!(world.missing_of(extent).await, ChunkSet(0));
    }
}

#[tokio::test]
async fn heal_is_told_and_waited_for() {
    let world = World::new().await;
    let (lost, hurt) = (world.put("lost").await, world.put("hurt").await);
    let deleted = world.put("deleted").await;
    [0, 1, 2].iter().for_each(|index| world.lose(&lost, *index));
    world.lose(&hurt, 4);
    world.lose(&deleted, 4);
    let (check, run) = (world.check(), world.model.ask_check(true).await.unwrap().unwrap());
    while CheckState::from_text(&world.model.check(run).await.unwrap().unwrap().state).phase
        != Phase::Heal
    {
        check.step().await.unwrap();
    }
    assert_eq!(world.missing_of(&lost).await, ChunkSet(0b111));
    assert_eq!(world.missing_of(&hurt).await, ChunkSet(0b1_0000));
    for _ in 0..3 {
        assert_eq!(check.step().await.unwrap(), Progress::Idle(0), "heal takes its time");
    }
    let name = ChunkName { extent: hurt.id, index: ChunkIndex::ALL[4] };
    world.write_chunk(name, hurt.placement[4]).await;
    let (from, healed) = (hurt.placement, ChunkSet(0b1_0000));
    let moved = Move { lease: world.lease, extent: hurt.id, from, to: from, healed };
    assert!(world.model.move_chunks(moved).await.unwrap());
    world.model.delete(&world.bucket, "deleted", None, None).await.unwrap();
    let (state, findings) = world.finish(&check, run).await;
    let outcome =
        |extent: &Extent| findings.iter().find(|f| f.extent == extent.id).unwrap().outcome;
    assert_eq!(outcome(&hurt), Outcome::Healed);
    assert_eq!(outcome(&deleted), Outcome::Deleted);
    assert_eq!((outcome(&lost), state.lost), (Outcome::Open, 1));
    // It is still found, and its row is still there.
    let (state, findings) = world.run(true).await;
    assert_eq!((findings.len(), findings[0].extent, state.lost), (1, lost.id, 1));
    assert_eq!(findings[0].known, ChunkSet(0b111));
}

#[tokio::test]
async fn what_heal_can_not_do_is_waited_for_within_bounds() {
    let world = World::new().await;
    let hurt = world.put("hurt").await;
    world.lose(&hurt, 4);
    let mut check = world.check();
    check.patience = Duration::ZERO;
    let run = world.model.ask_check(true).await.unwrap().unwrap();
    let (_, findings) = world.finish(&check, run).await;
    assert_eq!(findings[0].outcome, Outcome::Waits);
}

#[tokio::test]
async fn chunks_without_rows_are_counted_by_what_happens_to_them() {
    let world = World::new().await;
    world.put("a").await;
    let aborted = world.write().await;
    let (state, findings) = world.run(false).await;
    assert_eq!(findings, []);
    let sum = state.unwanted_everywhere();
    assert_eq!(sum.held, Count { chunks: 6, bytes: 6 }, "its writer may still commit it");
    assert_eq!((sum.due, sum.quarantined), (Count::default(), Count::default()));
    world.model.end_lease(world.lease).await.unwrap();
    let node = &world.six.nodes[&NodeNumber(2)];
    let copy = node.list(None, 99).await.unwrap();
    let copy = copy.iter().find(|entry| entry.name.extent == aborted.id).unwrap().copy;
    let seen = world.model.witness(NodeNumber(2), &[], copy, false).await.unwrap();
    node.remember(Memory { mark: Some(seen.mark), kept: copy });
    // Of a database that the node has not seen nothing is said to be due.
    world.six.nodes[&NodeNumber(3)].remember(Memory::default());
    let next = World { lease: world.model.begin_lease("next").await.unwrap(), ..world };
    let (state, findings) = next.run(false).await;
    let of = |node: u16| state.unwanted[&node];
    assert_eq!((of(1).due.chunks, of(1).quarantined.chunks), (1, 0));
    assert_eq!((of(2).due.chunks, of(2).quarantined.chunks), (0, 1));
    assert_eq!((of(3).due.chunks, of(3).held.chunks), (0, 1));
    assert_eq!(findings, [], "what is in quarantine and has a row is in its place");
}

#[tokio::test]
async fn nodes_that_can_not_be_asked_are_named_and_nothing_of_theirs_is_said_to_be_absent() {
    let world = World::new().await;
    let extent = world.put("a").await;
    world.lose(&extent, 3);
    world.six.nodes[&NodeNumber(4)].down();
    lock(&world.six.gone).push(NodeNumber(5));
    let (state, findings) = world.run(false).await;
    assert_eq!(state.unreached.keys().copied().collect::<Vec<_>>(), [4, 5]);
    assert!(state.unreached[&4].contains("refused"), "{:?}", state.unreached);
    assert_eq!(findings, []);
    // What rows place on a node that was taken out is absent.
    let removal = RemoveNode { node: NodeNumber(4), heir: Heir::Nobody, may_lose: false };
    world.model.remove_node(removal).await.unwrap();
    let (state, findings) = world.run(false).await;
    assert_eq!(state.unreached.keys().copied().collect::<Vec<_>>(), [5]);
    assert_eq!(findings[0].absent, ChunkSet(0b1000));
}

#[tokio::test]
async fn two_chunks_on_a_node_are_found_while_six_nodes_are_there() {
    let world = World::new().await;
    let crowded = world.write_at([1, 2, 3, 4, 5, 5].map(NodeNumber)).await;
    world.commit("a", &crowded).await;
    let (state, findings) = world.run(false).await;
    assert_eq!((state.crowded, state.degraded), (1, 0));
    assert!(findings[0].is_crowded && findings[0].absent == ChunkSet(0));
    lock(&world.six.gone).push(NodeNumber(6));
    assert_eq!(world.run(false).await.1, [], "there is no sixth node");
}

#[tokio::test]
async fn what_changes_meanwhile_is_not_reported() {
    let world = World::new().await;
    let extent = world.put("a").await;
    // Deleted and collected.
    let then = world.clone();
    let gone = extent.clone();
    world.meanwhile(async move {
        then.model.delete(&then.bucket, "a", None, None).await.unwrap();
        (0..6).for_each(|index| then.lose(&gone, index));
        let freed = then.model.freed_bodies(Duration::ZERO, 9).await.unwrap();
        let freed = freed.iter().map(|body| body.id).collect::<Vec<_>>();
        then.model.forget_bodies(&freed).await.unwrap();
    });
    let (state, findings) = world.run(false).await;
    assert_eq!((findings, state.unwanted_everywhere()), (vec![], Unwanted::default()));
    // Written and committed.
    let then = world.clone();
    world.meanwhile(async move {
        then.put("b").await;
    });
    let (state, findings) = world.run(false).await;
    assert_eq!((findings, state.unwanted_everywhere()), (vec![], Unwanted::default()));
    // Moved away, and the copy of before deleted.
    let extent = world.put("c").await;
    let then = world.clone();
    world.meanwhile(async move {
        let name = ChunkName { extent: extent.id, index: ChunkIndex::ALL[0] };
        then.write_chunk(name, NodeNumber(2)).await;
        let from = extent.placement;
        let to = [2, 2, 3, 4, 5, 6].map(NodeNumber);
        let healed = ChunkSet(0);
        let moved = Move { lease: then.lease, extent: extent.id, from, to, healed };
        assert!(then.model.move_chunks(moved).await.unwrap());
        then.lose(&extent, 0);
    });
    let (_, findings) = world.run(false).await;
    assert!(findings.iter().all(|finding| finding.absent == ChunkSet(0)), "{findings:?}");
}

/// The process dies before and behind each of its calls on the rows, and another one goes on.
#[tokio::test]
async fn f34_a_check_that_dies_at_any_step_counts_everything_once() {
    for moment in 0.. {
        let world = World::new().await;
        for key in 0..5 {
            let extent = world.put(&key.to_string()).await;
            world.lose(&extent, 1);
        }
        world.write().await;
        let run = world.model.ask_check(false).await.unwrap().unwrap();
        *lock(&world.rows.lives) = Some(moment);
        let dies = world.check();
        let mut has_died = false;
        while !has_died && !world.model.check(run).await.unwrap().unwrap().is_done {
            has_died = dies.step().await.is_err();
        }
        *lock(&world.rows.lives) = None;
        let (state, findings) = world.finish(&world.check(), run).await;
        assert_eq!((state.extents, state.absent, findings.len()), (5, 5, 5), "{moment}");
        assert_eq!(state.unwanted_everywhere().held.chunks, 6, "{moment}");
        if !has_died {
            assert!(moment > 10, "there are more steps than {moment}");
            return;
        }
    }
}

#[tokio::test]
async fn f34_two_checks_at_once_count_everything_once() {
    let world = World::new().await;
    for key in 0..10 {
        let extent = world.put(&key.to_string()).await;
        world.lose(&extent, 1);
    }
    world.write().await;
    let run = world.model.ask_check(false).await.unwrap().unwrap();
    let (one, mut two) = (world.check(), world.check());
    two.claimant = 2;
    // The claim of one ends at its every step, as if it were slow.
    loop {
        let row = world.model.check(run).await.unwrap().unwrap();
        if row.is_done {
            break;
        }
        let (meta, checks) = (&*world.model as &dyn Meta, &*world.rows as &dyn Checks);
        let mut state = CheckState::from_text(&row.state);
        if state.phase == Phase::Compare {
            let nodes = &*world.six as &dyn Nodes;
            let sides = Sides { meta, checks, nodes, kept: Duration::ZERO, page: two.page };
            let (findings, _) = compare(&sides, &mut state).await.unwrap();
            one.step().await.unwrap();
            let state = state.to_text();
            assert!(!world.model.step_check(&row, &state, false, &findings).await.unwrap());
        } else {
            one.step().await.unwrap();
        }
        assert_eq!(two.step().await.unwrap(), Progress::Idle(0), "it has not the claim");
    }
    let findings = world.model.findings(run, false, None, 99).await.unwrap();
    let state = CheckState::from_text(&world.model.check(run).await.unwrap().unwrap().state);
    assert_eq!((state.extents, state.absent, findings.len()), (10, 10, 10));
    assert_eq!(state.unwanted_everywhere().held.chunks, 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whatever is lost and left behind, across all pages: exactly that is found.
    #[test]
    fn exactly_what_is_absent_is_found(
        lost in proptest::collection::vec(0..64_u8, 0..20),
        left_behind in 0..12_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let mut expected = BTreeMap::new();
            for (key, lost) in lost.iter().enumerate() {
                let extent = world.put(&key.to_string()).await;
                let lost = ChunkSet(*lost);
                (0..6).filter(|i| lost.contains(*i)).for_each(|i| world.lose(&extent, i));
                expected.insert(extent.id, lost);
            }
            expected.retain(|_, lost| *lost != ChunkSet(0));
            for _ in 0..left_behind {
                world.write().await;
            }
            let (state, findings) = world.run(false).await;
            let found = findings.iter().map(|f| (f.extent, f.absent)).collect::<BTreeMap<_, _>>();
            assert_eq!(found, expected);
            assert_eq!(state.extents, lost.len() as u64);
            assert_eq!(state.unwanted_everywhere().held.chunks, 6 * left_behind as u64);
        });
    }
}
