//! Changes the versioning state of a bucket. Waits for the commits that were decided by the old
//! one; those that come later see another `config_epoch`.

use super::super::columns::versioning_number;
use super::super::error::from_sqlx;
use crate::meta::types::{BucketId, Versioning};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn set_versioning(
    pool: &PgPool,
    bucket: BucketId,
    versioning: Versioning,
) -> Result<()> {
    let done = sqlx::query!(
        "update bucket set versioning = $2, config_epoch = config_epoch + 1 where id = $1",
        bucket.0,
        versioning_number(versioning)
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    if done.rows_affected() == 0 { Err(MetaError::NoSuchBucket) } else { Ok(()) }
}
