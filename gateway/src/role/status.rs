//! `sixfold status`: how the cluster is, from its rows.

use super::admin::Target;
use super::node;
use crate::meta::Meta;
use crate::meta::types::{JobRow, NodeState};

/// Degraded extents counted at most; more is said as "at least".
const DEGRADED_LIMIT: usize = 1000;

/// Prints it.
pub async fn run(target: Target) -> anyhow::Result<()> {
    let pg = target.connect().await?;
    let cluster = pg.cluster_id().await?;
    let nodes = pg.nodes().await?;
    let degraded = pg.degraded_extents(None, DEGRADED_LIMIT).await?.len();
    let jobs = pg.jobs().await?;
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
            "jobs": jobs.iter().map(job_as_json).collect::<Vec<_>>(),
        });
        println!("{value:#}");
        return Ok(());
    }
    println!("cluster            {cluster}");
    let full = if full > 0 { format!(", {full} full") } else { String::new() };
    println!("nodes              {up} of {registered} up{full}");
    let more = if degraded == DEGRADED_LIMIT { "at least " } else { "" };
    println!("degraded extents   {more}{degraded} found so far");
    if up < registered {
        println!("                   what only the silent nodes hold is not among them yet");
    }
    for JobRow { name, doing, silent_for } in &jobs {
        println!("{name:<18} {doing}, said {silent_for:.0} s ago");
    }
    Ok(())
}

fn job_as_json(job: &JobRow) -> serde_json::Value {
    serde_json::json!({
        "name": job.name,
        "doing": job.doing,
        "silent_for_s": job.silent_for,
    })
}
