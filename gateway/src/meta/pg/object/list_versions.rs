//! Lists all versions and markers: one call of `list_versions_v1`.

use super::super::columns::version_uuid;
use super::super::error::from_sqlx;
use super::super::page::{Asked, empty, page};
use super::listed::ListedVersion;
use crate::meta::Result;
use crate::meta::types::{BucketId, ListQuery, Page, Version, VersionId};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn list_versions(
    pool: &PgPool,
    bucket: BucketId,
    query: &ListQuery,
    after_version: Option<VersionId>,
) -> Result<Page<Version>> {
    if query.limit == 0 {
        return Ok(empty());
    }
    let asked = Asked::of(query);
    let rows = sqlx::query_as!(
        ListedVersion,
        r#"select common_prefix as "common_prefix?", is_current as "is_current!", key as "key!",
            seq as "seq!", version as "version?", marker as "marker!", modified as "modified!",
            body as "body?", size as "size!", etag as "etag!", storage_class as "storage_class!",
            checksum_algorithm as "checksum_algorithm?", checksum_kind as "checksum_kind?",
            checksum as "checksum?"
        from list_versions_v1($1, $2, $3, $4, $5, $6, $7)"#,
        bucket.0,
        asked.prefix,
        asked.delimiter,
        asked.after,
        after_version.is_some(),
        after_version.and_then(version_uuid),
        asked.limit
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    page(rows, query.limit)
}
