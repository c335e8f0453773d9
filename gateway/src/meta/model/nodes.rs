//! The registry of nodes.

use super::state::State;
use crate::meta::types::{NodeRow, NodeState};
use crate::meta::{MetaError, Result};
use sixfold_proto::name::NodeNumber;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// The rows of nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    rows: BTreeMap<NodeNumber, (NodeRow, OffsetDateTime)>,
    cluster: Option<Uuid>,
}

pub(super) fn register_node(
    state: &mut State,
    drive: Uuid,
    address: Option<&str>,
    zone: &str,
    weight: f64,
) -> Result<NodeRow> {
    if weight.is_nan() || weight <= 0.0 {
        return Err(MetaError::Broken("a weight that is not above 0".to_owned()));
    }
    let now = state.now();
    let known = state.nodes.rows.values().find(|(row, _)| row.drive == drive);
    let number = known.map(|(row, _)| row.number);
    let known = known.cloned();
    if let Some(address) = address {
        let others = state.nodes.rows.values_mut().filter(|(row, _)| Some(row.number) != number);
        for (other, _) in others.filter(|(row, _)| row.address.as_deref() == Some(address)) {
            other.address = Some(String::new());
        }
    }
    let last = state.nodes.rows.keys().next_back().map_or(0, |number| number.0);
    let row = NodeRow {
        number: number.unwrap_or(NodeNumber(last + 1)),
        drive,
        address: address.map(str::to_owned),
        zone: zone.to_owned(),
        weight,
        registration: known.as_ref().map_or(1, |(row, _)| row.registration + 1),
        state: known.map_or(NodeState::Active, |(row, _)| kept(row.state, NodeState::Active)),
        silent_for: 0.0,
    };
    state.nodes.rows.insert(row.number, (row.clone(), now));
    Ok(row)
}

pub(super) fn heartbeat(
    state: &mut State,
    node: NodeNumber,
    registration: i64,
    node_state: NodeState,
    _capacity_bytes: u64,
    _free_bytes: u64,
) -> Result<Option<NodeState>> {
    if node_state == NodeState::Removed {
        return Err(MetaError::Broken("a node can't say of itself that it is removed".to_owned()));
    }
    let now = state.now();
    let Some((row, heard)) = state.nodes.rows.get_mut(&node) else { return Ok(None) };
    if row.registration != registration {
        return Ok(None);
    }
    *heard = now;
    if node_state != NodeState::Draining {
        row.state = kept(row.state, node_state);
    }
    Ok(Some(row.state))
}

/// What an operator decided stays, whatever the node says.
fn kept(old: NodeState, new: NodeState) -> NodeState {
    if matches!(old, NodeState::Draining | NodeState::Removed) { old } else { new }
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn nodes(state: &mut State) -> Result<Vec<NodeRow>> {
    let now = state.now();
    let rows = state.nodes.rows.values();
    Ok(rows
        .map(|(row, heard)| NodeRow { silent_for: (now - *heard).as_seconds_f64(), ..row.clone() })
        .collect())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn cluster_id(state: &mut State) -> Result<Uuid> {
    Ok(*state.nodes.cluster.get_or_insert_with(Uuid::new_v4))
}
