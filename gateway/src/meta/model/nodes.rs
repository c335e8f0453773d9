//! The registry of nodes.

use super::chunks;
use super::state::State;
use crate::chance;
use crate::meta::types::{Heir, NodeCondition, NodeRow, NodeState, Removal, RemoveNode};
use crate::meta::{MetaError, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use sixfold_proto::name::NodeNumber;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use uuid::Uuid;

/// The rows of nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    rows: BTreeMap<NodeNumber, (NodeRow, OffsetDateTime)>,
    cluster: Option<Uuid>,
    /// Weights that an operator set.
    weights: BTreeMap<NodeNumber, f64>,
    /// Removed nodes whose seats wait for new drives.
    awaited: BTreeSet<NodeNumber>,
    changes: watch::Sender<()>,
}

impl Nodes {
    fn members(&self) -> impl Iterator<Item = &NodeRow> {
        let rows = self.rows.values().map(|(row, _)| row);
        rows.filter(|row| row.state != NodeState::Removed)
    }

    pub(super) fn is_removed(&self, node: NodeNumber) -> bool {
        self.rows.get(&node).is_some_and(|(row, _)| row.state == NodeState::Removed)
    }
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
    let is_new = number.is_none();
    let number = number.unwrap_or(NodeNumber(last + 1));
    let row = NodeRow {
        number,
        drive,
        address: address.map(str::to_owned),
        zone: zone.to_owned(),
        weight: state.nodes.weights.get(&number).copied().unwrap_or(weight),
        seat: known.as_ref().map_or(number, |(row, _)| row.seat),
        chunk_count: None,
        capacity_bytes: known.as_ref().map_or(0, |(row, _)| row.capacity_bytes),
        free_bytes: known.as_ref().map_or(0, |(row, _)| row.free_bytes),
        registration: known.as_ref().map_or(1, |(row, _)| row.registration + 1),
        state: known.map_or(NodeState::Active, |(row, _)| kept(row.state, NodeState::Active)),
        silent_for: 0.0,
    };
    state.nodes.rows.insert(number, (row, now));
    if is_new && let Some(awaited) = state.nodes.awaited.first().copied() {
        take_seat(&mut state.nodes, awaited, number);
    }
    state.nodes.changes.send_replace(());
    let registered = state.nodes.rows.get(&number).map(|(row, _)| row.clone());
    registered.ok_or_else(|| MetaError::Broken("a node without a row".to_owned()))
}

/// Seat and weight of `old` become those of `new`.
fn take_seat(nodes: &mut Nodes, old: NodeNumber, new: NodeNumber) {
    let Some((seat, weight)) = nodes.rows.get(&old).map(|(row, _)| (row.seat, row.weight)) else {
        return;
    };
    let Nodes { rows, awaited, .. } = nodes;
    awaited.retain(|number| rows.get(number).is_some_and(|(row, _)| row.seat != seat));
    if let Some((row, _)) = nodes.rows.get_mut(&new) {
        (row.seat, row.weight) = (seat, weight);
        nodes.weights.insert(new, weight);
    }
}

fn member(nodes: &mut Nodes, node: NodeNumber) -> Option<&mut NodeRow> {
    let row = nodes.rows.get_mut(&node).map(|(row, _)| row);
    row.filter(|row| row.state != NodeState::Removed)
}

pub(super) fn set_node_state(
    state: &mut State,
    node: NodeNumber,
    node_state: NodeState,
) -> Result<bool> {
    if !matches!(node_state, NodeState::Active | NodeState::Draining) {
        let broken = format!("an operator does not decide that a node is {node_state:?}");
        return Err(MetaError::Broken(broken));
    }
    let Some(row) = member(&mut state.nodes, node) else { return Ok(false) };
    if row.state != node_state && node_state == NodeState::Draining {
        row.chunk_count = None;
    }
    row.state = node_state;
    state.nodes.changes.send_replace(());
    Ok(true)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn set_node_weight(state: &mut State, node: NodeNumber, weight: f64) -> Result<bool> {
    let Some(row) = member(&mut state.nodes, node) else { return Ok(false) };
    row.weight = weight;
    state.nodes.weights.insert(node, weight);
    state.nodes.changes.send_replace(());
    Ok(true)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn remove_node(state: &mut State, removal: RemoveNode) -> Result<Removal> {
    let RemoveNode { node, heir, may_lose } = removal;
    let Some((seat, node_state)) = state.nodes.rows.get(&node).map(|(r, _)| (r.seat, r.state))
    else {
        return Ok(Removal::Absent);
    };
    let is_removed = node_state == NodeState::Removed;
    let is_there = match heir {
        Heir::Nobody => !is_removed,
        Heir::NextDrive => true,
        Heir::Node(new) => new != node && member(&mut state.nodes, new).is_some(),
    };
    if !is_there {
        return Ok(Removal::Absent);
    }
    if is_removed && state.nodes.members().any(|row| row.seat == seat) {
        return Ok(Removal::SeatTaken);
    }
    if !is_removed && !may_lose {
        let lost = chunks::lost_without(state, node);
        if lost > 0 {
            return Ok(Removal::Loses(lost));
        }
    }
    let nodes = &mut state.nodes;
    if let Some(row) = member(nodes, node) {
        row.state = NodeState::Removed;
    }
    match heir {
        Heir::Nobody => {}
        Heir::NextDrive => drop(nodes.awaited.insert(node)),
        Heir::Node(new) => take_seat(nodes, node, new),
    }
    nodes.changes.send_replace(());
    Ok(Removal::Done)
}

pub(super) fn registry_changes(state: &State) -> BoxStream<'static, ()> {
    WatchStream::new(state.nodes.changes.subscribe()).boxed()
}

pub(super) fn heartbeat(
    state: &mut State,
    node: NodeNumber,
    registration: i64,
    condition: NodeCondition,
) -> Result<Option<NodeState>> {
    let node_state = condition.state;
    if node_state == NodeState::Removed {
        return Err(MetaError::Broken("a node can't say of itself that it is removed".to_owned()));
    }
    let now = state.now();
    let Some((row, heard)) = state.nodes.rows.get_mut(&node) else { return Ok(None) };
    if row.registration != registration {
        return Ok(None);
    }
    *heard = now;
    let is_told = row.state != NodeState::Draining || node_state == NodeState::Draining;
    row.chunk_count = is_told.then_some(condition.chunk_count);
    (row.capacity_bytes, row.free_bytes) = (condition.capacity_bytes, condition.free_bytes);
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
    Ok(*state.nodes.cluster.get_or_insert_with(chance::uuid))
}
