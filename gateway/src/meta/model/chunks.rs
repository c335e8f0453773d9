//! Chunks: missing, freed, condemned.

use super::state::State;
use crate::meta::types::{BodyId, ChunkSet, Extent};
use crate::meta::{FreedBody, MetaError, Result};
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use std::time::Duration;

pub(super) fn mark_missing(_state: &mut State, _extent: ExtentId, _chunks: ChunkSet) -> Result<()> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) fn degraded_extents(_state: &mut State, _limit: usize) -> Result<Vec<Extent>> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) fn freed_bodies(
    _state: &mut State,
    _at_least: Duration,
    _limit: usize,
) -> Result<Vec<FreedBody>> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) fn forget_bodies(_state: &mut State, _bodies: &[BodyId]) -> Result<()> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) fn condemned(
    _state: &mut State,
    _node: NodeNumber,
    _copies: &[(ChunkName, LeaseId, CopyNumber)],
) -> Result<Vec<(ChunkName, CopyNumber)>> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}
