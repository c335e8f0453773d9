//! The rows in PostgreSQL. This file only says which operation is where; an operation is one
//! statement or one transaction in a file of its own.

mod background;
mod bucket;
mod changes;
mod chunks;
mod columns;
mod connect;
mod error;
#[cfg(test)]
mod gathered;
mod heal;
mod jobs;
mod lease;
mod nodes;
mod object;
#[cfg(test)]
mod outage;
mod page;
mod placed;
#[cfg(test)]
mod races;
mod resolve;
mod scram;
mod together;
mod upload;
mod users;

use super::types::{
    AccessKey, BodyId, Bucket, BucketId, ChunkSet, Claimant, Commit, CommitOutcome,
    CompleteOutcome, Completion, DeleteOutcome, Extent, ExtentCursor, Found, JobRow, JobStanding,
    ListQuery, Lost, Move, NewBody, NodeCondition, NodeRow, NodeState, Page, Part, PartOutcome,
    Placed, RiskCursor, Upload, UploadId, User, UserId, Version, VersionId, Versioning,
};
use super::{FreedBody, Meta, Renewal, Result};
use async_trait::async_trait;
pub use connect::CALL_LIMIT;
use connect::within;
use futures::stream::BoxStream;
use object::commit::Item;
use object::find::LookUp;
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use together::Gathering;

/// The rows in PostgreSQL.
#[derive(Clone, Debug)]
pub struct Pg {
    /// Its connections. Closed when the process stops.
    pool: PgPool,
    /// The commits that come at the same time.
    commits: Gathering<Item>,
    /// The look-ups that come at the same time.
    look_ups: Gathering<LookUp>,
}

impl Pg {
    /// Opens a pool of at most `max_connections` to the database named by `url`, without
    /// connecting yet: a database that is away at the start is waited for like one that goes later.
    pub fn open(url: &str, max_connections: u32) -> Result<Self> {
        let pool = connect::open(url, max_connections)?;
        Ok(Self { commits: Gathering::new(&pool), look_ups: Gathering::new(&pool), pool })
    }

    /// Tries to connect, and says where to and why not when that fails: the pool itself would only
    /// say that its time is up.
    pub async fn reach(&self) -> Result<()> {
        connect::reach(&self.pool).await
    }

    /// The pool, for migrations and for the checks at the start.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Lets node processes log in as the role `sixfold_node` with this password.
    pub async fn set_node_password(&self, password: &str) -> Result<()> {
        within(nodes::set_node_password(&self.pool, password)).await
    }
}

#[async_trait]
impl Meta for Pg {
    async fn create_bucket(&self, name: &str, owner: UserId) -> Result<Bucket> {
        within(bucket::create::create_bucket(&self.pool, name, owner)).await
    }
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        within(bucket::find::bucket(&self.pool, name)).await
    }
    async fn delete_bucket(&self, bucket: BucketId) -> Result<()> {
        within(bucket::delete::delete_bucket(&self.pool, bucket)).await
    }
    async fn buckets(
        &self,
        owner: UserId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Bucket>> {
        within(bucket::list::buckets(&self.pool, owner, prefix, after, limit)).await
    }
    async fn set_versioning(&self, bucket: BucketId, versioning: Versioning) -> Result<()> {
        within(bucket::set_versioning::set_versioning(&self.pool, bucket, versioning)).await
    }
    async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
        let item = Item::new(commit)?;
        within(async { self.commits.ask(item).await? }).await
    }
    async fn find(&self, bucket: &str, key: &str, version: Option<VersionId>) -> Result<Found> {
        within(object::find::find(&self.pool, &self.look_ups, bucket, key, version)).await
    }
    async fn extents(&self, body: BodyId, from: u64) -> Result<Vec<Extent>> {
        within(object::extents::extents(&self.pool, body, from)).await
    }
    async fn delete(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        version: Option<VersionId>,
        if_match: Option<&str>,
    ) -> Result<DeleteOutcome> {
        within(object::delete::delete(&self.pool, bucket, key, version, if_match)).await
    }
    async fn list_objects(&self, bucket: BucketId, query: &ListQuery) -> Result<Page<Version>> {
        within(object::list::list_objects(&self.pool, bucket, query)).await
    }
    async fn list_versions(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_version: Option<VersionId>,
    ) -> Result<Page<Version>> {
        within(object::list_versions::list_versions(&self.pool, bucket, query, after_version)).await
    }
    async fn create_upload(&self, bucket: &Arc<Bucket>, upload: Upload) -> Result<Upload> {
        within(upload::create::create_upload(&self.pool, bucket, upload)).await
    }
    async fn upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<Option<Upload>> {
        within(upload::find::upload(&self.pool, bucket, key, id)).await
    }
    async fn commit_part(
        &self,
        lease: LeaseId,
        upload: UploadId,
        part: Part,
        body: Option<NewBody>,
    ) -> Result<PartOutcome> {
        within(upload::part::commit_part(&self.pool, lease, upload, part, body)).await
    }
    async fn parts(&self, upload: UploadId, after: u16, limit: usize) -> Result<Page<Part>> {
        within(upload::parts::parts(&self.pool, upload, after, limit)).await
    }
    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome> {
        upload::complete::complete(&self.pool, completion).await
    }
    async fn completed(
        &self,
        bucket: BucketId,
        key: &str,
        id: UploadId,
        parts: &[(u16, String)],
    ) -> Result<Option<CompleteOutcome>> {
        within(upload::complete::completed(&self.pool, bucket, key, id, parts)).await
    }
    async fn abort_upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<bool> {
        within(upload::abort::abort_upload(&self.pool, bucket, key, id)).await
    }
    async fn list_uploads(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_upload: Option<UploadId>,
    ) -> Result<Page<Upload>> {
        within(upload::list::list_uploads(&self.pool, bucket, query, after_upload)).await
    }
    async fn expire_uploads(&self, idle: Duration, limit: usize) -> Result<u64> {
        within(upload::expire::expire_uploads(&self.pool, idle, limit)).await
    }
    async fn begin_lease(&self, holder: &str) -> Result<LeaseId> {
        within(lease::begin_lease(&self.pool, holder)).await
    }
    async fn renew_lease(&self, lease: LeaseId, oldest_read: Option<Duration>) -> Result<Renewal> {
        within(lease::renew_lease(&self.pool, lease, oldest_read)).await
    }
    async fn end_lease(&self, lease: LeaseId) -> Result<()> {
        within(lease::end_lease(&self.pool, lease)).await
    }
    async fn end_expired_leases(&self, silent: Duration, limit: usize) -> Result<Vec<LeaseId>> {
        within(lease::end_expired_leases(&self.pool, silent, limit)).await
    }
    async fn mark_missing(&self, extent: ExtentId, chunks: ChunkSet) -> Result<()> {
        within(heal::mark_missing(&self.pool, extent, chunks)).await
    }
    async fn lose_chunks_on(
        &self,
        nodes: &[NodeNumber],
        lost: Lost,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Option<ExtentCursor>> {
        within(heal::lose_chunks_on(&self.pool, nodes, lost, after, limit)).await
    }
    async fn degraded_extents(
        &self,
        after: Option<RiskCursor>,
        limit: usize,
    ) -> Result<Vec<Extent>> {
        within(heal::degraded_extents(&self.pool, after, limit)).await
    }
    async fn placed_extents(
        &self,
        placed: Placed<'_>,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Vec<(ExtentCursor, Extent)>> {
        within(placed::placed_extents(&self.pool, placed, after, limit)).await
    }
    async fn move_chunks(&self, moved: Move) -> Result<bool> {
        within(heal::move_chunks(&self.pool, moved)).await
    }
    async fn freed_bodies(&self, at_least: Duration, limit: usize) -> Result<Vec<FreedBody>> {
        within(chunks::freed_bodies(&self.pool, at_least, limit)).await
    }
    async fn forget_bodies(&self, bodies: &[BodyId]) -> Result<()> {
        within(chunks::forget_bodies(&self.pool, bodies)).await
    }
    async fn condemned(
        &self,
        node: NodeNumber,
        copies: &[(ChunkName, LeaseId, CopyNumber)],
        kept: Duration,
    ) -> Result<Vec<(ChunkName, CopyNumber)>> {
        within(chunks::condemned(&self.pool, node, copies, kept)).await
    }
    async fn claim_job(
        &self,
        name: &str,
        claimant: Claimant,
        doing: &str,
        lasts: Duration,
    ) -> Result<bool> {
        within(jobs::claim_job(&self.pool, name, claimant, doing, lasts)).await
    }
    async fn jobs(&self) -> Result<Vec<JobRow>> {
        within(jobs::jobs(&self.pool)).await
    }
    async fn report_jobs(&self, process: &str, reports: &[JobReport]) -> Result<()> {
        within(background::report_jobs(&self.pool, process, reports)).await
    }
    async fn job_standings(&self) -> Result<Vec<JobStanding>> {
        within(background::job_standings(&self.pool)).await
    }
    async fn forget_jobs(&self, silent: Duration) -> Result<()> {
        within(background::forget_jobs(&self.pool, silent)).await
    }
    async fn mark_rotten(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<()> {
        within(background::mark_rotten(&self.pool, node, chunks)).await
    }
    async fn create_user(&self, name: &str) -> Result<User> {
        within(users::create_user(&self.pool, name)).await
    }
    async fn user(&self, name: &str) -> Result<Option<User>> {
        within(users::user(&self.pool, name)).await
    }
    async fn create_key(&self, user: UserId, access_key: &str, sealed: &[u8]) -> Result<()> {
        within(users::create_key(&self.pool, user, access_key, sealed)).await
    }
    async fn key(&self, access_key: &str) -> Result<Option<AccessKey>> {
        within(users::key(&self.pool, access_key)).await
    }
    async fn keys(&self) -> Result<Vec<AccessKey>> {
        within(users::keys(&self.pool)).await
    }
    async fn delete_key(&self, access_key: &str) -> Result<bool> {
        within(users::delete_key(&self.pool, access_key)).await
    }
    async fn register_node(
        &self,
        drive: uuid::Uuid,
        address: Option<&str>,
        zone: &str,
        weight: f64,
    ) -> Result<NodeRow> {
        within(nodes::register_node(&self.pool, drive, address, zone, weight)).await
    }
    async fn heartbeat(
        &self,
        node: NodeNumber,
        registration: i64,
        condition: NodeCondition,
    ) -> Result<Option<NodeState>> {
        within(nodes::heartbeat(&self.pool, node, registration, condition)).await
    }
    async fn set_node_state(&self, node: NodeNumber, state: NodeState) -> Result<bool> {
        within(nodes::set_node_state(&self.pool, node, state)).await
    }
    async fn set_node_weight(&self, node: NodeNumber, weight: f64) -> Result<bool> {
        within(nodes::set_node_weight(&self.pool, node, weight)).await
    }
    async fn replace_node(&self, old: NodeNumber, new: Option<NodeNumber>) -> Result<bool> {
        within(nodes::replace_node(&self.pool, old, new)).await
    }
    fn registry_changes(&self) -> BoxStream<'static, ()> {
        changes::registry_changes(&self.pool)
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>> {
        within(nodes::nodes(&self.pool)).await
    }
    async fn cluster_id(&self) -> Result<uuid::Uuid> {
        within(nodes::cluster_id(&self.pool)).await
    }
}
