//! What the cases build their rows with.

use crate::erasure::Scheme;
use crate::meta::Meta;
use crate::meta::types::{
    BodyId, BodySource, Bucket, ChunkSet, Commit, CommitOutcome, Completion, Content, Extent,
    Headers, ListQuery, NewBody, Part, PartOutcome, Upload, UploadId, UserId, VersionId,
    Versioning, WriteCondition,
};
use sixfold_proto::name::{ExtentId, LeaseId, NodeNumber};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const OWNER: UserId = UserId(Uuid::from_u128(7));

/// A bucket and a lease to write with.
pub(crate) struct Fixture<'a> {
    pub(crate) meta: &'a dyn Meta,
    pub(crate) lease: LeaseId,
    pub(crate) bucket: Arc<Bucket>,
}

impl<'a> Fixture<'a> {
    pub(crate) async fn new(meta: &'a dyn Meta) -> Self {
        let lease = meta.begin_lease("test").await.unwrap();
        let bucket = Arc::new(meta.create_bucket("bucket", OWNER).await.unwrap());
        Self { meta, lease, bucket }
    }

    pub(crate) async fn versioned(meta: &'a dyn Meta) -> Self {
        let mut fixture = Self::new(meta).await;
        fixture.set_versioning(Versioning::Enabled).await;
        fixture
    }

    pub(crate) async fn set_versioning(&mut self, versioning: Versioning) {
        self.meta.set_versioning(self.bucket.id, versioning).await.unwrap();
        self.bucket = Arc::new(self.meta.bucket(&self.bucket.name).await.unwrap().unwrap());
    }

    /// A commit of new bytes, which are one extent.
    pub(crate) fn commit(&self, key: &str, etag: &str) -> Commit {
        let body = body(self.lease, &[100]);
        Commit {
            lease: self.lease,
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            content: content(100, etag),
            body: BodySource::New(body),
            condition: WriteCondition::default(),
        }
    }

    /// Stores new bytes; answers the version and its body.
    pub(crate) async fn put(&self, key: &str, etag: &str) -> (VersionId, BodyId) {
        let commit = self.commit(key, etag);
        let BodySource::New(body) = &commit.body else { panic!("new bytes") };
        let body = body.id;
        (done(self.meta.commit(commit).await.unwrap()), body)
    }

    pub(crate) async fn etag(&self, key: &str) -> Option<String> {
        self.etag_of(key, None).await
    }

    /// The `ETag` of a version; `None` for markers and what is not there.
    pub(crate) async fn etag_of(&self, key: &str, version: Option<VersionId>) -> Option<String> {
        let found = self.meta.find(&self.bucket.name, key, version).await.unwrap();
        found.version.and_then(|version| version.content).map(|content| content.etag)
    }

    pub(crate) async fn freed(&self) -> BTreeSet<BodyId> {
        // A read may have begun after the last renewal; and time must have passed.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.meta.renew_lease(self.lease, None).await.unwrap();
        let freed = self.meta.freed_bodies(Duration::ZERO, 1000).await.unwrap();
        freed.into_iter().map(|body| body.id).collect()
    }

    pub(crate) async fn start_upload(&self, key: &str) -> UploadId {
        let upload = Upload {
            id: UploadId(Uuid::nil()),
            bucket: self.bucket.id,
            key: key.to_owned(),
            started: OffsetDateTime::UNIX_EPOCH,
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            tags: std::collections::BTreeMap::new(),
            checksum: None,
            initiator: OWNER,
        };
        self.meta.create_upload(&self.bucket, upload).await.unwrap().id
    }

    /// Stores a part of as many bytes in as many extents.
    pub(crate) async fn put_part(
        &self,
        upload: UploadId,
        number: u16,
        etag: &str,
        extents: &[u64],
    ) -> Option<BodyId> {
        let body = (!extents.is_empty()).then(|| body(self.lease, extents));
        let id = body.as_ref().map(|body| body.id);
        let part = part(number, etag, extents.iter().sum());
        let outcome = self.meta.commit_part(self.lease, upload, part, body).await.unwrap();
        assert!(matches!(outcome, PartOutcome::Done { .. }), "{outcome:?}");
        id
    }

    pub(crate) fn completion(
        &self,
        upload: UploadId,
        key: &str,
        parts: &[(u16, &str)],
        size: u64,
    ) -> Completion {
        Completion {
            upload,
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            parts: parts.iter().map(|(number, etag)| (*number, (*etag).to_owned())).collect(),
            content: content(size, "whole-2"),
            condition: WriteCondition::default(),
        }
    }
}

pub(crate) fn done(outcome: CommitOutcome) -> VersionId {
    match outcome {
        CommitOutcome::Done { version, .. } => version,
        other => panic!("not done: {other:?}"),
    }
}

pub(crate) fn content(size: u64, etag: &str) -> Content {
    Content {
        size,
        etag: etag.to_owned(),
        storage_class: "STANDARD".to_owned(),
        headers: Headers::default(),
        checksum: None,
        tags: std::collections::BTreeMap::new(),
        parts: Vec::new(),
    }
}

pub(crate) fn part(number: u16, etag: &str, size: u64) -> Part {
    Part {
        number,
        size,
        etag: etag.to_owned(),
        checksum: None,
        modified: OffsetDateTime::UNIX_EPOCH,
    }
}

/// A body of extents of these sizes.
pub(crate) fn body(lease: LeaseId, sizes: &[u64]) -> NewBody {
    let mut start = 0;
    let mut extents = Vec::new();
    for size in sizes {
        extents.push(Extent {
            id: ExtentId::new(lease, rand::random()),
            start,
            size: *size,
            scheme: Scheme::FourTwo,
            placement: [1, 2, 3, 4, 5, 6].map(NodeNumber),
            missing: ChunkSet(0),
        });
        start += size;
    }
    NewBody { id: BodyId(Uuid::new_v4()), extents }
}

pub(crate) fn query(prefix: &str, delimiter: Option<&str>, limit: usize) -> ListQuery {
    ListQuery {
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        after: None,
        limit,
    }
}

pub(crate) fn if_match(etag: &str) -> WriteCondition {
    WriteCondition { if_match: Some(etag.to_owned()), if_none_match: None }
}

pub(crate) fn if_none_match(etag: &str) -> WriteCondition {
    WriteCondition { if_match: None, if_none_match: Some(etag.to_owned()) }
}
