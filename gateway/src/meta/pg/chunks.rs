//! Chunks: missing, freed, condemned.

use crate::meta::types::{BodyId, ChunkSet, Extent};
use crate::meta::{FreedBody, MetaError, Result};
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use sqlx::PgPool;
use std::time::Duration;

pub(super) async fn mark_missing(
    _pool: &PgPool,
    _extent: ExtentId,
    _chunks: ChunkSet,
) -> Result<()> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) async fn degraded_extents(_pool: &PgPool, _limit: usize) -> Result<Vec<Extent>> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) async fn freed_bodies(
    _pool: &PgPool,
    _at_least: Duration,
    _limit: usize,
) -> Result<Vec<FreedBody>> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) async fn forget_bodies(_pool: &PgPool, _bodies: &[BodyId]) -> Result<()> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}

pub(super) async fn condemned(
    _pool: &PgPool,
    _node: NodeNumber,
    _copies: &[(ChunkName, LeaseId, CopyNumber)],
) -> Result<Vec<(ChunkName, CopyNumber)>> {
    Err(MetaError::Broken("chunks have no rows yet".to_owned()))
}
