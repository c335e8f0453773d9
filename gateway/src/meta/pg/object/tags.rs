//! Sets the tags of a version: one call of `set_tags_v1`.

use super::super::columns::{broken, key_lock, tags_text, version_id, version_uuid};
use super::super::error::from_sqlx;
use crate::meta::types::{BucketId, TagOutcome, Tags, VersionId};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn set_tags(
    pool: &PgPool,
    bucket: BucketId,
    key: &str,
    version: Option<VersionId>,
    tags: &Tags,
) -> Result<TagOutcome> {
    let row = sqlx::query!(
        r#"select outcome as "outcome!", version as "version?", modified as "modified?"
        from set_tags_v1($1, $2, $3, $4, $5, $6)"#,
        bucket.0,
        key.as_bytes(),
        key_lock(bucket.0, key),
        version.is_some(),
        version.and_then(version_uuid),
        tags_text(tags)?
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    let version = version_id(row.version);
    match row.outcome.as_str() {
        "done" => Ok(TagOutcome::Done { version }),
        "absent" => Ok(TagOutcome::Absent),
        "marker" => {
            let modified = row.modified.ok_or_else(|| broken("a marker without its time"))?;
            Ok(TagOutcome::Marker { version, modified })
        }
        other => Err(MetaError::Broken(format!("set_tags_v1 answered {other}"))),
    }
}
