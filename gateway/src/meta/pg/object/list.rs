//! Lists current versions without markers: one call of `list_objects_v2`.

use super::super::columns::{ChecksumColumns, VersionColumns, limit_and_one};
use super::super::error::from_sqlx;
use super::super::page::{Listed, empty, page};
use crate::meta::Result;
use crate::meta::types::{BucketId, ListQuery, Page, Version};
use sqlx::PgPool;

/// Lists show no headers; they may be long.
const NO_HEADERS: &str = "{}";

pub(in crate::meta::pg) async fn list_objects(
    pool: &PgPool,
    bucket: BucketId,
    query: &ListQuery,
) -> Result<Page<Version>> {
    if query.limit == 0 {
        return Ok(empty());
    }
    let rows = sqlx::query!(
        r#"select common_prefix as "common_prefix?", key as "key!", seq as "seq!",
            version as "version?", modified as "modified!", body as "body?", size as "size!",
            etag as "etag!", storage_class as "storage_class!",
            checksum_algorithm as "checksum_algorithm?", checksum_kind as "checksum_kind?",
            checksum as "checksum?"
        from list_objects_v2($1, $2, $3, $4, $5)"#,
        bucket.0,
        query.prefix.as_bytes(),
        query.delimiter.as_deref().map(str::as_bytes),
        query.after.as_deref().map(str::as_bytes),
        limit_and_one(query.limit)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let listed = rows.into_iter().map(|row| {
        if let Some(prefix) = row.common_prefix {
            return Ok(Listed::Prefix(prefix));
        }
        let columns = VersionColumns {
            key: row.key,
            seq: row.seq,
            version: row.version,
            marker: false,
            is_current: true,
            modified: row.modified,
            body: row.body,
            size: row.size,
            etag: row.etag,
            storage_class: row.storage_class,
            headers: NO_HEADERS.to_owned(),
            checksum: ChecksumColumns {
                algorithm: row.checksum_algorithm,
                kind: row.checksum_kind,
                value: row.checksum,
            },
            parts: None,
        };
        columns.version().map(Listed::Entry)
    });
    page(listed.collect::<Result<_>>()?, query.limit)
}
