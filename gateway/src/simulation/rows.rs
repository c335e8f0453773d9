//! One process's way to the database: statements take time, the database is away, answers get
//! lost, and a statement whose caller was told of a failure may still be carried out later.

use super::network::Network;
use super::process::Process;
use super::world::World;
use crate::meta::model::Model;
use crate::meta::types::{
    AccessKey, Backlogs, BodyId, BodySource, Bucket, BucketId, ChunkSet, Claimant, Commit,
    CommitOutcome, CompleteOutcome, Completion, DeleteCondition, DeleteOutcome, Extent,
    ExtentCursor, Found, JobRow, JobStanding, ListQuery, Lost, Move, NewBody, NodeCondition,
    NodeRow, NodeState, Page, Part, PartOutcome, Placed, Quarantine, Removal, RemoveNode,
    RiskCursor, TagOutcome, Tags, Upload, UploadId, User, UserId, Version, VersionId, Versioning,
};
use crate::meta::{FreedBody, Meta, MetaError, Renewal, Result};
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a process waits for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// So many times in a row no process fails to get a new lease by chance.
const TOLD_OFTEN: u32 = 10;

/// The database, which all processes share.
pub(super) struct Database {
    world: Arc<World>,
    pub(super) model: Model,
    network: Arc<Network>,
    weather: Mutex<Weather>,
    /// The processes that know to hold a lease.
    holders: Mutex<BTreeMap<LeaseId, Arc<Process>>>,
    /// How often a process was told that its lease is ended.
    told_ended: Mutex<BTreeMap<LeaseId, u32>>,
}

#[derive(Default)]
struct Weather {
    away_until: Option<Instant>,
    lost_percent: u64,
}

impl Database {
    pub(super) fn new(world: &Arc<World>, network: &Arc<Network>) -> Arc<Self> {
        let (world, network) = (Arc::clone(world), Arc::clone(network));
        let (weather, holders, told_ended) = Default::default();
        Arc::new(Self { world, model: Model::new(), network, weather, holders, told_ended })
    }

    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is away for a while.
    pub(super) fn go_away(&self, time: Duration) {
        self.weather().away_until = Some(Instant::now() + time);
    }

    pub(super) fn lose_answers(&self, percent: u64) {
        self.weather().lost_percent = percent;
    }

    pub(super) fn clear(&self) {
        *self.weather() = Weather::default();
    }

    fn is_away(&self) -> bool {
        self.weather().away_until.is_some_and(|until| Instant::now() < until)
    }

    fn note_holder(&self, lease: LeaseId, holder: Option<Arc<Process>>) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        match holder {
            Some(holder) => drop(holders.insert(lease, holder)),
            None => drop(holders.remove(&lease)),
        }
    }

    /// A process that hears that its lease is ended takes another one, as soon as it gets one.
    fn check_given_up(&self, lease: LeaseId, process: &str) {
        let mut told_ended = self.told_ended.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told_ended.entry(lease).or_default();
        *told += 1;
        if *told == TOLD_OFTEN {
            self.world.wrong(format!("{process} goes on with a lease that it knows to be ended"));
        }
    }

    /// No lease ends of an outage: only those of processes that are dead or stood still.
    fn check_ended<'a>(&self, ended: impl Iterator<Item = &'a LeaseId>, silent: Duration) {
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        for lease in ended {
            let holder = holders.get(lease).filter(|holder| holder.has_run_for(silent * 2));
            if let Some(holder) = holder {
                let name = &holder.name;
                self.world.wrong(format!("F36: a lease of {name} was ended, which is running"));
            }
        }
    }

    /// Every chunk that a new row does not call missing is durable at this moment. What stands on a
    /// drive that loses chunks may have been lost since.
    fn check_durable(&self, extents: &[Extent]) {
        for extent in extents {
            let count = 6 - extent.missing.0.count_ones() as usize;
            if count < extent.scheme.commit_at() {
                self.world.wrong(format!("I1: committed with {count} chunks of {}", extent.id));
            }
            for (at, index) in ChunkIndex::ALL.into_iter().enumerate() {
                let name = ChunkName { extent: extent.id, index };
                let Some(node) = self.network.node(extent.placement[at]) else { continue };
                let is_there =
                    extent.missing.contains(at) || node.is_lossy() || node.has_synced(name);
                if !is_there {
                    let node = node.name();
                    self.world.wrong(format!("I1: committed, but {name} is not durable on {node}"));
                }
            }
        }
    }
}

/// See the module. A cheap handle.
#[derive(Clone)]
pub(super) struct Rows {
    database: Arc<Database>,
    process: Arc<str>,
    holder: Option<Arc<Process>>,
}

impl Rows {
    pub(super) fn new(database: &Arc<Database>, process: &str) -> Self {
        Self { database: Arc::clone(database), process: process.into(), holder: None }
    }

    /// A gateway's.
    pub(super) fn of(database: &Arc<Database>, process: &Arc<Process>) -> Self {
        let holder = Some(Arc::clone(process));
        Self { holder, ..Self::new(database, &process.name) }
    }

    fn world(&self) -> &World {
        &self.database.world
    }

    /// The way of a statement to the database.
    async fn ask(&self) -> Result<()> {
        self.world().sleep(0, 2).await;
        let until = Instant::now() + PATIENCE;
        while self.database.is_away() {
            if Instant::now() >= until {
                return Err(MetaError::Unavailable("no answer".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// The way of the answer.
    async fn answer<T>(&self, what: &str, answer: Result<T>) -> Result<T> {
        self.world().sleep(0, 2).await;
        if self.database.is_away() || self.loses_it() {
            self.world().note(format!("{} does not hear of its {what}", self.process));
            return Err(MetaError::Unavailable("the answer was lost".to_owned()));
        }
        answer
    }

    fn loses_it(&self) -> bool {
        let percent = self.database.weather().lost_percent;
        percent > 0 && self.world().happens(percent)
    }

    /// Whether a statement is carried out only after its caller was told that it failed.
    fn is_late(&self) -> bool {
        self.loses_it() && self.world().happens(50)
    }

    /// Carries out a statement later.
    fn later(&self, what: &str, work: impl Future<Output = ()> + Send + 'static) -> MetaError {
        let world = Arc::clone(&self.database.world);
        let line = format!("late {what} of {}", self.process);
        tokio::spawn(async move {
            world.sleep(50, 3000).await;
            world.note(line);
            work.await;
        });
        MetaError::Unavailable("the connection broke".to_owned())
    }

    async fn commit_now(database: &Database, commit: Commit) -> Result<CommitOutcome> {
        let body = commit.body.clone();
        let outcome = database.model.commit(commit).await;
        if let (Ok(CommitOutcome::Done { .. }), BodySource::New(body)) = (&outcome, &body) {
            database.check_durable(&body.extents);
        }
        outcome
    }

    async fn move_now(database: &Database, moved: Move) -> Result<bool> {
        database.model.move_chunks(moved).await
    }
}

/// Statements with rules of their own, then those that are carried out when they arrive or not at
/// all.
macro_rules! rows {
    ({$($own:tt)*} $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Meta for Rows {
            $($own)*
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
                self.ask().await?;
                let answer = self.database.model.$name($($argument),*).await;
                self.answer(stringify!($name), answer).await
            })*
        }
    };
}

rows! {
    {
        async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
            self.ask().await?;
            let database = Arc::clone(&self.database);
            if self.is_late() {
                return Err(self.later("commit", async move {
                    let _ = Self::commit_now(&database, commit).await;
                }));
            }
            let outcome = Self::commit_now(&database, commit).await;
            self.answer("commit", outcome).await
        }

        async fn move_chunks(&self, moved: Move) -> Result<bool> {
            self.ask().await?;
            let database = Arc::clone(&self.database);
            if self.is_late() {
                return Err(self.later("move", async move {
                    let _ = Self::move_now(&database, moved).await;
                }));
            }
            let is_moved = Self::move_now(&database, moved).await;
            self.answer("move", is_moved).await
        }

        async fn complete(&self, completion: Completion) -> Result<CompleteOutcome> {
            self.ask().await?;
            let database = Arc::clone(&self.database);
            if self.is_late() {
                return Err(self.later("completion", async move {
                    let _ = database.model.complete(completion).await;
                }));
            }
            let outcome = database.model.complete(completion).await;
            self.answer("completion", outcome).await
        }

        async fn delete(
            &self,
            bucket: &Arc<Bucket>,
            key: &str,
            version: Option<VersionId>,
            condition: Option<&DeleteCondition>,
        ) -> Result<DeleteOutcome> {
            self.ask().await?;
            if self.is_late() {
                let (database, bucket) = (Arc::clone(&self.database), Arc::clone(bucket));
                let (key, condition) = (key.to_owned(), condition.cloned());
                return Err(self.later("deletion", async move {
                    let model = &database.model;
                    let _ = model.delete(&bucket, &key, version, condition.as_ref()).await;
                }));
            }
            let outcome = self.database.model.delete(bucket, key, version, condition).await;
            self.answer("deletion", outcome).await
        }

        async fn renew_lease(
            &self,
            lease: LeaseId,
            oldest_read: Option<Duration>,
        ) -> Result<Renewal> {
            self.ask().await?;
            let renewed = self.database.model.renew_lease(lease, oldest_read).await;
            let answer = self.answer("renew_lease", renewed).await;
            if let Err(MetaError::LeaseEnded) = answer {
                self.database.check_given_up(lease, &self.process);
            }
            let renewal = answer?;
            // One whose first renewal fails is never used.
            self.database.note_holder(lease, self.holder.clone());
            Ok(renewal)
        }

        async fn end_lease(&self, lease: LeaseId) -> Result<()> {
            self.ask().await?;
            self.database.note_holder(lease, None);
            let ended = self.database.model.end_lease(lease).await;
            self.answer("end_lease", ended).await
        }

        async fn end_expired_leases(
            &self,
            silent: Duration,
            limit: usize,
        ) -> Result<Vec<LeaseId>> {
            self.ask().await?;
            let ended = self.database.model.end_expired_leases(silent, limit).await;
            self.database.check_ended(ended.iter().flatten(), silent);
            self.answer("end_expired_leases", ended).await
        }

        fn registry_changes(&self) -> BoxStream<'static, ()> {
            // Heard of by looking, as by a gateway that can't listen.
            futures::stream::pending().boxed()
        }
    }

    create_bucket(name: &str, owner: UserId) -> Bucket;
    bucket(name: &str) -> Option<Bucket>;
    delete_bucket(bucket: BucketId) -> ();
    buckets(owner: UserId, prefix: &str, after: Option<&str>, limit: usize) -> Page<Bucket>;
    set_versioning(bucket: BucketId, versioning: Versioning) -> ();
    bucket_tags(bucket: BucketId) -> Tags;
    set_bucket_tags(bucket: BucketId, tags: &Tags) -> ();
    set_tags(bucket: BucketId, key: &str, version: Option<VersionId>, tags: &Tags) -> TagOutcome;
    find(bucket: &str, key: &str, version: Option<VersionId>) -> Found;
    extents(body: BodyId, from: u64) -> Vec<Extent>;
    list_objects(bucket: BucketId, query: &ListQuery) -> Page<Version>;
    list_versions(bucket: BucketId, query: &ListQuery, after: Option<VersionId>)
        -> Page<Version>;
    create_upload(bucket: &Arc<Bucket>, upload: Upload) -> Upload;
    upload(bucket: BucketId, key: &str, id: UploadId) -> Option<Upload>;
    commit_part(lease: LeaseId, upload: UploadId, part: Part, body: Option<NewBody>)
        -> PartOutcome;
    parts(upload: UploadId, after: u16, limit: usize) -> Page<Part>;
    completed(bucket: BucketId, key: &str, id: UploadId, parts: &[(u16, String)])
        -> Option<CompleteOutcome>;
    abort_upload(bucket: BucketId, key: &str, id: UploadId) -> bool;
    list_uploads(bucket: BucketId, query: &ListQuery, after: Option<UploadId>) -> Page<Upload>;
    expire_uploads(idle: Duration, limit: usize) -> u64;
    begin_lease(holder: &str) -> LeaseId;
    mark_missing(extent: ExtentId, chunks: ChunkSet) -> ();
    lose_chunks_on(
        nodes: &[NodeNumber], lost: Lost, after: Option<ExtentCursor>, limit: usize
    ) -> Option<ExtentCursor>;
    degraded_extents(after: Option<RiskCursor>, limit: usize) -> Vec<Extent>;
    placed_extents(placed: Placed<'_>, after: Option<ExtentCursor>, limit: usize)
        -> Vec<(ExtentCursor, Extent)>;
    freed_bodies(at_least: Duration, limit: usize) -> Vec<FreedBody>;
    forget_bodies(bodies: &[BodyId]) -> ();
    condemned(node: NodeNumber, copies: &[(ChunkName, LeaseId, CopyNumber)], kept: Duration)
        -> Vec<(ChunkName, CopyNumber)>;
    unplaced(node: NodeNumber, chunks: &[ChunkName]) -> Vec<ChunkName>;
    claim_job(name: &str, claimant: Claimant, doing: &str, lasts: Duration) -> bool;
    jobs() -> Vec<JobRow>;
    report_jobs(process: &str, reports: &[JobReport]) -> ();
    job_standings() -> Vec<JobStanding>;
    forget_jobs(silent: Duration) -> ();
    backlogs() -> Backlogs;
    mark_rotten(node: NodeNumber, chunks: &[ChunkName]) -> ();
    witness(node: NodeNumber, marks: &[Mark], kept: CopyNumber, is_first: bool) -> Witnessed;
    is_recent(mark: Mark) -> bool;
    count_quarantine(node: NodeNumber, kept: CopyNumber, chunks: u64, bytes: u64) -> ();
    quarantines() -> Vec<Quarantine>;
    release_quarantine(node: NodeNumber, kept: CopyNumber) -> bool;
    create_user(name: &str) -> User;
    user(name: &str) -> Option<User>;
    create_key(user: UserId, access_key: &str, sealed: &[u8]) -> ();
    key(access_key: &str) -> Option<AccessKey>;
    keys() -> Vec<AccessKey>;
    delete_key(access_key: &str) -> bool;
    register_node(drive: Uuid, address: Option<&str>, zone: &str, weight: f64) -> NodeRow;
    heartbeat(node: NodeNumber, registration: i64, condition: NodeCondition)
        -> Option<NodeState>;
    set_node_state(node: NodeNumber, state: NodeState) -> bool;
    set_node_weight(node: NodeNumber, weight: f64) -> bool;
    remove_node(removal: RemoveNode) -> Removal;
    nodes() -> Vec<NodeRow>;
    cluster_id() -> Uuid;
}
