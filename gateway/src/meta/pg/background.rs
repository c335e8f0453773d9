//! How jobs are, and what nodes found rotten.

use super::columns::{node_number, size_from};
use super::error::from_sqlx;
use super::lease::interval;
use crate::meta::types::{Backlogs, JobStanding};
use crate::meta::{BACKLOG_LIMIT, Result};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, NodeNumber};
use sqlx::PgPool;
use std::time::Duration;

pub(super) async fn report_jobs(pool: &PgPool, process: &str, reports: &[JobReport]) -> Result<()> {
    let jobs = reports.iter().map(|report| report.name.clone()).collect::<Vec<_>>();
    let states = reports.iter().map(JobReport::to_json).collect::<Vec<_>>();
    sqlx::query!("select report_jobs_v1($1, $2, $3)", process, &jobs, &states)
        .fetch_one(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(())
}

/// A row that is no report is of a newer release, and passed by.
pub(super) async fn job_standings(pool: &PgPool) -> Result<Vec<JobStanding>> {
    let rows = sqlx::query!(
        r#"select process, state,
            extract(epoch from clock_timestamp() - reported)::float8 as "silent_for!"
        from job_state order by process, job"#
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let standing = |process, state: &str, silent_for| {
        let report = JobReport::from_json(state)?;
        Some(JobStanding { process, report, silent_for })
    };
    let rows = rows.into_iter();
    Ok(rows.filter_map(|row| standing(row.process, &row.state, row.silent_for)).collect())
}

pub(super) async fn forget_jobs(pool: &PgPool, silent: Duration) -> Result<()> {
    sqlx::query!(
        "delete from job_state where reported < clock_timestamp() - $1::interval",
        interval(silent)?
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(())
}

/// Each part reads one of the queues' indexes.
pub(super) async fn backlogs(pool: &PgPool) -> Result<Backlogs> {
    let row = sqlx::query!(
        r#"with missing as (
            select spare_v1(scheme, missing) as spare from extent where missing <> 0
            order by spare_v1(scheme, missing), id limit $1
        ), freed as (
            select freed_at from body where freed_at is not null order by freed_at limit $1
        ), open as (
            select from upload where completed_at is null limit $1
        )
        select
            (select count(*) from missing where spare > 0) as "degraded!",
            (select count(*) from missing where spare = 0) as "at_risk!",
            (select count(*) from missing where spare < 0) as "unrecoverable!",
            (select count(*) from freed) as "freed_bodies!",
            extract(epoch from clock_timestamp() - (select min(freed_at) from freed))::float8
                as freed_s_ago,
            (select count(*) from open) as "uploads!",
            extract(epoch from clock_timestamp() - (
                select started from upload where completed_at is null order by id limit 1
            ))::float8 as upload_s_ago,
            (select count(*) from lease) as "leases!""#,
        i64::try_from(BACKLOG_LIMIT).unwrap_or(i64::MAX)
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(Backlogs {
        degraded: size_from(row.degraded)?,
        at_risk: size_from(row.at_risk)?,
        unrecoverable: size_from(row.unrecoverable)?,
        freed_bodies: size_from(row.freed_bodies)?,
        freed_s_ago: row.freed_s_ago.unwrap_or(0.0),
        uploads: size_from(row.uploads)?,
        upload_s_ago: row.upload_s_ago.unwrap_or(0.0),
        leases: size_from(row.leases)?,
    })
}

pub(super) async fn mark_rotten(
    pool: &PgPool,
    node: NodeNumber,
    chunks: &[ChunkName],
) -> Result<()> {
    let extents = chunks.iter().map(|name| name.extent.to_uuid()).collect::<Vec<_>>();
    let indexes = chunks.iter().map(|name| i16::from(name.index.get())).collect::<Vec<_>>();
    let node = node_number(node)?;
    sqlx::query!("select mark_rotten_v1($1, $2, $3)", node, &extents, &indexes)
        .fetch_one(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(())
}
