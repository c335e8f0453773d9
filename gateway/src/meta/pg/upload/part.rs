//! Stores a part: one call of `commit_part_v1`, one round trip.

use super::super::columns::{ChecksumColumns, ExtentArrays, lease_number, size_number};
use super::super::connect::{ANSWER_LIMIT, acquire};
use super::super::error::{from_sqlx, is_ambiguous};
use super::super::resolve::has_committed;
use crate::clock;
use crate::meta::types::{NewBody, Part, PartOutcome, UploadId};
use crate::meta::{MetaError, Result};
use sixfold_proto::name::LeaseId;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

pub(in crate::meta::pg) async fn commit_part(
    pool: &PgPool,
    lease: LeaseId,
    upload: UploadId,
    part: Part,
    body: Option<NewBody>,
) -> Result<PartOutcome> {
    let row = PartRow::of(lease, upload, &part, body.as_ref())?;
    let mut connection = acquire(pool).await?;
    let error = match tokio::time::timeout(ANSWER_LIMIT, call(&mut connection, &row)).await {
        Ok(Ok(modified)) => return Ok(outcome(modified)),
        Ok(Err(error)) if !is_ambiguous(&error) => return Err(from_sqlx(error)),
        Ok(Err(error)) => from_sqlx(error),
        Err(_) => MetaError::Unavailable(format!("no answer within {ANSWER_LIMIT:?}")),
    };
    connection.close_on_drop();
    drop(connection);
    resolve(pool, &row, error).await
}

/// What `commit_part_v1` takes.
pub(in crate::meta::pg) struct PartRow<'a> {
    lease: i64,
    upload: UploadId,
    size: i64,
    checksum: ChecksumColumns,
    part: &'a Part,
    body: Option<&'a NewBody>,
    extents: ExtentArrays,
}

impl<'a> PartRow<'a> {
    pub(in crate::meta::pg) fn of(
        lease: LeaseId,
        upload: UploadId,
        part: &'a Part,
        body: Option<&'a NewBody>,
    ) -> Result<Self> {
        let mut extents = ExtentArrays::default();
        if let Some(body) = body {
            extents.add(body.id, &body.extents)?;
        }
        Ok(Self {
            lease: lease_number(lease),
            upload,
            size: size_number(part.size)?,
            checksum: ChecksumColumns::of(part.checksum.as_ref()),
            part,
            body,
            extents,
        })
    }
}

pub(in crate::meta::pg) async fn call(
    connection: &mut PgConnection,
    row: &PartRow<'_>,
) -> std::result::Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select commit_part_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            as "modified?""#,
        row.lease,
        row.upload.0,
        i32::from(row.part.number),
        row.size,
        row.part.etag,
        row.checksum.algorithm,
        row.checksum.kind,
        row.checksum.value,
        row.body.map(|body| body.id.0),
        &row.extents.ids,
        &row.extents.starts,
        &row.extents.sizes,
        &row.extents.schemes,
        &row.extents.missing,
        &row.extents.nodes
    )
    .fetch_one(connection)
    .await
}

fn outcome(modified: Option<OffsetDateTime>) -> PartOutcome {
    modified.map_or(PartOutcome::NoSuchUpload, |modified| PartOutcome::Done { modified })
}

async fn resolve(pool: &PgPool, row: &PartRow<'_>, error: MetaError) -> Result<PartOutcome> {
    let Some(body) = row.body else { return Err(error) };
    if !has_committed(pool, body.id).await? {
        return Err(error);
    }
    let modified = sqlx::query_scalar!(
        "select modified from part where upload_id = $1 and number = $2 and body = $3",
        row.upload.0,
        i32::from(row.part.number),
        body.id.0
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    // It was stored, and replaced or completed since: the gateway's time is as good as any.
    Ok(PartOutcome::Done { modified: modified.unwrap_or_else(clock::now) })
}
