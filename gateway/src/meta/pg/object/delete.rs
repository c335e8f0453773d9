//! Deletes as S3 does: one call of `delete_v1`.

use super::super::columns::{broken, key_lock, size_number, version_id, version_uuid};
use super::super::error::{from_sqlx, is_lock_timeout};
use crate::meta::types::{Bucket, DeleteCondition, DeleteOutcome, VersionId};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;
use uuid::Uuid;

pub(in crate::meta::pg) async fn delete(
    pool: &PgPool,
    bucket: &Bucket,
    key: &str,
    version: Option<VersionId>,
    condition: Option<&DeleteCondition>,
) -> Result<DeleteOutcome> {
    let wanted = condition.cloned().unwrap_or_default();
    let called = sqlx::query!(
        r#"select outcome as "outcome!", version as "version?", was_marker as "was_marker?"
        from delete_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        bucket.id.0,
        bucket.config_epoch,
        key.as_bytes(),
        key_lock(bucket.id.0, key),
        version.is_some(),
        version.and_then(version_uuid),
        Uuid::new_v4(),
        wanted.if_match,
        wanted.size.map(size_number).transpose()?,
        wanted.modified
    )
    .fetch_one(pool)
    .await;
    let row = match called {
        // A wait for the key is an answer where a condition was asked.
        Err(error) if is_lock_timeout(&error) && wanted != DeleteCondition::default() => {
            return Ok(DeleteOutcome::Conflict);
        }
        called => called.map_err(from_sqlx)?,
    };
    let version = version_id(row.version);
    match row.outcome.as_str() {
        "absent" => Ok(DeleteOutcome::Absent),
        "deleted" => {
            let was_marker =
                row.was_marker.ok_or_else(|| broken("delete_v1 without was_marker"))?;
            Ok(DeleteOutcome::Deleted { version, was_marker })
        }
        "marker_added" => Ok(DeleteOutcome::MarkerAdded { version }),
        "precondition_failed" => Ok(DeleteOutcome::PreconditionFailed),
        "no_such_key" => Ok(DeleteOutcome::NoSuchKey),
        other => Err(MetaError::Broken(format!("delete_v1 answered {other}"))),
    }
}
