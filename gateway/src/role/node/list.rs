//! `sixfold node list`.

use crate::meta::Meta;
use crate::meta::types::{NodeRow, NodeState};
use crate::role::admin::Target;
use crate::role::say::say;

/// A node silent for longer is shown as such: three heartbeats.
const SILENT_SECONDS: f64 = 15.0;

pub(super) async fn run(target: &Target) -> anyhow::Result<()> {
    let rows = target.connect().await?.nodes().await?;
    if target.json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        say!("{:#}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    say!(
        "{:<6} {:<10} {:<12} {:<7} {:<10} {:<8} address",
        "node",
        "state",
        "zone",
        "weight",
        "chunks",
        "silent"
    )?;
    for row in &rows {
        let address = match row.address.as_deref() {
            None => "(embedded)",
            Some("") => "(another node has its address)",
            Some(address) => address,
        };
        let silent = format!("{:.0} s", row.silent_for);
        let chunks = row.chunk_count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let (number, state, zone, weight) = (row.number.0, shown_state(row), &row.zone, row.weight);
        say!("{number:<6} {state:<10} {zone:<12} {weight:<7} {chunks:<10} {silent:<8} {address}")?;
    }
    Ok(())
}

/// Whether it was heard of lately and its drive can be read.
pub(in crate::role) fn is_up(row: &NodeRow) -> bool {
    !is_silent(row) && !matches!(row.state, NodeState::Fenced | NodeState::Removed)
}

/// Its state is what was last heard of it, which no longer means much.
fn is_silent(row: &NodeRow) -> bool {
    row.state != NodeState::Removed && row.silent_for >= SILENT_SECONDS
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
        "is_up": is_up(row),
        "is_drained": row.is_drained(),
        "chunks": row.chunk_count,
        "capacity_bytes": row.capacity_bytes,
        "free_bytes": row.free_bytes,
        "silent_for_s": row.silent_for,
    })
}

fn shown_state(row: &NodeRow) -> &'static str {
    match row {
        row if row.is_drained() => "drained",
        row if is_silent(row) => "silent",
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
    use super::{is_silent, is_up};
    use crate::meta::types::NodeState;

    #[test]
    fn a_full_node_is_up_and_a_silent_one_is_not() {
        for state in [NodeState::Active, NodeState::Full, NodeState::Draining] {
            assert!(is_up(&row(1, state, 4.0)), "{state:?}");
            let silent = row(1, state, 69.0);
            assert!(!is_up(&silent) && is_silent(&silent), "{state:?}");
        }
        assert!(!is_up(&row(1, NodeState::Fenced, 4.0)));
        let removed = row(1, NodeState::Removed, 99.0);
        assert!(!is_up(&removed) && !is_silent(&removed));
    }
}
