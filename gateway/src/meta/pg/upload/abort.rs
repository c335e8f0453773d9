//! Gives an upload up and frees its parts.

use super::super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::types::{BucketId, UploadId};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn abort_upload(
    pool: &PgPool,
    bucket: BucketId,
    key: &str,
    id: UploadId,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select abort_upload_v1($1, $2, $3) as "was_there!""#,
        bucket.0,
        key.as_bytes(),
        id.0
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)
}
