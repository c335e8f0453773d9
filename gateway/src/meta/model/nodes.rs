//! The registry of nodes.

use super::state::State;
use crate::meta::types::{NodeRow, NodeState};
use crate::meta::{MetaError, Result};
use sixfold_proto::name::NodeNumber;

pub(super) fn register_node(
    _state: &mut State,
    _drive: uuid::Uuid,
    _address: Option<&str>,
    _zone: &str,
    _weight: f64,
) -> Result<NodeRow> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

pub(super) fn heartbeat(
    _state: &mut State,
    _node: NodeNumber,
    _registration: i64,
    _node_state: NodeState,
    _capacity_bytes: u64,
    _free_bytes: u64,
) -> Result<bool> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

pub(super) fn nodes(_state: &mut State) -> Result<Vec<NodeRow>> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

pub(super) fn cluster_id(_state: &mut State) -> Result<uuid::Uuid> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

/// The rows of nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {}
