//! Finds a bucket by name.

use super::super::error::from_sqlx;
use super::BucketRow;
use crate::meta::Result;
use crate::meta::types::Bucket;
use sqlx::PgPool;

pub(in crate::meta::pg) async fn bucket(pool: &PgPool, name: &str) -> Result<Option<Bucket>> {
    let row = sqlx::query_as!(
        BucketRow,
        "select id, name, owner, config_epoch, versioning, created from bucket where name = $1",
        name
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    row.map(BucketRow::bucket).transpose()
}
