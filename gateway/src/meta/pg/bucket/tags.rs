//! The tags of a bucket. No write is decided by them.

use super::super::columns::{tags_from, tags_text};
use super::super::error::from_sqlx;
use crate::meta::types::{BucketId, Tags};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn bucket_tags(pool: &PgPool, bucket: BucketId) -> Result<Tags> {
    let tags = sqlx::query_scalar!("select tags from bucket where id = $1", bucket.0)
        .fetch_optional(pool)
        .await
        .map_err(from_sqlx)?;
    tags_from(tags.ok_or(MetaError::NoSuchBucket)?.as_deref())
}

pub(in crate::meta::pg) async fn set_bucket_tags(
    pool: &PgPool,
    bucket: BucketId,
    tags: &Tags,
) -> Result<()> {
    let tags = tags_text(tags)?;
    let done = sqlx::query!("update bucket set tags = $2 where id = $1", bucket.0, tags)
        .execute(pool)
        .await
        .map_err(from_sqlx)?;
    if done.rows_affected() == 0 { Err(MetaError::NoSuchBucket) } else { Ok(()) }
}
