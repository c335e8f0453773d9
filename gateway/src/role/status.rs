//! `sixfold status`: how the cluster is, from its rows.

use super::admin::Target;
use crate::meta::Meta;
use crate::meta::types::NodeState;

/// Degraded extents counted at most; more is said as "at least".
const DEGRADED_LIMIT: usize = 1000;

/// A node silent for longer is shown as such: three heartbeats.
const SILENT_SECONDS: f64 = 15.0;

/// Prints it.
pub async fn run(target: Target) -> anyhow::Result<()> {
    let pg = target.connect()?;
    let cluster = pg.cluster_id().await?;
    let nodes = pg.nodes().await?;
    let degraded = pg.degraded_extents(DEGRADED_LIMIT).await?.len();
    let is_up = |node: &&crate::meta::types::NodeRow| {
        node.state == NodeState::Active && node.silent_for < SILENT_SECONDS
    };
    let up = nodes.iter().filter(is_up).count();
    let registered = nodes.iter().filter(|node| node.state != NodeState::Removed).count();
    if target.json {
        let value = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cluster": cluster.to_string(),
            "nodes": nodes.iter().map(super::node::as_json).collect::<Vec<_>>(),
            "nodes_up": up,
            "nodes_registered": registered,
            "degraded_extents": degraded,
        });
        println!("{value:#}");
        return Ok(());
    }
    println!("cluster            {cluster}");
    println!("nodes              {up} of {registered} up");
    let more = if degraded == DEGRADED_LIMIT { "at least " } else { "" };
    println!("degraded extents   {more}{degraded}");
    Ok(())
}
