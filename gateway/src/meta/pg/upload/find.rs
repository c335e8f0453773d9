//! Finds an upload under way. One whose bucket is gone waits to be given up, and is not found.

use super::super::error::from_sqlx;
use super::UploadRow;
use crate::meta::Result;
use crate::meta::types::{BucketId, Upload, UploadId};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn upload(
    pool: &PgPool,
    bucket: BucketId,
    key: &str,
    id: UploadId,
) -> Result<Option<Upload>> {
    let row = sqlx::query_as!(
        UploadRow,
        "select u.id, u.bucket_id, u.key, u.started, u.initiator, u.storage_class, u.headers,
            u.checksum_algorithm, u.checksum_kind, u.tags
        from upload u join bucket b on b.id = u.bucket_id
        where u.id = $1 and u.bucket_id = $2 and u.key = $3 and u.completed_at is null",
        id.0,
        bucket.0,
        key.as_bytes()
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    row.map(UploadRow::upload).transpose()
}
