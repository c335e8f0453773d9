//! `sixfold status`: how the cluster is, from its rows.

use super::admin::Target;
use super::node;
use crate::jobs::CHECK;
use crate::meta::Meta;
use crate::meta::checks::Checks;
use crate::meta::types::{JobRow, JobStanding, NodeState};
use crate::role::say::say;
use sixfold_proto::jobs::BREAKERS;

/// Degraded extents counted at most; more is said as "at least".
const DEGRADED_LIMIT: usize = 1000;

/// A gateway that told nothing for longer is not heard: three reports.
const SILENT_SECONDS: f64 = 15.0;

/// Prints it.
pub async fn run(target: Target) -> anyhow::Result<()> {
    let pg = target.connect().await?;
    let cluster = pg.cluster_id().await?;
    let nodes = pg.nodes().await?;
    let degraded = pg.degraded_extents(None, DEGRADED_LIMIT).await?.len();
    let mut jobs = pg.jobs().await?;
    if pg.next_check().await?.is_none() {
        // What a check said last is no news once it has ended.
        jobs.retain(|job| job.name != CHECK);
    }
    let breakers = breakers(pg.job_standings().await?);
    let up = nodes.iter().filter(|row| node::is_up(row)).count();
    let full = nodes.iter().filter(|row| row.state == NodeState::Full).count();
    let registered = nodes.iter().filter(|node| node.state != NodeState::Removed).count();
    if target.json {
        let value = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cluster": cluster.to_string(),
            "nodes": nodes.iter().map(node::as_json).collect::<Vec<_>>(),
            "nodes_up": up,
            "nodes_registered": registered,
            "nodes_full": full,
            "degraded_extents": degraded,
            "breakers": breakers.iter().cloned().collect::<serde_json::Map<_, _>>(),
            "jobs": jobs.iter().map(job_as_json).collect::<Vec<_>>(),
        });
        say!("{value:#}")?;
        return Ok(());
    }
    say!("cluster            {cluster}")?;
    let full = if full > 0 { format!(", {full} full") } else { String::new() };
    say!("nodes              {up} of {registered} up{full}")?;
    let more = if degraded == DEGRADED_LIMIT { "at least " } else { "" };
    say!("degraded extents   {more}{degraded} found so far")?;
    if up < registered {
        say!("                   what only the silent nodes hold is not among them yet")?;
    }
    for (process, told) in &breakers {
        say!("circuit breakers   {} in {process}", told.as_str().unwrap_or_default())?;
    }
    for JobRow { name, doing, silent_for } in &jobs {
        say!("{name:<18} {doing}, said {silent_for:.0} s ago")?;
    }
    Ok(())
}

/// What each gateway that lives last told of its breakers.
fn breakers(standings: Vec<JobStanding>) -> Vec<(String, serde_json::Value)> {
    let lately = |standing: &JobStanding| {
        standing.report.name == BREAKERS && standing.silent_for < SILENT_SECONDS
    };
    let told = standings.into_iter().filter(lately);
    told.map(|standing| (standing.process, standing.report.result.into())).collect()
}

fn job_as_json(job: &JobRow) -> serde_json::Value {
    serde_json::json!({
        "name": job.name,
        "doing": job.doing,
        "silent_for_s": job.silent_for,
    })
}
