//! Leases: taken, renewed, ended.

use super::columns::lease_number;
use super::error::from_sqlx;
use crate::meta::{MetaError, Renewal, Result};
use sixfold_proto::name::LeaseId;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use std::time::Duration;

pub(super) async fn begin_lease(pool: &PgPool, holder: &str) -> Result<LeaseId> {
    let lease = LeaseId(rand::random());
    sqlx::query!("insert into lease (id, holder) values ($1, $2)", lease_number(lease), holder)
        .execute(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(lease)
}

pub(super) async fn renew_lease(
    pool: &PgPool,
    lease: LeaseId,
    oldest_read: Option<Duration>,
) -> Result<Renewal> {
    let row = sqlx::query!(
        r#"update lease set renewed = clock_timestamp(), oldest_read = clock_timestamp() - $2::interval
        where id = $1 returning clock_timestamp() as "database_time!""#,
        lease_number(lease),
        oldest_read.map(interval).transpose()?
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    let row = row.ok_or(MetaError::LeaseEnded)?;
    Ok(Renewal { database_time: row.database_time })
}

/// PostgreSQL itself waits for every transaction that has locked the row.
pub(super) async fn end_lease(pool: &PgPool, lease: LeaseId) -> Result<()> {
    sqlx::query!("delete from lease where id = $1", lease_number(lease))
        .execute(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(())
}

pub(super) async fn end_expired_leases(
    pool: &PgPool,
    silent: Duration,
    limit: usize,
) -> Result<Vec<LeaseId>> {
    let ids = sqlx::query_scalar!(
        "delete from lease where id in (
            select id from lease where renewed < clock_timestamp() - $1::interval
            order by renewed limit $2 for update skip locked)
        returning id",
        interval(silent)?,
        i64::try_from(limit).unwrap_or(i64::MAX)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(ids.into_iter().map(|id| LeaseId(id.cast_unsigned())).collect())
}

/// A duration as PostgreSQL's interval.
pub(super) fn interval(duration: Duration) -> Result<PgInterval> {
    let microseconds = i64::try_from(duration.as_micros())
        .map_err(|_| MetaError::Broken(format!("a duration of {duration:?}")))?;
    Ok(PgInterval { months: 0, days: 0, microseconds })
}
