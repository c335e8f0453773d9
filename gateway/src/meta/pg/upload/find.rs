//! Finds an upload under way.

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
        "select id, bucket_id, key, started, initiator, storage_class, headers,
            checksum_algorithm, checksum_kind
        from upload where id = $1 and bucket_id = $2 and key = $3 and completed_at is null",
        id.0,
        bucket.0,
        key.as_bytes()
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    row.map(UploadRow::upload).transpose()
}
