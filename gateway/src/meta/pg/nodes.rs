//! The registry of nodes.

use crate::meta::types::{NodeRow, NodeState};
use crate::meta::{MetaError, Result};
use sixfold_proto::name::NodeNumber;
use sqlx::PgPool;

pub(super) async fn register_node(
    _pool: &PgPool,
    _drive: uuid::Uuid,
    _address: Option<&str>,
    _zone: &str,
    _weight: f64,
) -> Result<NodeRow> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

pub(super) async fn heartbeat(
    _pool: &PgPool,
    _node: NodeNumber,
    _registration: i64,
    _state: NodeState,
    _capacity_bytes: u64,
    _free_bytes: u64,
) -> Result<bool> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

pub(super) async fn nodes(_pool: &PgPool) -> Result<Vec<NodeRow>> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}

pub(super) async fn cluster_id(_pool: &PgPool) -> Result<uuid::Uuid> {
    Err(MetaError::Broken("nodes have no rows yet".to_owned()))
}
