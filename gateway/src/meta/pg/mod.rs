//! The rows in PostgreSQL. This file only says which operation is where; an operation is one
//! statement or one transaction in a file of its own.

mod background;
mod bucket;
mod calls;
mod changes;
mod checks;
mod chunks;
mod columns;
mod connect;
mod error;
#[cfg(test)]
mod gathered;
mod heal;
mod history;
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
    AccessKey, Backlogs, BodyId, Bucket, BucketId, ChunkSet, Claimant, Commit, CommitOutcome,
    CompleteOutcome, Completion, DeleteCondition, DeleteOutcome, Extent, ExtentCursor, Found,
    JobRow, JobStanding, ListQuery, Lost, Move, NewBody, NodeCondition, NodeRow, NodeState, Page,
    Part, PartOutcome, Placed, Quarantine, Removal, RemoveNode, RiskCursor, TagOutcome, Tags,
    Upload, UploadId, User, UserId, Version, VersionId, Versioning,
};
use super::{FreedBody, Meta, Renewal, Result};
use async_trait::async_trait;
use calls::{Calls, call};
pub use connect::CALL_LIMIT;
use futures::stream::BoxStream;
use object::commit::Item;
use object::find::LookUp;
use sixfold_proto::history::{Mark, Witnessed};
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
    /// Every call, bounded and measured.
    calls: Arc<Calls>,
}

#[async_trait]
impl Meta for Pg {
    async fn create_bucket(&self, name: &str, owner: UserId) -> Result<Bucket> {
        call!(self.within("create_bucket"), bucket::create::create_bucket(&self.pool, name, owner))
    }
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        call!(self.within("bucket"), bucket::find::bucket(&self.pool, name))
    }
    async fn delete_bucket(&self, bucket: BucketId) -> Result<()> {
        call!(self.within("delete_bucket"), bucket::delete::delete_bucket(&self.pool, bucket))
    }
    async fn buckets(
        &self,
        owner: UserId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Bucket>> {
        call!(
            self.within("buckets"),
            bucket::list::buckets(&self.pool, owner, prefix, after, limit)
        )
    }
    async fn set_versioning(&self, bucket: BucketId, versioning: Versioning) -> Result<()> {
        call!(
            self.within("set_versioning"),
            bucket::set_versioning::set_versioning(&self.pool, bucket, versioning)
        )
    }
    async fn bucket_tags(&self, bucket: BucketId) -> Result<Tags> {
        call!(self.within("bucket_tags"), bucket::tags::bucket_tags(&self.pool, bucket))
    }
    async fn set_bucket_tags(&self, bucket: BucketId, tags: &Tags) -> Result<()> {
        call!(
            self.within("set_bucket_tags"),
            bucket::tags::set_bucket_tags(&self.pool, bucket, tags)
        )
    }
    async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
        let item = Item::new(commit)?;
        call!(self.within("commit"), async { self.commits.ask(item).await? })
    }
    async fn find(&self, bucket: &str, key: &str, version: Option<VersionId>) -> Result<Found> {
        call!(
            self.within("find"),
            object::find::find(&self.pool, &self.look_ups, bucket, key, version)
        )
    }
    async fn extents(&self, body: BodyId, from: u64) -> Result<Vec<Extent>> {
        call!(self.within("extents"), object::extents::extents(&self.pool, body, from))
    }
    async fn delete(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        version: Option<VersionId>,
        condition: Option<&DeleteCondition>,
    ) -> Result<DeleteOutcome> {
        call!(
            self.within("delete"),
            object::delete::delete(&self.pool, bucket, key, version, condition)
        )
    }
    async fn set_tags(
        &self,
        bucket: BucketId,
        key: &str,
        version: Option<VersionId>,
        tags: &Tags,
    ) -> Result<TagOutcome> {
        call!(
            self.within("set_tags"),
            object::tags::set_tags(&self.pool, bucket, key, version, tags)
        )
    }
    async fn list_objects(&self, bucket: BucketId, query: &ListQuery) -> Result<Page<Version>> {
        call!(self.within("list_objects"), object::list::list_objects(&self.pool, bucket, query))
    }
    async fn list_versions(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_version: Option<VersionId>,
    ) -> Result<Page<Version>> {
        call!(
            self.within("list_versions"),
            object::list_versions::list_versions(&self.pool, bucket, query, after_version)
        )
    }
    async fn create_upload(&self, bucket: &Arc<Bucket>, upload: Upload) -> Result<Upload> {
        call!(
            self.within("create_upload"),
            upload::create::create_upload(&self.pool, bucket, upload)
        )
    }
    async fn upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<Option<Upload>> {
        call!(self.within("upload"), upload::find::upload(&self.pool, bucket, key, id))
    }
    async fn commit_part(
        &self,
        lease: LeaseId,
        upload: UploadId,
        part: Part,
        body: Option<NewBody>,
    ) -> Result<PartOutcome> {
        call!(
            self.within("commit_part"),
            upload::part::commit_part(&self.pool, lease, upload, part, body)
        )
    }
    async fn parts(&self, upload: UploadId, after: u16, limit: usize) -> Result<Page<Part>> {
        call!(self.within("parts"), upload::parts::parts(&self.pool, upload, after, limit))
    }
    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome> {
        call!(self.timed("complete"), upload::complete::complete(&self.pool, completion))
    }
    async fn completed(
        &self,
        bucket: BucketId,
        key: &str,
        id: UploadId,
        parts: &[(u16, String)],
    ) -> Result<Option<CompleteOutcome>> {
        call!(
            self.within("completed"),
            upload::complete::completed(&self.pool, bucket, key, id, parts)
        )
    }
    async fn abort_upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<bool> {
        call!(self.within("abort_upload"), upload::abort::abort_upload(&self.pool, bucket, key, id))
    }
    async fn list_uploads(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_upload: Option<UploadId>,
    ) -> Result<Page<Upload>> {
        call!(
            self.within("list_uploads"),
            upload::list::list_uploads(&self.pool, bucket, query, after_upload)
        )
    }
    async fn expire_uploads(&self, idle: Duration, limit: usize) -> Result<u64> {
        call!(
            self.within("expire_uploads"),
            upload::expire::expire_uploads(&self.pool, idle, limit)
        )
    }
    async fn begin_lease(&self, holder: &str) -> Result<LeaseId> {
        call!(self.within("begin_lease"), lease::begin_lease(&self.pool, holder))
    }
    async fn renew_lease(&self, lease: LeaseId, oldest_read: Option<Duration>) -> Result<Renewal> {
        call!(self.within("renew_lease"), lease::renew_lease(&self.pool, lease, oldest_read))
    }
    async fn end_lease(&self, lease: LeaseId) -> Result<()> {
        call!(self.within("end_lease"), lease::end_lease(&self.pool, lease))
    }
    async fn end_expired_leases(&self, silent: Duration, limit: usize) -> Result<Vec<LeaseId>> {
        call!(
            self.within("end_expired_leases"),
            lease::end_expired_leases(&self.pool, silent, limit)
        )
    }
    async fn mark_missing(&self, extent: ExtentId, chunks: ChunkSet) -> Result<()> {
        call!(self.within("mark_missing"), heal::mark_missing(&self.pool, extent, chunks))
    }
    async fn lose_chunks_on(
        &self,
        nodes: &[NodeNumber],
        lost: Lost,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Option<ExtentCursor>> {
        call!(
            self.within("lose_chunks_on"),
            heal::lose_chunks_on(&self.pool, nodes, lost, after, limit)
        )
    }
    async fn degraded_extents(
        &self,
        after: Option<RiskCursor>,
        limit: usize,
    ) -> Result<Vec<Extent>> {
        call!(self.within("degraded_extents"), heal::degraded_extents(&self.pool, after, limit))
    }
    async fn placed_extents(
        &self,
        placed: Placed<'_>,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Vec<(ExtentCursor, Extent)>> {
        call!(
            self.within("placed_extents"),
            placed::placed_extents(&self.pool, placed, after, limit)
        )
    }
    async fn move_chunks(&self, moved: Move) -> Result<bool> {
        call!(self.within("move_chunks"), heal::move_chunks(&self.pool, moved))
    }
    async fn freed_bodies(&self, at_least: Duration, limit: usize) -> Result<Vec<FreedBody>> {
        call!(self.within("freed_bodies"), chunks::freed_bodies(&self.pool, at_least, limit))
    }
    async fn forget_bodies(&self, bodies: &[BodyId]) -> Result<()> {
        call!(self.within("forget_bodies"), chunks::forget_bodies(&self.pool, bodies))
    }
    async fn condemned(
        &self,
        node: NodeNumber,
        copies: &[(ChunkName, LeaseId, CopyNumber)],
        kept: Duration,
    ) -> Result<Vec<(ChunkName, CopyNumber)>> {
        call!(self.within("condemned"), chunks::condemned(&self.pool, node, copies, kept))
    }
    async fn unplaced(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<Vec<ChunkName>> {
        call!(self.within("unplaced"), chunks::unplaced(&self.pool, node, chunks))
    }
    async fn claim_job(
        &self,
        name: &str,
        claimant: Claimant,
        doing: &str,
        lasts: Duration,
    ) -> Result<bool> {
        call!(self.within("claim_job"), jobs::claim_job(&self.pool, name, claimant, doing, lasts))
    }
    async fn jobs(&self) -> Result<Vec<JobRow>> {
        call!(self.within("jobs"), jobs::jobs(&self.pool))
    }
    async fn report_jobs(&self, process: &str, reports: &[JobReport]) -> Result<()> {
        call!(self.within("report_jobs"), background::report_jobs(&self.pool, process, reports))
    }
    async fn job_standings(&self) -> Result<Vec<JobStanding>> {
        call!(self.within("job_standings"), background::job_standings(&self.pool))
    }
    async fn forget_jobs(&self, silent: Duration) -> Result<()> {
        call!(self.within("forget_jobs"), background::forget_jobs(&self.pool, silent))
    }
    async fn backlogs(&self) -> Result<Backlogs> {
        call!(self.within("backlogs"), background::backlogs(&self.pool))
    }
    async fn mark_rotten(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<()> {
        call!(self.within("mark_rotten"), background::mark_rotten(&self.pool, node, chunks))
    }
    async fn witness(
        &self,
        node: NodeNumber,
        marks: &[Mark],
        kept: CopyNumber,
        is_first: bool,
    ) -> Result<Witnessed> {
        call!(self.within("witness"), history::witness(&self.pool, node, marks, kept, is_first))
    }
    async fn is_recent(&self, mark: Mark) -> Result<bool> {
        call!(self.within("is_recent"), history::is_recent(&self.pool, mark))
    }
    async fn count_quarantine(
        &self,
        node: NodeNumber,
        kept: CopyNumber,
        chunks: u64,
        bytes: u64,
    ) -> Result<()> {
        call!(
            self.within("count_quarantine"),
            history::count_quarantine(&self.pool, node, kept, chunks, bytes)
        )
    }
    async fn quarantines(&self) -> Result<Vec<Quarantine>> {
        call!(self.within("quarantines"), history::quarantines(&self.pool))
    }
    async fn release_quarantine(&self, node: NodeNumber, kept: CopyNumber) -> Result<bool> {
        call!(
            self.within("release_quarantine"),
            history::release_quarantine(&self.pool, node, kept)
        )
    }
    async fn create_user(&self, name: &str) -> Result<User> {
        call!(self.within("create_user"), users::create_user(&self.pool, name))
    }
    async fn user(&self, name: &str) -> Result<Option<User>> {
        call!(self.within("user"), users::user(&self.pool, name))
    }
    async fn create_key(&self, user: UserId, access_key: &str, sealed: &[u8]) -> Result<()> {
        call!(self.within("create_key"), users::create_key(&self.pool, user, access_key, sealed))
    }
    async fn key(&self, access_key: &str) -> Result<Option<AccessKey>> {
        call!(self.within("key"), users::key(&self.pool, access_key))
    }
    async fn keys(&self) -> Result<Vec<AccessKey>> {
        call!(self.within("keys"), users::keys(&self.pool))
    }
    async fn delete_key(&self, access_key: &str) -> Result<bool> {
        call!(self.within("delete_key"), users::delete_key(&self.pool, access_key))
    }
    async fn register_node(
        &self,
        drive: uuid::Uuid,
        address: Option<&str>,
        zone: &str,
        weight: f64,
    ) -> Result<NodeRow> {
        call!(
            self.within("register_node"),
            nodes::register_node(&self.pool, drive, address, zone, weight)
        )
    }
    async fn heartbeat(
        &self,
        node: NodeNumber,
        registration: i64,
        condition: NodeCondition,
    ) -> Result<Option<NodeState>> {
        call!(self.within("heartbeat"), nodes::heartbeat(&self.pool, node, registration, condition))
    }
    async fn set_node_state(&self, node: NodeNumber, state: NodeState) -> Result<bool> {
        call!(self.within("set_node_state"), nodes::set_node_state(&self.pool, node, state))
    }
    async fn set_node_weight(&self, node: NodeNumber, weight: f64) -> Result<bool> {
        call!(self.within("set_node_weight"), nodes::set_node_weight(&self.pool, node, weight))
    }
    async fn remove_node(&self, removal: RemoveNode) -> Result<Removal> {
        call!(self.timed("remove_node"), nodes::remove_node(&self.pool, removal))
    }
    fn registry_changes(&self) -> BoxStream<'static, ()> {
        changes::registry_changes(&self.pool)
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>> {
        call!(self.within("nodes"), nodes::nodes(&self.pool))
    }
    async fn cluster_id(&self) -> Result<uuid::Uuid> {
        call!(self.within("cluster_id"), nodes::cluster_id(&self.pool))
    }
}
