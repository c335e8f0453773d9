//! Gives up uploads that are idle or whose bucket is gone, and forgets completions that nobody
//! repeats any more.

use super::super::error::from_sqlx;
use crate::meta::{MetaError, Result};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use std::time::Duration;

/// How long a completion with the same list gets the same answer.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

pub(in crate::meta::pg) async fn expire_uploads(
    pool: &PgPool,
    idle: Duration,
    limit: usize,
) -> Result<u64> {
    let expired = sqlx::query_scalar!(
        r#"select expire_uploads_v1($1, $2, $3) as "expired!""#,
        interval(idle)?,
        interval(REMEMBER)?,
        i32::try_from(limit).unwrap_or(i32::MAX)
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(u64::try_from(expired).unwrap_or_default())
}

fn interval(duration: Duration) -> Result<PgInterval> {
    let microseconds = i64::try_from(duration.as_micros())
        .map_err(|_| MetaError::Broken(format!("a duration of {duration:?}")))?;
    Ok(PgInterval { months: 0, days: 0, microseconds })
}
