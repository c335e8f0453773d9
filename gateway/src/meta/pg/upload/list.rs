//! Lists uploads under way: one call of `list_uploads_v1`.

use super::super::columns::limit_and_one;
use super::super::error::from_sqlx;
use super::super::page::{Listed, empty, page};
use super::UploadRow;
use crate::meta::Result;
use crate::meta::types::{BucketId, ListQuery, Page, Upload, UploadId};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn list_uploads(
    pool: &PgPool,
    bucket: BucketId,
    query: &ListQuery,
    after_upload: Option<UploadId>,
) -> Result<Page<Upload>> {
    if query.limit == 0 {
        return Ok(empty());
    }
    let rows = sqlx::query!(
        r#"select common_prefix as "common_prefix?", (entry).id as "id!",
            (entry).key as "key!", (entry).started as "started!",
            (entry).initiator as "initiator!", (entry).storage_class as "storage_class!",
            (entry).headers as "headers!", (entry).checksum_algorithm as "checksum_algorithm?",
            (entry).checksum_kind as "checksum_kind?"
        from list_uploads_v1($1, $2, $3, $4, $5, $6)"#,
        bucket.0,
        query.prefix.as_bytes(),
        query.delimiter.as_deref().map(str::as_bytes),
        query.after.as_deref().map(str::as_bytes),
        after_upload.map(|upload| upload.0),
        limit_and_one(query.limit)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let listed = rows.into_iter().map(|row| {
        if let Some(prefix) = row.common_prefix {
            return Ok(Listed::Prefix(prefix));
        }
        let columns = UploadRow {
            id: row.id,
            bucket_id: bucket.0,
            key: row.key,
            started: row.started,
            initiator: row.initiator,
            storage_class: row.storage_class,
            headers: row.headers,
            checksum_algorithm: row.checksum_algorithm,
            checksum_kind: row.checksum_kind,
        };
        columns.upload().map(Listed::Entry)
    });
    page(listed.collect::<Result<_>>()?, query.limit)
}
