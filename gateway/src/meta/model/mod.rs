//! The rows in memory: what every operation means, said as plainly as possible. It is the
//! specification that PostgreSQL is compared with, and what tests without a database run on. It
//! never ships as a store: nothing in it survives the process.

mod background;
mod bucket;
#[cfg(all(test, feature = "simulation"))]
mod census;
mod checks;
mod chunks;
mod history;
mod jobs;
mod lease;
mod list;
mod nodes;
mod object;
mod state;
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
use futures::stream::BoxStream;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The rows in memory, under one lock: every operation happens at one moment.
#[derive(Debug, Default)]
pub struct Model {
    state: Mutex<State>,
}

impl Model {
    /// No rows at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a simulation counts when it is over.
    #[cfg(all(test, feature = "simulation"))]
    pub(crate) fn census(&self) -> census::Census {
        census::census(&self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Meta for Model {
    async fn create_bucket(&self, name: &str, owner: UserId) -> Result<Bucket> {
        bucket::create_bucket(&mut self.state(), name, owner)
    }
    async fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        bucket::bucket(&mut self.state(), name)
    }
    async fn delete_bucket(&self, bucket: BucketId) -> Result<()> {
        bucket::delete_bucket(&mut self.state(), bucket)
    }
    async fn buckets(
        &self,
        owner: UserId,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Bucket>> {
        bucket::buckets(&mut self.state(), owner, prefix, after, limit)
    }
    async fn set_versioning(&self, bucket: BucketId, versioning: Versioning) -> Result<()> {
        bucket::set_versioning(&mut self.state(), bucket, versioning)
    }
    async fn bucket_tags(&self, bucket: BucketId) -> Result<Tags> {
        bucket::bucket_tags(&mut self.state(), bucket)
    }
    async fn set_bucket_tags(&self, bucket: BucketId, tags: &Tags) -> Result<()> {
        bucket::set_bucket_tags(&mut self.state(), bucket, tags)
    }
    async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
        object::commit(&mut self.state(), commit)
    }
    async fn find(&self, bucket: &str, key: &str, version: Option<VersionId>) -> Result<Found> {
        object::find(&mut self.state(), bucket, key, version)
    }
    async fn extents(&self, body: BodyId, from: u64) -> Result<Vec<Extent>> {
        object::extents(&mut self.state(), body, from)
    }
    async fn delete(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        version: Option<VersionId>,
        condition: Option<&DeleteCondition>,
    ) -> Result<DeleteOutcome> {
        object::delete(&mut self.state(), bucket, key, version, condition)
    }
    async fn set_tags(
        &self,
        bucket: BucketId,
        key: &str,
        version: Option<VersionId>,
        tags: &Tags,
    ) -> Result<TagOutcome> {
        object::set_tags(&mut self.state(), bucket, key, version, tags)
    }
    async fn list_objects(&self, bucket: BucketId, query: &ListQuery) -> Result<Page<Version>> {
        object::list_objects(&mut self.state(), bucket, query)
    }
    async fn list_versions(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_version: Option<VersionId>,
    ) -> Result<Page<Version>> {
        object::list_versions(&mut self.state(), bucket, query, after_version)
    }
    async fn create_upload(&self, bucket: &Arc<Bucket>, upload: Upload) -> Result<Upload> {
        upload::create_upload(&mut self.state(), bucket, upload)
    }
    async fn upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<Option<Upload>> {
        upload::upload(&mut self.state(), bucket, key, id)
    }
    async fn commit_part(
        &self,
        lease: LeaseId,
        upload: UploadId,
        part: Part,
        body: Option<NewBody>,
    ) -> Result<PartOutcome> {
        upload::commit_part(&mut self.state(), lease, upload, part, body)
    }
    async fn parts(&self, upload: UploadId, after: u16, limit: usize) -> Result<Page<Part>> {
        upload::parts(&mut self.state(), upload, after, limit)
    }
    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome> {
        upload::complete(&mut self.state(), completion)
    }
    async fn completed(
        &self,
        bucket: BucketId,
        key: &str,
        id: UploadId,
        parts: &[(u16, String)],
    ) -> Result<Option<CompleteOutcome>> {
        upload::completed(&mut self.state(), bucket, key, id, parts)
    }
    async fn abort_upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<bool> {
        upload::abort_upload(&mut self.state(), bucket, key, id)
    }
    async fn list_uploads(
        &self,
        bucket: BucketId,
        query: &ListQuery,
        after_upload: Option<UploadId>,
    ) -> Result<Page<Upload>> {
        upload::list_uploads(&mut self.state(), bucket, query, after_upload)
    }
    async fn expire_uploads(&self, idle: Duration, limit: usize) -> Result<u64> {
        upload::expire_uploads(&mut self.state(), idle, limit)
    }
    async fn begin_lease(&self, holder: &str) -> Result<LeaseId> {
        lease::begin_lease(&mut self.state(), holder)
    }
    async fn renew_lease(&self, lease: LeaseId, oldest_read: Option<Duration>) -> Result<Renewal> {
        lease::renew_lease(&mut self.state(), lease, oldest_read)
    }
    async fn end_lease(&self, lease: LeaseId) -> Result<()> {
        lease::end_lease(&mut self.state(), lease)
    }
    async fn end_expired_leases(&self, silent: Duration, limit: usize) -> Result<Vec<LeaseId>> {
        lease::end_expired_leases(&mut self.state(), silent, limit)
    }
    async fn mark_missing(&self, extent: ExtentId, chunks: ChunkSet) -> Result<()> {
        chunks::mark_missing(&mut self.state(), extent, chunks)
    }
    async fn lose_chunks_on(
        &self,
        nodes: &[NodeNumber],
        lost: Lost,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Option<ExtentCursor>> {
        chunks::lose_chunks_on(&mut self.state(), nodes, lost, after, limit)
    }
    async fn degraded_extents(
        &self,
        after: Option<RiskCursor>,
        limit: usize,
    ) -> Result<Vec<Extent>> {
        chunks::degraded_extents(&mut self.state(), after, limit)
    }
    async fn placed_extents(
        &self,
        placed: Placed<'_>,
        after: Option<ExtentCursor>,
        limit: usize,
    ) -> Result<Vec<(ExtentCursor, Extent)>> {
        chunks::placed_extents(&mut self.state(), placed, after, limit)
    }
    async fn move_chunks(&self, moved: Move) -> Result<bool> {
        chunks::move_chunks(&mut self.state(), moved)
    }
    async fn freed_bodies(&self, at_least: Duration, limit: usize) -> Result<Vec<FreedBody>> {
        chunks::freed_bodies(&mut self.state(), at_least, limit)
    }
    async fn forget_bodies(&self, bodies: &[BodyId]) -> Result<()> {
        chunks::forget_bodies(&mut self.state(), bodies)
    }
    async fn condemned(
        &self,
        node: NodeNumber,
        copies: &[(ChunkName, LeaseId, CopyNumber)],
        kept: Duration,
    ) -> Result<Vec<(ChunkName, CopyNumber)>> {
        chunks::condemned(&mut self.state(), node, copies, kept)
    }
    async fn unplaced(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<Vec<ChunkName>> {
        chunks::unplaced(&mut self.state(), node, chunks)
    }
    async fn claim_job(
        &self,
        name: &str,
        claimant: Claimant,
        doing: &str,
        lasts: Duration,
    ) -> Result<bool> {
        jobs::claim_job(&mut self.state(), name, claimant, doing, lasts)
    }
    async fn jobs(&self) -> Result<Vec<JobRow>> {
        jobs::jobs(&mut self.state())
    }
    async fn report_jobs(&self, process: &str, reports: &[JobReport]) -> Result<()> {
        background::report_jobs(&mut self.state(), process, reports)
    }
    async fn job_standings(&self) -> Result<Vec<JobStanding>> {
        background::job_standings(&mut self.state())
    }
    async fn forget_jobs(&self, silent: Duration) -> Result<()> {
        background::forget_jobs(&mut self.state(), silent)
    }
    async fn backlogs(&self) -> Result<Backlogs> {
        background::backlogs(&mut self.state())
    }
    async fn mark_rotten(&self, node: NodeNumber, chunks: &[ChunkName]) -> Result<()> {
        background::mark_rotten(&mut self.state(), node, chunks)
    }
    async fn witness(
        &self,
        node: NodeNumber,
        marks: &[Mark],
        kept: CopyNumber,
        is_first: bool,
    ) -> Result<Witnessed> {
        history::witness(&mut self.state(), node, marks, kept, is_first)
    }
    async fn is_recent(&self, mark: Mark) -> Result<bool> {
        history::is_recent(&mut self.state(), mark)
    }
    async fn count_quarantine(
        &self,
        node: NodeNumber,
        kept: CopyNumber,
        chunks: u64,
        bytes: u64,
    ) -> Result<()> {
        history::count_quarantine(&mut self.state(), node, kept, chunks, bytes)
    }
    async fn quarantines(&self) -> Result<Vec<Quarantine>> {
        history::quarantines(&mut self.state())
    }
    async fn release_quarantine(&self, node: NodeNumber, kept: CopyNumber) -> Result<bool> {
        history::release_quarantine(&mut self.state(), node, kept)
    }
    async fn create_user(&self, name: &str) -> Result<User> {
        users::create_user(&mut self.state(), name)
    }
    async fn user(&self, name: &str) -> Result<Option<User>> {
        users::user(&mut self.state(), name)
    }
    async fn create_key(&self, user: UserId, access_key: &str, sealed: &[u8]) -> Result<()> {
        users::create_key(&mut self.state(), user, access_key, sealed)
    }
    async fn key(&self, access_key: &str) -> Result<Option<AccessKey>> {
        users::key(&mut self.state(), access_key)
    }
    async fn keys(&self) -> Result<Vec<AccessKey>> {
        users::keys(&mut self.state())
    }
    async fn delete_key(&self, access_key: &str) -> Result<bool> {
        users::delete_key(&mut self.state(), access_key)
    }
    async fn register_node(
        &self,
        drive: uuid::Uuid,
        address: Option<&str>,
        zone: &str,
        weight: f64,
    ) -> Result<NodeRow> {
        nodes::register_node(&mut self.state(), drive, address, zone, weight)
    }
    async fn heartbeat(
        &self,
        node: NodeNumber,
        registration: i64,
        condition: NodeCondition,
    ) -> Result<Option<NodeState>> {
        nodes::heartbeat(&mut self.state(), node, registration, condition)
    }
    async fn set_node_state(&self, node: NodeNumber, state: NodeState) -> Result<bool> {
        nodes::set_node_state(&mut self.state(), node, state)
    }
    async fn set_node_weight(&self, node: NodeNumber, weight: f64) -> Result<bool> {
        nodes::set_node_weight(&mut self.state(), node, weight)
    }
    async fn remove_node(&self, removal: RemoveNode) -> Result<Removal> {
        nodes::remove_node(&mut self.state(), removal)
    }
    fn registry_changes(&self) -> BoxStream<'static, ()> {
        nodes::registry_changes(&self.state())
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>> {
        nodes::nodes(&mut self.state())
    }
    async fn cluster_id(&self) -> Result<uuid::Uuid> {
        nodes::cluster_id(&mut self.state())
    }
}
