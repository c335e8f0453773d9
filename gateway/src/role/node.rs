//! `sixfold node`: the storage nodes.

use super::admin::Target;
use crate::meta::Meta;
use crate::meta::types::{NodeRow, NodeState};
use clap::Subcommand;

/// A node silent for longer is shown as such: three heartbeats.
const SILENT_SECONDS: f64 = 15.0;

/// What can be done with nodes.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All nodes that were ever registered
    List {
        /// The server
        #[command(flatten)]
        target: Target,
    },
}

/// Runs one of them.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let Command::List { target } = command;
    let rows = target.connect().await?.nodes().await?;
    if target.json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        println!("{:#}", serde_json::Value::from(rows));
        return Ok(());
    }
    println!("{:<6} {:<10} {:<12} {:<8} address", "node", "state", "zone", "silent");
    for row in &rows {
        let address = match row.address.as_deref() {
            None => "(embedded)",
            Some("") => "(another node has its address)",
            Some(address) => address,
        };
        let silent = format!("{:.0} s", row.silent_for);
        let state = if is_silent(row) { "silent" } else { state_name(row.state) };
        println!("{:<6} {state:<10} {:<12} {silent:<8} {address}", row.number.0, row.zone);
    }
    Ok(())
}

/// Whether it was heard of lately and its drive can be read.
pub(super) fn is_up(row: &NodeRow) -> bool {
    !is_silent(row) && !matches!(row.state, NodeState::Fenced | NodeState::Removed)
}

/// Its state is what was last heard of it, which no longer means much.
fn is_silent(row: &NodeRow) -> bool {
    row.state != NodeState::Removed && row.silent_for >= SILENT_SECONDS
}

/// A node for programs.
pub(super) fn as_json(row: &NodeRow) -> serde_json::Value {
    serde_json::json!({
        "number": row.number.0,
        "drive": row.drive.to_string(),
        "address": row.address,
        "zone": row.zone,
        "weight": row.weight,
        "state": state_name(row.state),
        "is_up": is_up(row),
        "silent_for_s": row.silent_for,
    })
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
    use super::{is_silent, is_up};
    use crate::meta::types::{NodeRow, NodeState};
    use sixfold_proto::name::NodeNumber;

    fn row(state: NodeState, silent_for: f64) -> NodeRow {
        NodeRow {
            number: NodeNumber(1),
            drive: uuid::Uuid::nil(),
            address: None,
            zone: "local".to_owned(),
            weight: 1.0,
            registration: 1,
            state,
            silent_for,
        }
    }

    #[test]
    fn a_full_node_is_up_and_a_silent_one_is_not() {
        for state in [NodeState::Active, NodeState::Full, NodeState::Draining] {
            assert!(is_up(&row(state, 4.0)), "{state:?}");
            assert!(!is_up(&row(state, 69.0)) && is_silent(&row(state, 69.0)), "{state:?}");
        }
        assert!(!is_up(&row(NodeState::Fenced, 4.0)));
        assert!(
            !is_up(&row(NodeState::Removed, 4.0)) && !is_silent(&row(NodeState::Removed, 99.0))
        );
    }
}
