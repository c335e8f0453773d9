//! The pool of connections and its limits. Together they keep the promise that a call answers
//! within [`CALL_LIMIT`] whatever the database does, and that the pool recovers by itself.

use super::super::{MetaError, Result};
use super::error::from_sqlx;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

/// The longest that a call may take, resolving an ambiguous commit included: 503 within 5 s.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// The longest wait for a free connection, a new one included. With the statement's limit behind
/// it, it stays below [`CALL_LIMIT`].
const ACQUIRE_LIMIT: Duration = Duration::from_millis(1500);

/// After this the database itself gives a statement up, so that it is known to have done nothing.
const STATEMENT_LIMIT: &str = "2500ms";

/// The longest wait for an answer to a commit before it counts as lost. Longer than
/// [`STATEMENT_LIMIT`], so that only a database that is gone or frozen gets there.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_millis(2800);

/// A connection idle for longer is tried before it is used; under load none is, because that
/// would double the round trips.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// The longest that such a try may take.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// Statements kept prepared in each connection: more than there are in this program.
const STATEMENT_CACHE: usize = 256;

/// Opens a pool, without connecting yet.
pub(super) fn open(url: &str, max_connections: u32) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| MetaError::Broken(format!("the database's URL: {error}")))?
        .application_name("sixfold")
        .statement_cache_capacity(STATEMENT_CACHE)
        .options([
            ("statement_timeout", STATEMENT_LIMIT),
            ("plan_cache_mode", "force_generic_plan"),
        ]);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for < TRUSTED_IDLE {
                    return Ok(true);
                }
                let ping = tokio::time::timeout(PING_LIMIT, connection.ping()).await;
                Ok(matches!(ping, Ok(Ok(()))))
            })
        })
        .connect_lazy_with(options))
}

/// Bounds a call that changes nothing, or whose loss is no secret to the caller.
pub(super) async fn within<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(result) => result,
        Err(_) => Err(MetaError::Unavailable(format!("no answer within {CALL_LIMIT:?}"))),
    }
}

/// A connection, or why there is none. Nothing has been sent when this fails.
pub(super) async fn acquire(pool: &PgPool) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>> {
    pool.acquire().await.map_err(from_sqlx)
}
