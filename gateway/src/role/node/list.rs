//! `sixfold node list`.

use crate::meta::Meta;
use crate::meta::types::{NodeRow, NodeState};
use crate::nodes::NodeLimits;
use crate::role::admin::Target;
use crate::role::say::say;

pub(super) async fn run(target: &Target) -> anyhow::Result<()> {
    let rows = target.connect().await?.nodes().await?;
    if target.json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        say!("{:#}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    say!(
        "{:<6} {:<10} {:<12} {:<7} {:<10} {:<10} address",
        "node",
        "state",
        "zone",
        "weight",
        "chunks",
        "heard"
    )?;
    for row in &rows {
        let address = match row.address.as_deref() {
            None => "(embedded)",
            Some("") => "(another node has its address)",
            Some(address) => address,
        };
        let heard = format!("{:.0} s ago", row.silent_for);
        let chunks = row.chunk_count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let (number, state, zone, weight) = (row.number.0, shown_state(row), &row.zone, row.weight);
        say!("{number:<6} {state:<10} {zone:<12} {weight:<7} {chunks:<10} {heard:<10} {address}")?;
    }
    Ok(())
}

/// Whether it was heard of lately and its drive can be read.
pub(in crate::role) fn is_up(row: &NodeRow) -> bool {
    row.silent_for < dead_after_s() && !matches!(row.state, NodeState::Fenced | NodeState::Removed)
}

/// Without a heartbeat for so long a node is dead, as gateways have it by default.
fn dead_after_s() -> f64 {
    NodeLimits::default().dead_after.as_secs_f64()
}

/// A node for programs.
pub(in crate::role) fn as_json(row: &NodeRow) -> serde_json::Value {
    serde_json::json!({
        "number": row.number.0,
        "drive": row.drive.to_string(),
        "address": row.address,
        "zone": row.zone,
        "weight": row.weight,
        "seat": row.seat.0,
        "state": state_name(row.state),
        "shown_state": shown_state(row),
        "is_up": is_up(row),
        "is_drained": row.is_drained(),
        "chunks": row.chunk_count,
        "capacity_bytes": row.capacity_bytes,
        "free_bytes": row.free_bytes,
        "silent_for_s": row.silent_for,
    })
}

/// As the metric `sixfold_node_state` has it, as far as the rows know: what a node that is silent or
/// dead last said of itself means little.
fn shown_state(row: &NodeRow) -> &'static str {
    match row {
        row if row.state == NodeState::Removed => "removed",
        row if row.silent_for >= dead_after_s() => "dead",
        row if row.silent_for >= NodeLimits::default().silent_after.as_secs_f64() => "silent",
        row if row.is_drained() => "drained",
        row => state_name(row.state),
    }
}

/// A state as the rows have it.
fn state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Full => "full",
        NodeState::Fenced => "fenced",
        NodeState::Removed => "removed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::{is_up, shown_state};
    use crate::meta::Meta;
    use crate::meta::model::Model;
    use crate::meta::types::{NodeCondition, NodeState};
    use crate::metrics::node_state;
    use crate::nodes::fake::{FakeNode, Faults};
    use crate::nodes::{Directory, Entry};
    use sixfold_proto::name::NodeNumber;
    use std::sync::Arc;
    use std::time::Duration;

    /// An embedded node whose drive hangs sends no heartbeat, because that looks at the drive: the
    /// list, the count of those that are up, and the metric say the same of it.
    #[tokio::test(start_paused = true)]
    async fn f06_a_hung_drive_of_a_server_is_shown_as_dead_everywhere() {
        let model = Arc::new(Model::new());
        let mut embedded = std::collections::HashMap::new();
        let mut rows = Vec::new();
        for number in [1, 2].map(NodeNumber) {
            rows.push(model.register_node(uuid::Uuid::new_v4(), None, "a", 1.0).await.unwrap());
            let node = FakeNode::new(number);
            node.fail(Faults { hangs: number.0 == 1, ..Faults::default() });
            embedded.insert(number, node as Arc<dyn sixfold_proto::chunks::Chunks>);
        }
        let cluster = model.cluster_id().await.unwrap();
        let meta: Arc<dyn Meta> = model.clone();
        let directory = Directory::new(cluster, meta, embedded);
        let mut seen = Vec::new();
        for _ in 0..6 {
            directory.refresh().await.unwrap();
            let known = model.nodes().await.unwrap();
            let snapshot = directory.snapshot();
            let metrics = snapshot.entries().map(node_state);
            let metrics = metrics.map(|state| if state == "alive" { "active" } else { state });
            let metrics = metrics.collect::<Vec<_>>();
            assert_eq!(metrics, known.iter().map(shown_state).collect::<Vec<_>>());
            let dead = metrics.iter().filter(|state| **state == "dead").count();
            let up = known.iter().filter(|row| is_up(row)).count();
            assert_eq!(up, known.len() - dead);
            // What a write or a read asks for is not decided by it.
            assert!(snapshot.entries().all(Entry::is_reachable));
            seen.push(metrics);
            tokio::time::advance(Duration::from_secs(5)).await;
            let state = NodeState::Active;
            let beat = NodeCondition { state, capacity_bytes: 1, free_bytes: 1, chunk_count: 0 };
            model.heartbeat(NodeNumber(2), rows[1].registration, beat).await.unwrap();
        }
        let first = seen.iter().map(|states| states[0]).collect::<Vec<_>>();
        assert_eq!(first, ["active", "active", "silent", "dead", "dead", "dead"]);
        assert!(seen.iter().all(|states| states[1] == "active"), "{seen:?}");
    }

    #[test]
    fn a_full_node_is_up_and_a_dead_one_is_not() {
        for state in [NodeState::Active, NodeState::Full, NodeState::Draining] {
            assert!(is_up(&row(1, state, 4.0)), "{state:?}");
            let silent = row(1, state, 12.0);
            assert!(is_up(&silent) && shown_state(&silent) == "silent", "{state:?}");
            let dead = row(1, state, 69.0);
            assert!(!is_up(&dead) && shown_state(&dead) == "dead", "{state:?}");
        }
        assert!(!is_up(&row(1, NodeState::Fenced, 4.0)));
        let removed = row(1, NodeState::Removed, 99.0);
        assert!(!is_up(&removed) && shown_state(&removed) == "removed");
    }
}
