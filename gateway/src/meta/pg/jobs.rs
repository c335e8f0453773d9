//! Jobs that one process does for all.

use super::columns::lease_number;
use super::error::from_sqlx;
use super::lease::interval;
use crate::meta::Result;
use crate::meta::types::{Claimant, JobRow};
use sqlx::PgPool;
use std::time::Duration;

pub(super) async fn claim_job(
    pool: &PgPool,
    name: &str,
    claimant: Claimant,
    doing: &str,
    lasts: Duration,
) -> Result<bool> {
    let claimed = sqlx::query!(
        "insert into job (name, claimant, lease, doing) values ($1, $2, $3, $4)
        on conflict (name) do update set claimant = excluded.claimant, lease = excluded.lease,
            doing = excluded.doing, touched = clock_timestamp()
        where job.claimant = excluded.claimant
            or job.touched < clock_timestamp() - $5::interval
            or not exists (select from lease l where l.id = job.lease)",
        name,
        claimant.id.cast_signed(),
        lease_number(claimant.lease),
        doing,
        interval(lasts)?
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(claimed.rows_affected() == 1)
}

pub(super) async fn jobs(pool: &PgPool) -> Result<Vec<JobRow>> {
    sqlx::query_as!(
        JobRow,
        r#"select name, doing,
            extract(epoch from clock_timestamp() - touched)::float8 as "silent_for!"
        from job order by name"#
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)
}
