//! Starts an upload, by the database's clock. Its id begins with its start, so that the uploads
//! of a key order by it, also when one of them is gone.

use super::super::columns::{headers_text, tags_text};
use super::super::error::from_sqlx;
use super::checksum_numbers;
use crate::meta::types::{Bucket, Upload, UploadId};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn create_upload(
    pool: &PgPool,
    bucket: &Bucket,
    upload: Upload,
) -> Result<Upload> {
    let (algorithm, kind) = checksum_numbers(upload.checksum);
    let row = sqlx::query!(
        "with locked as materialized (
            select b.id, clock_timestamp() as started from bucket b where b.id = $1 for share)
        insert into upload (id, bucket_id, key, started, initiator, storage_class, headers,
            checksum_algorithm, checksum_kind, tags)
        select (lpad(to_hex((extract(epoch from l.started) * 1000000)::bigint), 16, '0')
                || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid,
            l.id, $2, l.started, $3, $4, $5, $6, $7, $8
        from locked l
        returning id, started",
        bucket.id.0,
        upload.key.as_bytes(),
        upload.initiator.0,
        upload.storage_class,
        headers_text(&upload.headers)?,
        algorithm,
        kind,
        tags_text(&upload.tags)?
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    let row = row.ok_or(MetaError::NoSuchBucket)?;
    Ok(Upload { id: UploadId(row.id), started: row.started, bucket: bucket.id, ..upload })
}
