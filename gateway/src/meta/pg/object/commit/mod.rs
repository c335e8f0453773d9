//! Makes versions visible. Concurrent commits of a bucket share one call of `commit_v1`: one
//! round trip and one wait for the log's sync for all of them.

mod call;

use super::super::columns::version_id;
use super::super::connect::{ANSWER_LIMIT, Line};
use super::super::error::{from_sqlx, is_ambiguous, is_deadlock, is_lock_timeout};
use super::super::resolve::has_committed;
use super::super::together::Together;
use crate::clock;
use crate::meta::types::{
    BodySource, Commit, CommitOutcome, VersionId, Versioning, WriteCondition,
};
use crate::meta::{MetaError, Result};
pub(in crate::meta::pg) use call::Item;
use call::OutcomeRow;
#[cfg(test)]
pub(in crate::meta::pg) use call::{call, extents};
use futures::future::join_all;
use sqlx::PgPool;

impl Together for Item {
    type Answer = Result<CommitOutcome>;
    const ITEMS: usize = 64;
    const CALLS: usize = 2;

    /// Conditional writes go alone: a wait for their key is an answer (409), and nobody else's
    /// business. So do shared bodies, which are locked in the order of their ids.
    fn fits(&self, others: &[Self]) -> bool {
        let is_plain = |item: &Self| {
            !is_conditional(&item.commit) && !matches!(item.commit.body, BodySource::Shared(_))
        };
        let fits = |other: &Self| {
            other.commit.lease == self.commit.lease
                && other.commit.bucket.id == self.commit.bucket.id
                && other.commit.bucket.config_epoch == self.commit.bucket.config_epoch
                && other.commit.key != self.commit.key
        };
        is_plain(self) && is_plain(&others[0]) && others.iter().all(fits)
    }

    async fn call(line: &mut Line, items: Vec<Self>) -> Vec<Self::Answer> {
        let attempt = attempt(line, &items).await;
        let pool = line.pool();
        match attempt {
            Ok(rows) => rows.into_iter().map(outcome).collect(),
            Err(Failure::Undone(error)) if items.len() == 1 => vec![undone(&items[0], error)],
            Err(Failure::Undone(error)) if !concerns_all(&error) => {
                join_all(items.iter().map(|item| alone(pool, item))).await
            }
            Err(Failure::Undone(error)) => {
                let error = from_sqlx(error);
                items.iter().map(|_| Err(error.clone())).collect()
            }
            Err(Failure::Unsent(error)) => items.iter().map(|_| Err(error.clone())).collect(),
            Err(Failure::Unknown(error)) => {
                join_all(items.iter().map(|item| resolve(pool, item, error.clone()))).await
            }
        }
    }
}

fn is_conditional(commit: &Commit) -> bool {
    commit.condition != WriteCondition::default()
}

/// Why an attempt failed.
enum Failure {
    /// Nothing was sent.
    Unsent(MetaError),
    /// The database has certainly done nothing.
    Undone(sqlx::Error),
    /// It may have been done.
    Unknown(MetaError),
}

async fn attempt(line: &mut Line, items: &[Item]) -> std::result::Result<Vec<OutcomeRow>, Failure> {
    let extents = call::extents(items).map_err(Failure::Unsent)?;
    let mut connection = line.take().await.map_err(Failure::Unsent)?;
    let call = call::call(&mut connection, items, &extents);
    let error = match tokio::time::timeout(ANSWER_LIMIT, call).await {
        Ok(Ok(rows)) if rows.len() == items.len() => {
            line.keep(connection);
            return Ok(rows);
        }
        Ok(Ok(_)) => MetaError::Broken("commit_v1 answered other items".to_owned()),
        Ok(Err(error)) if !is_ambiguous(&error) => return Err(Failure::Undone(error)),
        Ok(Err(error)) => from_sqlx(error),
        Err(_) => MetaError::Unavailable(format!("no answer within {ANSWER_LIMIT:?}")),
    };
    connection.close_on_drop();
    Err(Failure::Unknown(error))
}

/// Whether an error says the same about every item of a call. Otherwise one item may have
/// failed all of them, and each is tried alone.
fn concerns_all(error: &sqlx::Error) -> bool {
    let is_of_one = is_lock_timeout(error) || is_deadlock(error);
    !is_of_one
        && !matches!(error, sqlx::Error::Database(database) if database.is_unique_violation())
}

fn undone(item: &Item, error: sqlx::Error) -> Result<CommitOutcome> {
    if is_lock_timeout(&error) && is_conditional(&item.commit) {
        return Ok(CommitOutcome::Conflict);
    }
    Err(from_sqlx(error))
}

async fn alone(pool: &PgPool, item: &Item) -> Result<CommitOutcome> {
    match attempt(&mut Line::new(pool), std::slice::from_ref(item)).await {
        Ok(rows) => rows.into_iter().next().map_or_else(
            || Err(MetaError::Broken("commit_v1 answered nothing".to_owned())),
            outcome,
        ),
        Err(Failure::Undone(error)) => undone(item, error),
        Err(Failure::Unsent(error)) => Err(error),
        Err(Failure::Unknown(error)) => resolve(pool, item, error).await,
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
async fn resolve(pool: &PgPool, item: &Item, error: MetaError) -> Result<CommitOutcome> {
    let commit = &item.commit;
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
        Versioning::Enabled => VersionId::Id(item.version),
        Versioning::Off | Versioning::Suspended => VersionId::Null,
    };
    // Overwritten or deleted since, its row can't say when: the gateway's time is as good as any.
    let modified = modified.unwrap_or_else(clock::now);
    Ok(CommitOutcome::Done { version, modified })
}
