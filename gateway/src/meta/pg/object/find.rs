//! Finds one version of a key with the first extents of its body, the bucket joined by name: one
//! statement, so that a bucket deleted and made again can't be confused.

use super::super::columns::{
    ChecksumColumns, ExtentColumns, VersionColumns, broken, version_uuid, versioning_from,
};
use super::super::error::from_sqlx;
use crate::meta::types::{Bucket, BucketId, Extent, Found, UserId, Version, VersionId};
use crate::meta::{EXTENTS_PER_PAGE, MetaError, Result};
use sqlx::PgPool;
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// The bucket, the version and one extent; several rows when there are several extents. The long
/// columns stand in the first row only.
#[derive(Debug)]
struct FoundRow {
    bucket_id: i64,
    owner: Uuid,
    config_epoch: i64,
    versioning: i16,
    created: OffsetDateTime,
    seq: Option<i64>,
    version: Option<Uuid>,
    marker: Option<bool>,
    is_current: Option<bool>,
    modified: Option<OffsetDateTime>,
    body: Option<Uuid>,
    size: Option<i64>,
    etag: Option<String>,
    storage_class: Option<String>,
    headers: Option<String>,
    checksum_algorithm: Option<i16>,
    checksum_kind: Option<i16>,
    checksum: Option<Vec<u8>>,
    parts: Option<String>,
    extent: Option<Uuid>,
    extent_start: Option<i64>,
    extent_size: Option<i64>,
    scheme: Option<i16>,
    missing: Option<i16>,
    nodes: Option<Vec<i16>>,
}

pub(in crate::meta::pg) async fn find(
    pool: &PgPool,
    bucket: &str,
    key: &str,
    version: Option<VersionId>,
) -> Result<Found> {
    let rows = rows(pool, bucket, key, version).await?;
    let extents = rows.iter().filter_map(extent).collect::<Result<_>>()?;
    let first = rows.into_iter().next().ok_or(MetaError::NoSuchBucket)?;
    Ok(Found {
        bucket: Arc::new(bucket_of(&first, bucket)?),
        version: version_of(first, key)?,
        extents,
    })
}

#[allow(clippy::too_many_lines)] // One statement.
async fn rows(
    pool: &PgPool,
    bucket: &str,
    key: &str,
    version: Option<VersionId>,
) -> Result<Vec<FoundRow>> {
    sqlx::query_as!(
        FoundRow,
        r#"select b.id as bucket_id, b.owner, b.config_epoch, b.versioning, b.created,
            v.seq as "seq?", v.version as "version?", v.marker as "marker?",
            v.is_current as "is_current?", v.modified as "modified?", v.body as "body?",
            v.size as "size?", v.etag as "etag?", v.storage_class as "storage_class?",
            case when coalesce(e.start, 0) = 0 then v.headers end as "headers?",
            v.checksum_algorithm as "checksum_algorithm?", v.checksum_kind as "checksum_kind?",
            v.checksum as "checksum?",
            case when coalesce(e.start, 0) = 0 then v.parts end as "parts?",
            e.id as "extent?", e.start as "extent_start?", e.size as "extent_size?",
            e.scheme as "scheme?", e.missing as "missing?", e.nodes as "nodes?"
        from bucket b
        left join lateral (
            select true as is_current, o.* from object o
            where o.bucket_id = b.id and o.key = $2
                and (not $3 or o.version is not distinct from $4)
            union all
            select false, n.* from noncurrent n
            where $3 and n.bucket_id = b.id and n.key = $2 and n.version = $4
            union all
            select false, n.* from noncurrent n
            where $3 and $4::uuid is null
                and n.bucket_id = b.id and n.key = $2 and n.version is null
            limit 1) v on true
        left join lateral (
            select x.id, x.start, x.size, x.scheme, x.missing, p.nodes
            from extent x join placement p on p.id = x.placement_id
            where x.body_id = v.body order by x.start limit $5) e on true
        where b.name = $1
        order by e.start"#,
        bucket,
        key.as_bytes(),
        version.is_some(),
        version.and_then(version_uuid),
        i64::try_from(EXTENTS_PER_PAGE).unwrap_or(i64::MAX)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)
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
