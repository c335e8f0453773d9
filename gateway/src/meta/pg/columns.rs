//! Columns and the types they stand for.

use super::super::types::{
    BodyId, Checksum, ChecksumAlgorithm, ChecksumType, ChunkSet, Content, Extent, Headers,
    ObjectPart, Placement, Tags, Version, VersionId, Versioning,
};
use super::super::{MetaError, Result};
use crate::erasure::Scheme;
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ExtentId, LeaseId, NodeNumber};
use std::hash::Hasher;
use time::OffsetDateTime;
use twox_hash::XxHash3_64;
use uuid::Uuid;

pub(super) fn broken(what: &str) -> MetaError {
    MetaError::Broken(what.to_owned())
}

/// A lease's 64 bits as PostgreSQL's signed integer.
pub(super) fn lease_number(lease: LeaseId) -> i64 {
    lease.0.cast_signed()
}

pub(super) fn size_number(size: u64) -> Result<i64> {
    i64::try_from(size).map_err(|_| broken("a size above 2^63"))
}

pub(super) fn size_from(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| broken("a negative size"))
}

/// A page's limit and one more, which says whether more follows.
pub(super) fn limit_and_one(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX - 1) + 1
}

pub(super) fn text_from(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| broken("a key that is not UTF-8"))
}

/// The number of the advisory lock of a key. Two keys that share one only wait for each other.
pub(super) fn key_lock(bucket: i64, key: &str) -> i64 {
    let mut hash = XxHash3_64::new();
    hash.write(&bucket.to_be_bytes());
    hash.write(key.as_bytes());
    hash.finish().cast_signed()
}

pub(super) fn versioning_number(versioning: Versioning) -> i16 {
    match versioning {
        Versioning::Off => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    }
}

pub(super) fn versioning_from(number: i16) -> Result<Versioning> {
    match number {
        0 => Ok(Versioning::Off),
        1 => Ok(Versioning::Enabled),
        2 => Ok(Versioning::Suspended),
        _ => Err(broken("a versioning state that this release does not know")),
    }
}

pub(super) fn version_id(version: Option<Uuid>) -> VersionId {
    version.map_or(VersionId::Null, VersionId::Id)
}

pub(super) fn version_uuid(version: VersionId) -> Option<Uuid> {
    match version {
        VersionId::Null => None,
        VersionId::Id(id) => Some(id),
    }
}

pub(super) fn algorithm_number(algorithm: ChecksumAlgorithm) -> i16 {
    match algorithm {
        ChecksumAlgorithm::Crc32 => 1,
        ChecksumAlgorithm::Crc32c => 2,
        ChecksumAlgorithm::Crc64Nvme => 3,
        ChecksumAlgorithm::Sha1 => 4,
        ChecksumAlgorithm::Sha256 => 5,
    }
}

pub(super) fn algorithm_from(number: i16) -> Result<ChecksumAlgorithm> {
    match number {
        1 => Ok(ChecksumAlgorithm::Crc32),
        2 => Ok(ChecksumAlgorithm::Crc32c),
        3 => Ok(ChecksumAlgorithm::Crc64Nvme),
        4 => Ok(ChecksumAlgorithm::Sha1),
        5 => Ok(ChecksumAlgorithm::Sha256),
        _ => Err(broken("a checksum algorithm that this release does not know")),
    }
}

pub(super) fn kind_number(kind: ChecksumType) -> i16 {
    match kind {
        ChecksumType::FullObject => 1,
        ChecksumType::Composite => 2,
    }
}

pub(super) fn kind_from(number: i16) -> Result<ChecksumType> {
    match number {
        1 => Ok(ChecksumType::FullObject),
        2 => Ok(ChecksumType::Composite),
        _ => Err(broken("a checksum type that this release does not know")),
    }
}

/// A checksum as its three columns: all null, or none.
#[derive(Debug)]
pub(super) struct ChecksumColumns {
    pub(super) algorithm: Option<i16>,
    pub(super) kind: Option<i16>,
    pub(super) value: Option<Vec<u8>>,
}

impl ChecksumColumns {
    pub(super) fn of(checksum: Option<&Checksum>) -> Self {
        Self {
            algorithm: checksum.map(|checksum| algorithm_number(checksum.algorithm)),
            kind: checksum.map(|checksum| kind_number(checksum.kind)),
            value: checksum.map(|checksum| checksum.value.clone()),
        }
    }

    pub(super) fn checksum(self) -> Result<Option<Checksum>> {
        match (self.algorithm, self.kind, self.value) {
            (Some(algorithm), Some(kind), Some(value)) => Ok(Some(Checksum {
                algorithm: algorithm_from(algorithm)?,
                kind: kind_from(kind)?,
                value,
            })),
            (None, None, None) => Ok(None),
            _ => Err(broken("half a checksum")),
        }
    }
}

pub(super) fn headers_text(headers: &Headers) -> Result<String> {
    serde_json::to_string(headers).map_err(|error| MetaError::Broken(error.to_string()))
}

pub(super) fn headers_from(text: &str) -> Result<Headers> {
    serde_json::from_str(text).map_err(|error| MetaError::Broken(format!("headers: {error}")))
}

/// Parts as `[[number, size, checksum in hex or null], …]`: there may be 10 000 of them, so
/// their fields have no names.
pub(super) fn parts_text(parts: &[ObjectPart]) -> Result<Option<String>> {
    if parts.is_empty() {
        return Ok(None);
    }
    let rows: Vec<_> = parts
        .iter()
        .map(|part| (part.number, part.size, part.checksum.as_ref().map(hex::encode)))
        .collect();
    serde_json::to_string(&rows).map(Some).map_err(|error| MetaError::Broken(error.to_string()))
}

pub(super) fn parts_from(text: Option<&str>) -> Result<Vec<ObjectPart>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let rows: Vec<(u16, u64, Option<String>)> =
        serde_json::from_str(text).map_err(|error| MetaError::Broken(format!("parts: {error}")))?;
    rows.into_iter()
        .map(|(number, size, checksum)| {
            let checksum = checksum.map(hex::decode).transpose();
            let checksum = checksum.map_err(|_| broken("a part's checksum that is not hex"))?;
            Ok(ObjectPart { number, size, checksum })
        })
        .collect()
}

pub(super) fn tags_text(tags: &Tags) -> Result<Option<String>> {
    if tags.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(tags).map(Some).map_err(|error| MetaError::Broken(error.to_string()))
}

pub(super) fn tags_from(text: Option<&str>) -> Result<Tags> {
    let Some(text) = text else { return Ok(Tags::new()) };
    serde_json::from_str(text).map_err(|error| MetaError::Broken(format!("tags: {error}")))
}

/// The columns of a version, as every statement that reads one names them.
#[derive(Debug)]
pub(super) struct VersionColumns {
    pub(super) key: Vec<u8>,
    pub(super) seq: i64,
    pub(super) version: Option<Uuid>,
    pub(super) marker: bool,
    pub(super) is_current: bool,
    pub(super) modified: OffsetDateTime,
    pub(super) body: Option<Uuid>,
    pub(super) size: i64,
    pub(super) etag: String,
    pub(super) storage_class: String,
    pub(super) headers: String,
    pub(super) checksum: ChecksumColumns,
    pub(super) parts: Option<String>,
    pub(super) tags: Option<String>,
}

impl VersionColumns {
    pub(super) fn version(self) -> Result<Version> {
        let content = Content {
            size: size_from(self.size)?,
            etag: self.etag,
            storage_class: self.storage_class,
            headers: headers_from(&self.headers)?,
            checksum: self.checksum.checksum()?,
            parts: parts_from(self.parts.as_deref())?,
            tags: tags_from(self.tags.as_deref())?,
        };
        Ok(Version {
            key: text_from(self.key)?,
            version: version_id(self.version),
            seq: self.seq,
            modified: self.modified,
            is_current: self.is_current,
            content: (!self.marker).then_some(content),
            body: self.body.map(BodyId),
        })
    }
}

/// The columns of an extent, its placement joined.
#[derive(Debug)]
pub(super) struct ExtentColumns {
    pub(super) id: Uuid,
    pub(super) start: i64,
    pub(super) size: i64,
    pub(super) scheme: i16,
    pub(super) missing: i16,
    pub(super) nodes: Vec<i16>,
}

impl ExtentColumns {
    pub(super) fn extent(self) -> Result<Extent> {
        Ok(Extent {
            id: ExtentId::from_uuid(self.id),
            start: size_from(self.start)?,
            size: size_from(self.size)?,
            scheme: Scheme::from_number(self.scheme)
                .ok_or_else(|| broken("a scheme that this release does not know"))?,
            placement: placement_from(&self.nodes)?,
            missing: ChunkSet(
                u8::try_from(self.missing).map_err(|_| broken("a set of more than six chunks"))?,
            ),
        })
    }
}

pub(super) fn placement_from(nodes: &[i16]) -> Result<Placement> {
    let nodes: [i16; CHUNKS_PER_EXTENT] =
        nodes.try_into().map_err(|_| broken("a placement of other than six nodes"))?;
    let mut placement = [NodeNumber(0); CHUNKS_PER_EXTENT];
    for (place, node) in placement.iter_mut().zip(nodes) {
        *place = node_from(node)?;
    }
    Ok(placement)
}

pub(super) fn node_from(number: i16) -> Result<NodeNumber> {
    u16::try_from(number).map(NodeNumber).map_err(|_| broken("a negative node number"))
}

pub(super) fn node_number(node: NodeNumber) -> Result<i16> {
    i16::try_from(node.0).map_err(|_| broken("a node number above 32767"))
}

/// Extents as the parallel arrays that the functions of the migrations take.
#[derive(Debug, Default)]
pub(super) struct ExtentArrays {
    pub(super) bodies: Vec<Uuid>,
    pub(super) ids: Vec<Uuid>,
    pub(super) starts: Vec<i64>,
    pub(super) sizes: Vec<i64>,
    pub(super) schemes: Vec<i16>,
    pub(super) missing: Vec<i16>,
    /// Six node numbers for each extent.
    pub(super) nodes: Vec<i16>,
}

impl ExtentArrays {
    pub(super) fn add(&mut self, body: BodyId, extents: &[Extent]) -> Result<()> {
        for extent in extents {
            self.bodies.push(body.0);
            self.ids.push(extent.id.to_uuid());
            self.starts.push(size_number(extent.start)?);
            self.sizes.push(size_number(extent.size)?);
            self.schemes.push(extent.scheme.number());
            self.missing.push(i16::from(extent.missing.0));
            for node in extent.placement {
                self.nodes.push(node_number(node)?);
            }
        }
        Ok(())
    }
}
