//! Multipart uploads and their parts.

use super::{
    Bucket, BucketId, Checksum, ChecksumAlgorithm, ChecksumType, Content, Headers, Key, Tags,
    UserId, VersionId, WriteCondition,
};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// An upload's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub Uuid);

/// An upload's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Its bucket.
    pub bucket: BucketId,
    /// The key that completion will write.
    pub key: Key,
    /// When it was started.
    pub started: OffsetDateTime,
    /// The storage class asked for.
    pub storage_class: String,
    /// The headers asked for.
    pub headers: Headers,
    /// The tags asked for. Lists leave them out.
    pub tags: Tags,
    /// The checksum asked for at its start.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// Who started it.
    pub initiator: UserId,
}

/// A part's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10 000.
    pub number: u16,
    /// Size in bytes.
    pub size: u64,
    /// MD5 in hex.
    pub etag: String,
    /// The additional checksum; its kind is that of the upload.
    pub checksum: Option<Checksum>,
    /// When it was stored.
    pub modified: OffsetDateTime,
}

/// How storing a part ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartOutcome {
    /// Stored; an older part of this number is replaced.
    Done {
        /// When.
        modified: OffsetDateTime,
    },
    /// The upload was completed, aborted, expired or never existed: 404.
    NoSuchUpload,
}

/// A completion, checked against the parts by the caller beforehand; the parts are compared
/// again under the upload's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The upload.
    pub upload: UploadId,
    /// The bucket with its `config_epoch`.
    pub bucket: Arc<Bucket>,
    /// The key; another one than the upload's is no such upload.
    pub key: Key,
    /// Part numbers and ETags (hex, no quotes) in order, as the client listed them.
    pub parts: Vec<(u16, String)>,
    /// What the object will be. `Content::size` is the sum of the parts' sizes.
    pub content: Content,
    /// The condition.
    pub condition: WriteCondition,
}

/// How a completion ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteOutcome {
    /// Visible, now or by an earlier completion with the same list.
    Done {
        /// The ETag.
        etag: String,
        /// The version.
        version: VersionId,
        /// Last-Modified.
        modified: OffsetDateTime,
    },
    /// 404.
    NoSuchUpload,
    /// The parts are no longer those that were listed: 400 `InvalidPart`.
    PartsChanged,
    /// 412.
    PreconditionFailed,
    /// `If-Match` without a key: 404.
    NoSuchKey,
    /// 409.
    Conflict,
}
