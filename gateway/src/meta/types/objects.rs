//! Buckets, versions and their bodies, and what the calls on them take and answer.

use super::UserId;
use crate::erasure::Scheme;
use serde::{Deserialize, Serialize};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ExtentId, LeaseId, NodeNumber};
use std::collections::BTreeMap;
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// A bucket's number; a deleted and recreated bucket has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(pub i64);

/// A body's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyId(pub Uuid);

/// An object's key: 1 to 1024 bytes of UTF-8 without NUL, compared by byte, never normalised.
pub type Key = String;

/// Tags, by their keys.
pub type Tags = BTreeMap<String, String>;

/// A version's id. The null version is what an unversioned bucket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionId {
    /// The null version.
    Null,
    /// A version of a versioned bucket: random.
    Id(Uuid),
}

/// Whether overwrites keep what they replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Versioning {
    /// Never enabled.
    Off,
    /// Every write adds a version.
    Enabled,
    /// New writes replace the null version.
    Suspended,
}

/// A bucket's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its number.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: UserId,
    /// Counts configuration changes; a commit names the one it decided by.
    pub config_epoch: i64,
    /// Its versioning state.
    pub versioning: Versioning,
    /// When it was created.
    pub created: OffsetDateTime,
}

/// The node numbers of an extent's six chunks, by chunk index.
pub type Placement = [NodeNumber; CHUNKS_PER_EXTENT];

/// A set of chunk indexes, one bit each (bit 0 is chunk index 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChunkSet(pub u8);

impl ChunkSet {
    /// The chunks whose index is such.
    pub fn of(is_in: impl Fn(usize) -> bool) -> Self {
        let indexes = (0..CHUNKS_PER_EXTENT).filter(|&index| is_in(index));
        Self(indexes.fold(0, |bits, index| bits | 1 << index))
    }

    /// Whether the chunk of this index, 0 to 5, is in it.
    pub fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

/// One extent of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its id.
    pub id: ExtentId,
    /// Where in the body it begins, in bytes.
    pub start: u64,
    /// Its size in bytes, above 0.
    pub size: u64,
    /// How its chunks are made.
    pub scheme: Scheme,
    /// Where its chunks are.
    pub placement: Placement,
    /// Chunks known to be missing or damaged.
    pub missing: ChunkSet,
}

/// The algorithm of an additional checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What a checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumType {
    /// All bytes of the object.
    FullObject,
    /// The checksums of the parts.
    Composite,
}

/// A stored checksum: raw bytes, big-endian for the CRCs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// Its algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub kind: ChecksumType,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// One part of a completed multipart object, kept for GET by part number and
/// `GetObjectAttributes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// Its part number.
    pub number: u16,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum, when one was given.
    pub checksum: Option<Vec<u8>>,
}

/// The headers that a client stored with an object. Absent is absent; nothing is defaulted here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Headers {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`, never `aws-chunked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Expires`, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_redirect: Option<String>,
    /// `x-amz-meta-*`, names without the prefix, in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

/// What a version is, apart from its place in the history of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Size in bytes.
    pub size: u64,
    /// ETag without quotes, opaque: 32 hex digits, or those and `-N`.
    pub etag: String,
    /// Amazon's storage class name as the client gave it; `STANDARD` by default.
    pub storage_class: String,
    /// Stored headers.
    pub headers: Headers,
    /// The additional checksum.
    pub checksum: Option<Checksum>,
    /// The parts of a multipart object; empty for others.
    pub parts: Vec<ObjectPart>,
    /// Its tags; the only ones of these that can change.
    pub tags: Tags,
}

/// One version of a key, or a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its key.
    pub key: Key,
    /// Its id.
    pub version: VersionId,
    /// Orders the versions of its key.
    pub seq: i64,
    /// Last-Modified.
    pub modified: OffsetDateTime,
    /// Whether it is the current one.
    pub is_current: bool,
    /// `None` for a delete marker.
    pub content: Option<Content>,
    /// Its body; `None` for markers and empty objects.
    pub body: Option<BodyId>,
}

/// An object as a GET needs it: the bucket, the version, and the extents asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bucket, read in the same statement.
    pub bucket: Arc<Bucket>,
    /// The version; `None` when the key (or that version of it) does not exist.
    pub version: Option<Version>,
    /// The first extents of its body in order, at most
    /// [`EXTENTS_PER_PAGE`](crate::meta::EXTENTS_PER_PAGE).
    pub extents: Vec<Extent>,
}

/// A new body to be committed: chunks that are durable under the lease named beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBody {
    /// Its id, random, made before the commit so that an ambiguous one can be resolved.
    pub id: BodyId,
    /// Its extents, by start.
    pub extents: Vec<Extent>,
}

/// Where the bytes of a version to be committed come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodySource {
    /// No bytes at all.
    Empty,
    /// Freshly written chunks.
    New(NewBody),
    /// The body of an existing version, shared; refused with [`CommitOutcome::SourceGone`] when
    /// it is no longer referenced.
    Shared(BodyId),
}

/// What must hold for the current version when a write commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteCondition {
    /// `If-Match`: this ETag (without quotes), or `*`.
    pub if_match: Option<String>,
    /// `If-None-Match: *`, or an ETag that must not be the current one.
    pub if_none_match: Option<String>,
}

/// What must hold for the current version when a delete is carried out, whichever version that
/// names. Size and time hold where the key is absent, as Amazon documents it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteCondition {
    /// `If-Match`: this ETag (without quotes), or `*`.
    pub if_match: Option<String>,
    /// `x-amz-if-match-size`; a delete marker has 0.
    pub size: Option<u64>,
    /// `x-amz-if-match-last-modified-time`, compared to the second.
    pub modified: Option<OffsetDateTime>,
}

/// One version to be made visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The lease that protects the chunks.
    pub lease: LeaseId,
    /// The bucket, with the `config_epoch` that the gateway decided by.
    pub bucket: Arc<Bucket>,
    /// The key.
    pub key: Key,
    /// The content.
    pub content: Content,
    /// The bytes.
    pub body: BodySource,
    /// The condition.
    pub condition: WriteCondition,
}

/// How a commit ended, apart from failures of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Visible.
    Done {
        /// The new version's id.
        version: VersionId,
        /// Its Last-Modified.
        modified: OffsetDateTime,
    },
    /// A condition failed: 412.
    PreconditionFailed,
    /// `If-Match` on a key that does not exist: 404.
    NoSuchKey,
    /// Another write of the same key is under way and a condition was asked: 409.
    Conflict,
    /// The shared body went away between look-up and commit: look again.
    SourceGone,
}

/// How a delete ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// Nothing was there; S3 answers 204 all the same.
    Absent,
    /// The named or null version is gone.
    Deleted {
        /// Which one.
        version: VersionId,
        /// Whether it was a delete marker.
        was_marker: bool,
    },
    /// A delete marker was added.
    MarkerAdded {
        /// Its id.
        version: VersionId,
    },
    /// A condition failed: 412.
    PreconditionFailed,
    /// `If-Match` on a key that does not exist: 404.
    NoSuchKey,
    /// Another write of the same key is under way and a condition was asked: 409.
    Conflict,
}

/// How tagging a version ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOutcome {
    /// It has these tags now, and none besides.
    Done {
        /// Which version.
        version: VersionId,
    },
    /// There is no such version.
    Absent,
    /// It is a delete marker, which has none.
    Marker {
        /// Its id.
        version: VersionId,
        /// Its Last-Modified.
        modified: OffsetDateTime,
    },
}

/// A page of a list: entries and common prefixes in one byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// The common prefixes.
    pub prefixes: Vec<String>,
    /// Whether more follows.
    pub is_truncated: bool,
}

/// Which page of a list of keys is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only keys that begin with this; may be empty.
    pub prefix: String,
    /// Keys are rolled up at the first occurrence of this after the prefix. Never empty.
    pub delimiter: Option<String>,
    /// Only keys (and common prefixes) greater than this. A common prefix given here is
    /// skipped whole.
    pub after: Option<String>,
    /// Entries and prefixes together, 0 to 1000.
    pub limit: usize,
}
