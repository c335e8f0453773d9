//! `sixfold node`: the storage nodes.

use super::admin::Target;
use crate::meta::Meta;
use crate::meta::types::{NodeRow, NodeState};
use clap::Subcommand;

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
    let rows = target.connect()?.nodes().await?;
    if target.json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        println!("{:#}", serde_json::Value::from(rows));
        return Ok(());
    }
    println!("{:<6} {:<10} {:<12} {:<8} address", "node", "state", "zone", "silent");
    for row in &rows {
        let address = row.address.as_deref().unwrap_or("(embedded)");
        let silent = format!("{:.0} s", row.silent_for);
        let state = state_name(row.state);
        println!("{:<6} {state:<10} {:<12} {silent:<8} {address}", row.number.0, row.zone);
    }
    Ok(())
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
