//! Deletes an empty bucket. Its row is locked before anyone looks whether it is empty, and every
//! commit holds that row: none can slip in.

use super::super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::types::BucketId;
use sqlx::PgPool;

pub(in crate::meta::pg) async fn delete_bucket(pool: &PgPool, bucket: BucketId) -> Result<()> {
    sqlx::query!(r#"select delete_bucket_v1($1)::text as "done?""#, bucket.0)
        .fetch_one(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(())
}
