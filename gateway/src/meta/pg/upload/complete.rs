//! Makes the object of an upload visible: one call of `complete_v1`. It moves rows, not bytes, but
//! as many rows as the object has extents, so it may take longer than other calls: for as long as
//! the database is seen to work on it. All else together keeps to the limit of any call.

use super::super::columns::{
    ChecksumColumns, headers_text, key_lock, parts_text, size_number, tags_text, version_id,
};
use super::super::connect::{self, acquire, within};
use super::super::error::{from_sqlx, is_ambiguous, is_lock_timeout};
use crate::meta::types::{BucketId, CompleteOutcome, Completion, UploadId, WriteCondition};
use crate::meta::{MetaError, Result};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

/// The longest that the database may work on a completion: no transaction over 10 s. Answers which
/// process of the database does.
const BEGIN: &str = "select pg_backend_pid() from set_config('statement_timeout', '10s', true)";

/// The longest wait for the answer to it, while the database works on it.
const ANSWER_LIMIT: Duration = Duration::from_secs(11);

/// How long a completion is waited for of which the database shows nothing. With [`AGAIN`] behind
/// it, it stays below [`connect::CALL_LIMIT`].
const PATIENCE: Duration = Duration::from_millis(3300);

/// What the attempt has that finds out what became of the first one.
const AGAIN: Duration = Duration::from_millis(1200);

/// How often one looks whether the database works on a completion that has not been answered.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest that such a look may take.
const LOOK_LIMIT: Duration = Duration::from_millis(1200);

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
    let began = Instant::now();
    match attempt(pool, &completion, began + PATIENCE).await? {
        Attempt::Answered(outcome) => Ok(outcome),
        Attempt::Lost(_) => {
            let until = (began + PATIENCE).max(Instant::now()) + AGAIN;
            match attempt(pool, &completion, until).await? {
                Attempt::Answered(outcome) => Ok(outcome),
                Attempt::Lost(error) => Err(error),
            }
        }
    }
}

enum Attempt {
    Answered(CompleteOutcome),
    Lost(MetaError),
}

/// Waits no longer than `until`, but for a database that is seen to work on it.
async fn attempt(pool: &PgPool, completion: &Completion, until: Instant) -> Result<Attempt> {
    let columns = Columns::of(completion)?;
    let mut connection = timeout_at(until, acquire(pool)).await.map_err(|_| silent())??;
    let is_conditional = completion.condition != WriteCondition::default();
    let mut watch = Watch { pool, until };
    let error = match transaction(&mut connection, completion, &columns, &mut watch).await {
        Ok(row) => return outcome(row).map(Attempt::Answered),
        Err(Failure::NotBegun) => {
            connection.close_on_drop();
            return Err(silent());
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

fn silent() -> MetaError {
    MetaError::Unavailable("the database is silent".to_owned())
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
    watch: &mut Watch<'_>,
) -> std::result::Result<OutcomeRow, Failure> {
    let begun = timeout_at(watch.until, begin(connection)).await;
    let (mut transaction, process) =
        begun.map_err(|_| Failure::NotBegun)?.map_err(Failure::Failed)?;
    let call = call(&mut transaction, completion, columns);
    let row = tokio::select! {
        biased;
        row = call => row.map_err(Failure::Failed)?,
        () = watch.given_up(process) => return Err(Failure::Failed(late())),
    };
    watch.until = watch.until.max(Instant::now() + connect::ANSWER_LIMIT);
    let end = timeout_at(watch.until, transaction.commit()).await;
    end.unwrap_or_else(|_| Err(late())).map_err(Failure::Failed)?;
    Ok(row)
}

/// Begins, and answers which process of the database works on it.
async fn begin(
    connection: &mut PgConnection,
) -> std::result::Result<(Transaction<'_, Postgres>, i32), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let process = sqlx::query_scalar(BEGIN).fetch_one(&mut *transaction).await?;
    Ok((transaction, process))
}

/// There was no answer in time.
fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// What the database does about a completion, seen over other connections than its own.
struct Watch<'a> {
    pool: &'a PgPool,
    /// When to stop waiting.
    until: Instant,
}

impl Watch<'_> {
    /// Ends when the call is to be waited for no more: the database shows nothing of it, or is done
    /// with it and the answer does not come.
    async fn given_up(&mut self, process: i32) {
        let most = Instant::now() + ANSWER_LIMIT;
        let mut was_working = true;
        while Instant::now() < self.until {
            sleep(LOOK_EVERY.min(self.until - Instant::now())).await;
            let limit = LOOK_LIMIT.min(self.until - Instant::now());
            match timeout(limit, within(is_working(self.pool, process))).await {
                Ok(Ok(true)) => {
                    was_working = true;
                    self.until = self.until.max(Instant::now() + connect::ANSWER_LIMIT).min(most);
                }
                // Its answer may have been on its way in the first of two looks.
                Ok(Ok(false)) if !was_working => return,
                Ok(Ok(false)) => was_working = false,
                // Nothing was seen.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}

/// Whether a process of the database has a statement under way.
async fn is_working(pool: &PgPool, process: i32) -> Result<bool> {
    let state = sqlx::query_scalar!(
        r#"select exists(select from pg_stat_activity where pid = $1 and state = 'active') as "is!""#,
        process
    );
    state.fetch_one(pool).await.map_err(from_sqlx)
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
