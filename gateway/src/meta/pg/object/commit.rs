//! Makes a version visible: one call of `commit_v1`, one round trip.

use super::super::columns::{
    ChecksumColumns, ExtentArrays, headers_text, key_lock, lease_number, parts_text, size_number,
    version_id,
};
use super::super::connect::{ANSWER_LIMIT, acquire};
use super::super::error::{from_sqlx, is_ambiguous, is_lock_timeout};
use super::super::resolve::has_committed;
use crate::meta::types::{
    BodyId, BodySource, Commit, CommitOutcome, VersionId, Versioning, WriteCondition,
};
use crate::meta::{MetaError, Result};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// What `commit_v1` answers for an item.
#[derive(Debug)]
pub(in crate::meta::pg) struct OutcomeRow {
    pub(in crate::meta::pg) outcome: String,
    version: Option<Uuid>,
    modified: Option<OffsetDateTime>,
}

pub(in crate::meta::pg) async fn commit(pool: &PgPool, commit: Commit) -> Result<CommitOutcome> {
    let version = Uuid::new_v4();
    let mut connection = acquire(pool).await?;
    let call = call(&mut connection, &commit, version);
    let error = match tokio::time::timeout(ANSWER_LIMIT, call).await {
        Ok(Ok(row)) => return outcome(row),
        Ok(Err(Failure::Columns(error))) => return Err(error),
        Ok(Err(Failure::Sql(error))) if is_lock_timeout(&error) && is_conditional(&commit) => {
            return Ok(CommitOutcome::Conflict);
        }
        Ok(Err(Failure::Sql(error))) if !is_ambiguous(&error) => return Err(from_sqlx(error)),
        Ok(Err(Failure::Sql(error))) => from_sqlx(error),
        Err(_) => MetaError::Unavailable(format!("no answer within {ANSWER_LIMIT:?}")),
    };
    connection.close_on_drop();
    drop(connection);
    resolve(pool, &commit, version, error).await
}

fn is_conditional(commit: &Commit) -> bool {
    commit.condition != WriteCondition::default()
}

fn extents(source: &BodySource) -> Result<ExtentArrays> {
    let mut arrays = ExtentArrays::default();
    if let BodySource::New(body) = source {
        arrays.add(body.id, &body.extents)?;
    }
    Ok(arrays)
}

/// Why the call failed: before or after something was sent.
#[derive(Debug)]
pub(in crate::meta::pg) enum Failure {
    Columns(MetaError),
    Sql(sqlx::Error),
}

pub(in crate::meta::pg) async fn call(
    connection: &mut PgConnection,
    commit: &Commit,
    version: Uuid,
) -> std::result::Result<OutcomeRow, Failure> {
    let extents = extents(&commit.body).map_err(Failure::Columns)?;
    let content = &commit.content;
    let body = body_of(&commit.body);
    let checksum = ChecksumColumns::of(content.checksum.as_ref());
    let headers = headers_text(&content.headers).map_err(Failure::Columns)?;
    let parts = parts_text(&content.parts).map_err(Failure::Columns)?;
    let size = size_number(content.size).map_err(Failure::Columns)?;
    sqlx::query_as!(
        OutcomeRow,
        r#"select outcome as "outcome!", version as "version?", modified as "modified?"
        from commit_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
            $18, $19, $20, $21, $22, $23, $24, $25)"#,
        lease_number(commit.lease),
        commit.bucket.id.0,
        commit.bucket.config_epoch,
        &[commit.key.as_bytes().to_vec()][..],
        &[key_lock(commit.bucket.id.0, &commit.key)][..],
        &[version][..],
        &[body.map(|body| body.0)][..] as &[Option<Uuid>],
        &[matches!(commit.body, BodySource::Shared(_))][..],
        &[size][..],
        &[content.etag.clone()][..],
        &[content.storage_class.clone()][..],
        &[headers][..],
        &[checksum.algorithm][..] as &[Option<i16>],
        &[checksum.kind][..] as &[Option<i16>],
        &[checksum.value][..] as &[Option<Vec<u8>>],
        &[parts][..] as &[Option<String>],
        &[commit.condition.if_match.clone()][..] as &[Option<String>],
        &[commit.condition.if_none_match.clone()][..] as &[Option<String>],
        &extents.bodies,
        &extents.ids,
        &extents.starts,
        &extents.sizes,
        &extents.schemes,
        &extents.missing,
        &extents.nodes
    )
    .fetch_one(connection)
    .await
    .map_err(Failure::Sql)
}

fn body_of(source: &BodySource) -> Option<BodyId> {
    match source {
        BodySource::Empty => None,
        BodySource::New(body) => Some(body.id),
        BodySource::Shared(body) => Some(*body),
    }
}

fn outcome(row: OutcomeRow) -> Result<CommitOutcome> {
    match (row.outcome.as_str(), row.modified) {
        ("done", Some(modified)) => {
            Ok(CommitOutcome::Done { version: version_id(row.version), modified })
        }
        ("precondition_failed", _) => Ok(CommitOutcome::PreconditionFailed),
        ("no_such_key", _) => Ok(CommitOutcome::NoSuchKey),
        ("source_gone", _) => Ok(CommitOutcome::SourceGone),
        (other, _) => Err(MetaError::Broken(format!("commit_v1 answered {other}"))),
    }
}

/// Only new bytes are worth it: they make a row of their own to resolve by. An empty or shared
/// body whose commit was lost answers 503, and the client's repetition writes the same again.
async fn resolve(
    pool: &PgPool,
    commit: &Commit,
    version: Uuid,
    error: MetaError,
) -> Result<CommitOutcome> {
    let BodySource::New(body) = &commit.body else { return Err(error) };
    if !has_committed(pool, body.id).await? {
        return Err(error);
    }
    let modified = sqlx::query_scalar!(
        r#"select modified as "modified!" from object
        where bucket_id = $1 and key = $2 and body = $3
        union all
        select modified from noncurrent
        where bucket_id = $1 and key = $2 and body = $3 limit 1"#,
        commit.bucket.id.0,
        commit.key.as_bytes(),
        body.id.0
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    let version = match commit.bucket.versioning {
        Versioning::Enabled => VersionId::Id(version),
        Versioning::Off | Versioning::Suspended => VersionId::Null,
    };
    // Overwritten or deleted since, its row can't say when: the gateway's time is as good as any.
    let modified = modified.unwrap_or_else(OffsetDateTime::now_utc);
    Ok(CommitOutcome::Done { version, modified })
}
