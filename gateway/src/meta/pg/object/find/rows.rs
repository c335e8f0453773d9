//! What the look-ups answer: the columns of a bucket, a version and an extent.

use super::super::super::columns::{
    ChecksumColumns, ExtentColumns, VersionColumns, broken, versioning_from,
};
use crate::meta::types::{Bucket, BucketId, Extent, Found, UserId, Version};
use crate::meta::{MetaError, Result};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// The bucket, the version and one extent; several rows when there are several extents. The long
/// columns stand in the row of the first extent only.
#[derive(Debug)]
pub(super) struct FoundRow {
    /// Which of the items of a call it answers, from 1.
    pub(super) ord: i64,
    pub(super) bucket_id: i64,
    pub(super) owner: Uuid,
    pub(super) config_epoch: i64,
    pub(super) versioning: i16,
    pub(super) created: OffsetDateTime,
    pub(super) seq: Option<i64>,
    pub(super) version: Option<Uuid>,
    pub(super) marker: Option<bool>,
    pub(super) is_current: Option<bool>,
    pub(super) modified: Option<OffsetDateTime>,
    pub(super) body: Option<Uuid>,
    pub(super) size: Option<i64>,
    pub(super) etag: Option<String>,
    pub(super) storage_class: Option<String>,
    pub(super) headers: Option<String>,
    pub(super) checksum_algorithm: Option<i16>,
    pub(super) checksum_kind: Option<i16>,
    pub(super) checksum: Option<Vec<u8>>,
    pub(super) parts: Option<String>,
    pub(super) tags: Option<String>,
    pub(super) extent: Option<Uuid>,
    pub(super) extent_start: Option<i64>,
    pub(super) extent_size: Option<i64>,
    pub(super) scheme: Option<i16>,
    pub(super) missing: Option<i16>,
    pub(super) nodes: Option<Vec<i16>>,
}

/// Puts the rows of one look-up together.
pub(super) fn found(bucket: &str, key: &str, mut rows: Vec<FoundRow>) -> Result<Found> {
    rows.sort_by_key(|row| row.extent_start);
    let extents = rows.iter().filter_map(extent).collect::<Result<_>>()?;
    let first = rows.into_iter().next().ok_or(MetaError::NoSuchBucket)?;
    Ok(Found {
        bucket: Arc::new(bucket_of(&first, bucket)?),
        version: version_of(first, key)?,
        extents,
    })
}

fn bucket_of(row: &FoundRow, name: &str) -> Result<Bucket> {
    Ok(Bucket {
        id: BucketId(row.bucket_id),
        name: name.to_owned(),
        owner: UserId(row.owner),
        config_epoch: row.config_epoch,
        versioning: versioning_from(row.versioning)?,
        created: row.created,
    })
}

fn version_of(row: FoundRow, key: &str) -> Result<Option<Version>> {
    let Some(seq) = row.seq else { return Ok(None) };
    let missing = || broken("a version without one of its columns");
    let columns = VersionColumns {
        key: key.as_bytes().to_vec(),
        seq,
        version: row.version,
        marker: row.marker.ok_or_else(missing)?,
        is_current: row.is_current.ok_or_else(missing)?,
        modified: row.modified.ok_or_else(missing)?,
        body: row.body,
        size: row.size.ok_or_else(missing)?,
        etag: row.etag.ok_or_else(missing)?,
        storage_class: row.storage_class.ok_or_else(missing)?,
        headers: row.headers.ok_or_else(missing)?,
        checksum: ChecksumColumns {
            algorithm: row.checksum_algorithm,
            kind: row.checksum_kind,
            value: row.checksum,
        },
        parts: row.parts,
        tags: row.tags,
    };
    columns.version().map(Some)
}

fn extent(row: &FoundRow) -> Option<Result<Extent>> {
    Some(
        ExtentColumns {
            id: row.extent?,
            start: row.extent_start?,
            size: row.extent_size?,
            scheme: row.scheme?,
            missing: row.missing?,
            nodes: row.nodes.clone()?,
        }
        .extent(),
    )
}
