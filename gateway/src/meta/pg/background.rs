//! How jobs are, and what nodes found rotten.

use super::columns::node_number;
use super::error::from_sqlx;
use super::lease::interval;
use crate::meta::Result;
use crate::meta::types::JobStanding;
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
