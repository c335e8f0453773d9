//! Creates a bucket.

use super::super::error::from_sqlx;
use super::BucketRow;
use crate::meta::types::{Bucket, UserId};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn create_bucket(
    pool: &PgPool,
    name: &str,
    owner: UserId,
) -> Result<Bucket> {
    let created = sqlx::query_as!(
        BucketRow,
        "insert into bucket (name, owner) values ($1, $2) on conflict (name) do nothing
        returning id, name, owner, config_epoch, versioning, created",
        name,
        owner.0
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    if let Some(row) = created {
        return row.bucket();
    }
    match super::find::bucket(pool, name).await? {
        Some(bucket) => Err(MetaError::BucketExists { owner: bucket.owner }),
        None => Err(MetaError::Unavailable(format!("bucket {name} is being deleted"))),
    }
}
