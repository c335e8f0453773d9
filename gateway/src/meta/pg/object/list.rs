//! Lists current versions without markers: one call of `list_objects_v1`.

use super::super::error::from_sqlx;
use super::super::page::{Asked, empty, page};
use super::listed::ListedVersion;
use crate::meta::Result;
use crate::meta::types::{BucketId, ListQuery, Page, Version};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn list_objects(
    pool: &PgPool,
    bucket: BucketId,
    query: &ListQuery,
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
        from list_objects_v1($1, $2, $3, $4, $5)"#,
        bucket.0,
        asked.prefix,
        asked.delimiter,
        asked.after,
        asked.limit
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    page(rows, query.limit)
}
