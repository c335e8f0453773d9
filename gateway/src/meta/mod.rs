//! An object's rows behind one interface: PostgreSQL, and an in-memory model that is the
//! executable specification. The only place with SQL; it knows no bytes of objects.

pub mod checks;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod conformance;
pub mod migrate;
pub mod model;
pub mod pg;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod types;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use types::{
    AccessKey, Backlogs, BodyId, Bucket, BucketId, ChunkSet, Claimant, Commit, CommitOutcome,
    CompleteOutcome, Completion, DeleteCondition, DeleteOutcome, Extent, ExtentCursor, Found,
    JobRow, JobStanding, ListQuery, Lost, Move, NewBody, NodeCondition, NodeRow, NodeState, Page,
    Part, PartOutcome, Placed, Quarantine, Removal, RemoveNode, RiskCursor, TagOutcome, Tags,
    Upload, UploadId, User, UserId, Version, VersionId, Versioning,
};

/// The most extents that one look-up returns; a longer body is read page by page.
pub const EXTENTS_PER_PAGE: usize = 64;

/// A page of freed bodies ends with the one that brings it to this many extents, so that a few
/// bodies of ten thousand parts are deleted and forgotten in the time of a statement.
pub const FREED_EXTENTS: usize = 20_000;

/// What waits is counted to here: counting more would cost more than it tells.
pub const BACKLOG_LIMIT: usize = 200_000;

/// What a removal would lose is counted to here: one is reason enough to refuse it.
pub const LOST_LIMIT: usize = 1000;

/// Why a call on the rows failed, by what the caller does about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetaError {
    /// The database can't be reached or did not answer in time; nothing was changed. 503.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The lease has been ended: take a new one; the bytes written under it are lost. 503.
    #[error("the lease has ended")]
    LeaseEnded,
    /// The bucket's configuration changed since it was read: reload it, decide again.
    #[error("the bucket's configuration has changed")]
    BucketChanged,
    /// The bucket does not exist (any more): 404.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The name is taken: 409 (or 200, by owner and region).
    #[error("the bucket name is taken")]
    BucketExists {
        /// By whom.
        owner: UserId,
    },
    /// The bucket holds objects, versions or uploads: 409.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// A user of that name or an access key of that id exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// The rows contradict what the code relies on: a bug or a damaged database.
    #[error("unexpected rows: {0}")]
    Broken(String),
}

/// Shorthand for this module.
pub type Result<T> = std::result::Result<T, MetaError>;

/// A freed body's extent whose chunks may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedBody {
    /// The body.
    pub id: BodyId,
    /// Its extents.
    pub extents: Vec<Extent>,
}

/// What a renewal of a lease answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The database's clock.
    pub database_time: OffsetDateTime,
}

/// The rows that S3 operations need. Every method is one statement or one transaction.
///
/// An ambiguous commit (connection lost after COMMIT was sent) is resolved inside the method by
/// writing, as the design says; the caller sees `Done` or [`MetaError::Unavailable`].
#[async_trait]
pub trait Meta: Send + Sync + 'static {
    // --- buckets ---

    /// Creates a bucket. [`MetaError::BucketExists`] names the owner.
    async fn create_bucket(&self, name: &str, owner: UserId) -> Result<Bucket>;
    /// A bucket by name.
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>>;
    /// Deletes an empty bucket; no object can slip in while it goes. Uploads under way are not
    /// found any more; [`Meta::expire_uploads`] gives them up.
    async fn delete_bucket(&self, bucket: BucketId) -> Result<()>;
    /// A user's buckets by name: those that begin with `prefix`, after `after`, at most `limit`.
    async fn buckets(
        &self,
        owner: UserId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Bucket>>;
    /// Changes the versioning state and counts `config_epoch` up.
    async fn set_versioning(&self, bucket: BucketId, versioning: Versioning) -> Result<()>;
    /// The tags of a bucket.
    async fn bucket_tags(&self, bucket: BucketId) -> Result<Tags>;
    /// Gives a bucket these tags and no others.
    async fn set_bucket_tags(&self, bucket: BucketId, tags: &Tags) -> Result<()>;

    // --- objects ---

    /// Makes a version visible, or says why not.
    async fn commit(&self, commit: Commit) -> Result<CommitOutcome>;
    /// One version of a key (`None`: the current one) with the first extents of its body, the
    /// bucket joined by name. [`MetaError::NoSuchBucket`] when there is none.
    async fn find(&self, bucket: &str, key: &str, version: Option<VersionId>) -> Result<Found>;
    /// The extents of a body that end after byte `from`, in order, at most
    /// [`EXTENTS_PER_PAGE`]. Empty when the body is gone.
    async fn extents(&self, body: BodyId, from: u64) -> Result<Vec<Extent>>;
    /// Deletes as S3 does: without `version`, removes the null version or adds a marker, by the
    /// bucket's state; with it, removes that one.
    async fn delete(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        version: Option<VersionId>,
        condition: Option<&DeleteCondition>,
    ) -> Result<DeleteOutcome>;
    /// Gives a version of a key (`None`: the current one) these tags and no others.
    async fn set_tags(
        &self,
        bucket: BucketId,
        key: &str,
        version: Option<VersionId>,
        tags: &Tags,
    ) -> Result<TagOutcome>;
    /// A page of current versions without markers.
    async fn list_objects(&self, bucket: BucketId, query: &ListQuery) -> Result<Page<Version>>;
    /// A page of all versions and markers, newest first within a key. `after_version` continues
    /// within the key `query.after`.
    async fn list_versions(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_version: Option<VersionId>,
    ) -> Result<Page<Version>>;

    // --- uploads ---

    /// Starts an upload: `upload.id` and `upload.started` are set by this call.
    async fn create_upload(&self, bucket: &Arc<Bucket>, upload: Upload) -> Result<Upload>;
    /// An upload that is neither completed nor gone.
    async fn upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<Option<Upload>>;
    /// Stores a part, replacing an older one of its number.
    async fn commit_part(
        &self,
        lease: LeaseId,
        upload: UploadId,
        part: Part,
        body: Option<NewBody>,
    ) -> Result<PartOutcome>;
    /// Parts by number, after `after`, at most `limit`.
    async fn parts(&self, upload: UploadId, after: u16, limit: usize) -> Result<Page<Part>>;
    /// Makes the object of an upload visible without moving a byte. Answers the same for the
    /// same list for 24 h.
    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome>;
    /// What an earlier completion with this part list answered, if there was one.
    async fn completed(
        &self,
        bucket: BucketId,
        key: &str,
        id: UploadId,
        parts: &[(u16, String)],
    ) -> Result<Option<CompleteOutcome>>;
    /// Gives an upload up and frees its parts. `false`: there was none.
    async fn abort_upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<bool>;
    /// Uploads by key, then start; `after_upload` continues within the key `query.after`.
    async fn list_uploads(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_upload: Option<UploadId>,
    ) -> Result<Page<Upload>>;
    /// Gives up to `limit` uploads up whose bucket is gone or that had no activity for `idle`, and
    /// says how many: fewer where they have many parts, 0 only when none is left.
    async fn expire_uploads(&self, idle: Duration, limit: usize) -> Result<u64>;

    // --- leases and chunks ---

    /// Takes a new lease with a random id, named for the operator by `holder`.
    async fn begin_lease(&self, holder: &str) -> Result<LeaseId>;
    /// Renews it and publishes when the oldest read still running began. [`MetaError::LeaseEnded`]
    /// when it is gone.
    async fn renew_lease(&self, lease: LeaseId, oldest_read: Option<Duration>) -> Result<Renewal>;
    /// Ends it: waits for every commit that saw it, then deletes its row.
    async fn end_lease(&self, lease: LeaseId) -> Result<()>;
    /// Ends up to `limit` leases not renewed for `silent`; says which.
    async fn end_expired_leases(&self, silent: Duration, limit: usize) -> Result<Vec<LeaseId>>;
    /// Adds to the chunks known missing of an extent.
    async fn mark_missing(&self, extent: ExtentId, chunks: ChunkSet) -> Result<()>;
    /// Takes chunks on nodes that are gone for missing, all or those of extents at risk: of up to
    /// `limit` extents with a chunk there, behind `after`.
    /// Answers where to go on; `None` after the last.
    async fn lose_chunks_on(
        &self,
        nodes: &[NodeNumber],
        lost: Lost,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Option<ExtentCursor>>;
    /// Extents with chunks missing, at risk first, behind `after`.
    async fn degraded_extents(
        &self,
        after: Option<RiskCursor>,
        limit: usize,
    ) -> Result<Vec<Extent>>;
    /// Up to `limit` extents in the order of their placements, behind `after`, each with its place
    /// in that order.
    async fn placed_extents(
        &self,
        placed: Placed<'_>,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Vec<(ExtentCursor, Extent)>>;
    /// Writes healed or moved chunks into an extent's row, if its placement is still the one that
    /// they were made by. `false`: it is not, or the extent is gone. [`MetaError::LeaseEnded`] when
    /// the chunks may be swept already.
    async fn move_chunks(&self, moved: Move) -> Result<bool>;
    /// Freed bodies that no running read can still need: freed for longer than `at_least`, and
    /// by half of that before the oldest running read of every live lease; a read is known a
    /// moment after it looked its body up. Fewer than `limit` where they have [`FREED_EXTENTS`].
    async fn freed_bodies(&self, at_least: Duration, limit: usize) -> Result<Vec<FreedBody>>;
    /// Forgets freed bodies, after their chunks are deleted or left to the sweep.
    async fn forget_bodies(&self, bodies: &[BodyId]) -> Result<()>;
    /// Of these chunk copies on `node`, those that may be deleted: the writer's lease has ended,
    /// and in a statement begun after that no row places the chunk there. The lease that an extent
    /// was written under need not have ended once the extent's commit is seen to be over. What was
    /// moved away is kept for `kept`, and for reads that began before.
    async fn condemned(
        &self,
        node: NodeNumber,
        copies: &[(ChunkName, LeaseId, CopyNumber)],
        kept: Duration,
    ) -> Result<Vec<(ChunkName, CopyNumber)>>;
    /// Of these chunks, those that no row places on `node`, whoever wrote them and when.
    async fn unplaced(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<Vec<ChunkName>>;

    /// Takes or keeps the claim of a job that one process does for all, and says what it does.
    /// `false`: another process has it, was heard of within `lasts`, and its lease lives.
    async fn claim_job(
        &self,
        name: &str,
        claimant: Claimant,
        doing: &str,
        lasts: Duration,
    ) -> Result<bool>;
    /// The jobs that were ever claimed, by name.
    async fn jobs(&self) -> Result<Vec<JobRow>>;

    // --- background work ---

    /// Tells how the jobs of a process are, in the place of what it told before.
    async fn report_jobs(&self, process: &str, reports: &[JobReport]) -> Result<()>;
    /// How all jobs are, by process and job.
    async fn job_standings(&self) -> Result<Vec<JobStanding>>;
    /// Forgets the jobs of processes that told nothing for `silent`.
    async fn forget_jobs(&self, silent: Duration) -> Result<()>;
    /// How much waits for background work.
    async fn backlogs(&self) -> Result<Backlogs>;
    /// Takes chunks for missing that `node` found rotten or does not have, as far as they are placed
    /// there.
    async fn mark_rotten(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<()>;

    // --- the database's history ---

    /// Answers a node that tells which marks it remembers and up to which copy it keeps what no row
    /// wants: the newest mark, and those of its marks that are part of the history. There is a new
    /// mark each minute, and when the node asks for the first time.
    async fn witness(
        &self,
        node: NodeNumber,
        marks: &[Mark],
        kept: CopyNumber,
        is_first: bool,
    ) -> Result<Witnessed>;
    /// Whether a mark is part of the history, and of the last minutes.
    async fn is_recent(&self, mark: Mark) -> Result<bool>;
    /// Notes how many of the copies up to `kept` no row wants on a node, and their bytes. Nothing
    /// happens when the node keeps something else by now.
    async fn count_quarantine(
        &self,
        node: NodeNumber,
        kept: CopyNumber,
        chunks: u64,
        bytes: u64,
    ) -> Result<()>;
    /// The nodes that keep what no row wants, by number.
    async fn quarantines(&self) -> Result<Vec<Quarantine>>;
    /// Gives up what a node keeps, up to `kept`; the node learns it when it asks next. `false`: it
    /// keeps nothing, or something else by now.
    async fn release_quarantine(&self, node: NodeNumber, kept: CopyNumber) -> Result<bool>;

    // --- users and keys ---

    /// Creates a user.
    async fn create_user(&self, name: &str) -> Result<User>;
    /// A user by name.
    async fn user(&self, name: &str) -> Result<Option<User>>;
    /// Gives a user an access key.
    async fn create_key(&self, user: UserId, access_key: &str, sealed: &[u8]) -> Result<()>;
    /// An access key with its owner.
    async fn key(&self, access_key: &str) -> Result<Option<AccessKey>>;
    /// All access keys, by user name.
    async fn keys(&self) -> Result<Vec<AccessKey>>;
    /// Deletes an access key. `false`: there was none.
    async fn delete_key(&self, access_key: &str) -> Result<bool>;

    // --- nodes ---

    /// Registers an embedded node's drive (or finds it again) and gives its row.
    async fn register_node(
        &self,
        drive: uuid::Uuid,
        address: Option<&str>,
        zone: &str,
        weight: f64,
    ) -> Result<NodeRow>;
    /// Records a heartbeat and gives the node's state, in which an operator's decision stays.
    /// `None`: the registration is no longer the newest of this node.
    async fn heartbeat(
        &self,
        node: NodeNumber,
        registration: i64,
        condition: NodeCondition,
    ) -> Result<Option<NodeState>>;
    /// What an operator decides of a node: `Draining` begins a drain, `Active` ends it. `false`:
    /// there is no such node, or it is removed.
    async fn set_node_state(&self, node: NodeNumber, state: NodeState) -> Result<bool>;
    /// Sets the weight that wins over what the node says. `false` as above.
    async fn set_node_weight(&self, node: NodeNumber, weight: f64) -> Result<bool>;
    /// Removes a node for good, unless objects would be lost. Of two removals at the same time the
    /// second one counts what the first one left.
    async fn remove_node(&self, removal: RemoveNode) -> Result<Removal>;
    /// Yields once it listens and after every change of the registry, heartbeats excepted. One who
    /// can't listen hears nothing and reads the registry from time to time, which it does anyway.
    fn registry_changes(&self) -> BoxStream<'static, ()>;
    /// All nodes that were ever registered, by number.
    async fn nodes(&self) -> Result<Vec<NodeRow>>;
    /// The cluster's id, made with the schema.
    async fn cluster_id(&self) -> Result<uuid::Uuid>;
}
