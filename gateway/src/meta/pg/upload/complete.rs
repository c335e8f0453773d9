//! Makes the object of an upload visible: one call of `complete_v1`. It moves rows, not bytes, but
//! as many rows as the object has extents, so its limits are wider than those of other calls.

use super::super::columns::{
    ChecksumColumns, headers_text, key_lock, parts_text, size_number, tags_text, version_id,
};
use super::super::connect::{self, acquire};
use super::super::error::{from_sqlx, is_ambiguous, is_lock_timeout};
use crate::meta::types::{BucketId, CompleteOutcome, Completion, UploadId, WriteCondition};
use crate::meta::{MetaError, Result};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};
use std::future::Future;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// The longest that the database may work on a completion: no transaction over 10 s.
const STATEMENT_LIMIT: &str = "set local statement_timeout = '10s'";

/// The longest wait for the answer to it. Its beginning and its end take no longer than other calls.
const ANSWER_LIMIT: Duration = Duration::from_secs(11);

/// What `complete_v1` answers.
#[derive(Debug)]
pub(in crate::meta::pg) struct OutcomeRow {
    pub(in crate::meta::pg) outcome: String,
    etag: Option<String>,
    version: Option<Uuid>,
    modified: Option<OffsetDateTime>,
}

/// An ambiguous completion is resolved by completing again: whichever of the two comes second
/// finds the row that the first one left, and answers the same.
pub(in crate::meta::pg) async fn complete(
    pool: &PgPool,
    completion: Completion,
) -> Result<CompleteOutcome> {
    match attempt(pool, &completion).await? {
        Attempt::Answered(outcome) => Ok(outcome),
        Attempt::Lost(_) => match attempt(pool, &completion).await? {
            Attempt::Answered(outcome) => Ok(outcome),
            Attempt::Lost(error) => Err(error),
        },
    }
}

enum Attempt {
    Answered(CompleteOutcome),
    Lost(MetaError),
}

async fn attempt(pool: &PgPool, completion: &Completion) -> Result<Attempt> {
    let columns = Columns::of(completion)?;
    let mut connection = acquire(pool).await?;
    let is_conditional = completion.condition != WriteCondition::default();
    let error = match transaction(&mut connection, completion, &columns).await {
        Ok(row) => return outcome(row).map(Attempt::Answered),
        Err(Failure::NotBegun) => {
            connection.close_on_drop();
            return Err(MetaError::Unavailable("the database is silent".to_owned()));
        }
        Err(Failure::Failed(error)) if is_lock_timeout(&error) && is_conditional => {
            return Ok(Attempt::Answered(CompleteOutcome::Conflict));
        }
        Err(Failure::Failed(error)) if !is_ambiguous(&error) => return Err(from_sqlx(error)),
        Err(Failure::Failed(error)) => from_sqlx(error),
    };
    connection.close_on_drop();
    Ok(Attempt::Lost(error))
}

/// Why a completion failed.
enum Failure {
    /// The database did not even answer to its beginning: it has done nothing, and another attempt
    /// would take as long.
    NotBegun,
    Failed(sqlx::Error),
}

/// What needs converting before anything is sent.
pub(in crate::meta::pg) struct Columns {
    numbers: Vec<i32>,
    etags: Vec<String>,
    hash: Vec<u8>,
    body: Option<Uuid>,
    size: i64,
    headers: String,
    checksum: ChecksumColumns,
    parts: Option<String>,
    tags: Option<String>,
}

impl Columns {
    pub(in crate::meta::pg) fn of(completion: &Completion) -> Result<Self> {
        let content = &completion.content;
        Ok(Self {
            numbers: completion.parts.iter().map(|(number, _)| i32::from(*number)).collect(),
            etags: completion.parts.iter().map(|(_, etag)| etag.clone()).collect(),
            hash: parts_hash(&completion.parts),
            body: (content.size > 0).then(Uuid::new_v4),
            size: size_number(content.size)?,
            headers: headers_text(&content.headers)?,
            checksum: ChecksumColumns::of(content.checksum.as_ref()),
            parts: parts_text(&content.parts)?,
            tags: tags_text(&content.tags)?,
        })
    }
}

async fn transaction(
    connection: &mut PgConnection,
    completion: &Completion,
    columns: &Columns,
) -> std::result::Result<OutcomeRow, Failure> {
    let begun = tokio::time::timeout(connect::ANSWER_LIMIT, begin(connection)).await;
    let mut transaction = begun.map_err(|_| Failure::NotBegun)?.map_err(Failure::Failed)?;
    let call = call(&mut transaction, completion, columns);
    let row = answered(ANSWER_LIMIT, call).await.map_err(Failure::Failed)?;
    answered(connect::ANSWER_LIMIT, transaction.commit()).await.map_err(Failure::Failed)?;
    Ok(row)
}

async fn begin(
    connection: &mut PgConnection,
) -> std::result::Result<Transaction<'_, Postgres>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(STATEMENT_LIMIT).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// A step, or that there was no answer to it in time.
async fn answered<T>(
    limit: Duration,
    step: impl Future<Output = std::result::Result<T, sqlx::Error>>,
) -> std::result::Result<T, sqlx::Error> {
    let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| late())
}

pub(in crate::meta::pg) async fn call(
    connection: &mut PgConnection,
    completion: &Completion,
    columns: &Columns,
) -> std::result::Result<OutcomeRow, sqlx::Error> {
    let bucket = &completion.bucket;
    sqlx::query_as!(
        OutcomeRow,
        r#"select outcome as "outcome!", etag as "etag?", version as "version?",
            modified as "modified?"
        from complete_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17, $18, $19, $20, $21)"#,
        completion.upload.0,
        bucket.id.0,
        bucket.config_epoch,
        completion.key.as_bytes(),
        key_lock(bucket.id.0, &completion.key),
        &columns.numbers,
        &columns.etags,
        columns.hash,
        Uuid::new_v4(),
        columns.body,
        columns.size,
        completion.content.etag,
        completion.content.storage_class,
        columns.headers,
        columns.checksum.algorithm,
        columns.checksum.kind,
        columns.checksum.value,
        columns.parts,
        columns.tags,
        completion.condition.if_match,
        completion.condition.if_none_match
    )
    .fetch_one(connection)
    .await
}

fn outcome(row: OutcomeRow) -> Result<CompleteOutcome> {
    match (row.outcome.as_str(), row.etag, row.modified) {
        ("done", Some(etag), Some(modified)) => {
            Ok(CompleteOutcome::Done { etag, version: version_id(row.version), modified })
        }
        ("no_such_upload", ..) => Ok(CompleteOutcome::NoSuchUpload),
        ("parts_changed", ..) => Ok(CompleteOutcome::PartsChanged),
        ("precondition_failed", ..) => Ok(CompleteOutcome::PreconditionFailed),
        ("no_such_key", ..) => Ok(CompleteOutcome::NoSuchKey),
        (other, ..) => Err(MetaError::Broken(format!("complete_v1 answered {other}"))),
    }
}

/// SHA-256 of the list of parts: number, length of the `ETag`, `ETag`.
fn parts_hash(parts: &[(u16, String)]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for (number, etag) in parts {
        hash.update(number.to_be_bytes());
        hash.update((etag.len() as u64).to_be_bytes());
        hash.update(etag.as_bytes());
    }
    hash.finalize().to_vec()
}

/// What an earlier completion with this list answered.
pub(in crate::meta::pg) async fn completed(
    pool: &PgPool,
    bucket: BucketId,
    key: &str,
    id: UploadId,
    parts: &[(u16, String)],
) -> Result<Option<CompleteOutcome>> {
    let row = sqlx::query!(
        r#"select etag as "etag!", version as "version?", modified as "modified!" from upload
        where id = $1 and bucket_id = $2 and key = $3 and completed_at is not null
            and parts_hash = $4"#,
        id.0,
        bucket.0,
        key.as_bytes(),
        parts_hash(parts)
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(row.map(|row| CompleteOutcome::Done {
        etag: row.etag,
        version: version_id(row.version),
        modified: row.modified,
    }))
}
