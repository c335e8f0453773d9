//! How jobs are, and what nodes found rotten.

use super::chunks::mark_missing;
use super::state::State;
use crate::meta::types::{Backlogs, ChunkSet, JobStanding, RiskCursor};
use crate::meta::{BACKLOG_LIMIT, Result};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, NodeNumber};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// What processes said, by process and job, and when.
pub(super) type Reports = BTreeMap<(String, String), (JobReport, OffsetDateTime)>;

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn report_jobs(state: &mut State, process: &str, reports: &[JobReport]) -> Result<()> {
    let now = state.now();
    for report in reports {
        let key = (process.to_owned(), report.name.clone());
        state.reports.insert(key, (report.clone(), now));
    }
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn job_standings(state: &mut State) -> Result<Vec<JobStanding>> {
    let now = state.now();
    let rows = state.reports.iter();
    Ok(rows
        .map(|((process, _), (report, at))| JobStanding {
            process: process.clone(),
            report: report.clone(),
            silent_for: (now - *at).as_seconds_f64(),
        })
        .collect())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn forget_jobs(state: &mut State, silent: Duration) -> Result<()> {
    let before = state.now() - silent;
    state.reports.retain(|_, (_, at)| *at >= before);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn backlogs(state: &mut State) -> Result<Backlogs> {
    let now = state.now();
    let ago = |at: Option<OffsetDateTime>| at.map_or(0.0, |at| (now - at).as_seconds_f64());
    let extents = state.bodies.values().flat_map(|body| &body.extents);
    let missing = extents.filter(|extent| extent.missing.0 != 0);
    let mut spare = missing.map(|extent| RiskCursor::of(extent).spare).collect::<Vec<_>>();
    spare.sort_unstable();
    spare.truncate(BACKLOG_LIMIT);
    let count = |is: fn(i32) -> bool| spare.iter().filter(|spare| is(**spare)).count() as u64;
    let freed = state.bodies.values().filter_map(|body| body.freed).collect::<Vec<_>>();
    let open = state.uploads.values().filter(|row| row.completed.is_none());
    let open = open.map(|row| row.upload.started).collect::<Vec<_>>();
    Ok(Backlogs {
        degraded: count(|spare| spare > 0),
        at_risk: count(|spare| spare == 0),
        unrecoverable: count(|spare| spare < 0),
        freed_bodies: freed.len().min(BACKLOG_LIMIT) as u64,
        freed_s_ago: ago(freed.into_iter().min()),
        uploads: open.len().min(BACKLOG_LIMIT) as u64,
        upload_s_ago: ago(open.into_iter().min()),
        leases: state.leases.len() as u64,
    })
}

pub(super) fn mark_rotten(state: &mut State, node: NodeNumber, chunks: &[ChunkName]) -> Result<()> {
    for name in chunks {
        let index = name.index.as_usize();
        let mut extents = state.bodies.values().flat_map(|body| &body.extents);
        let is_here = extents.any(|e| e.id == name.extent && e.placement[index] == node);
        if is_here {
            mark_missing(state, name.extent, ChunkSet::of(|other| other == index))?;
        }
    }
    Ok(())
}
