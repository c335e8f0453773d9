//! Chunks: missing, freed, condemned.

use super::state::State;
use crate::meta::types::{BodyId, ChunkSet, Extent};
use crate::meta::{FREED_EXTENTS, FreedBody, Result};
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use std::time::Duration;

fn extents(state: &State) -> impl Iterator<Item = &Extent> {
    state.bodies.values().flat_map(|body| &body.extents)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn mark_missing(state: &mut State, extent: ExtentId, chunks: ChunkSet) -> Result<()> {
    let all = state.bodies.values_mut().flat_map(|body| &mut body.extents);
    for extent in all.filter(|candidate| candidate.id == extent) {
        extent.missing.0 |= chunks.0;
    }
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn degraded_extents(state: &mut State, limit: usize) -> Result<Vec<Extent>> {
    let degraded = extents(state).filter(|extent| extent.missing != ChunkSet(0));
    let mut degraded: Vec<_> = degraded.cloned().collect();
    degraded.sort_by_key(|extent| {
        let parity = i64::try_from(extent.scheme.parity_count()).unwrap_or(0);
        (parity - i64::from(extent.missing.0.count_ones()), extent.id)
    });
    degraded.truncate(limit);
    Ok(degraded)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn freed_bodies(
    state: &mut State,
    at_least: Duration,
    limit: usize,
) -> Result<Vec<FreedBody>> {
    let by_age = state.now() - at_least;
    // A read that began after its holder's last renewal is not published yet.
    let published = state.leases.values().map(|lease| {
        lease.oldest_read.map_or(lease.renewed, |oldest_read| oldest_read.min(lease.renewed))
    });
    let published = published.map(|oldest| oldest - at_least / 2);
    let before = published.fold(by_age, std::cmp::Ord::min);
    let mut freed: Vec<_> = state
        .bodies
        .iter()
        .filter_map(|(id, body)| Some((body.freed?, *id, body)))
        .filter(|(freed, ..)| *freed < before)
        .collect();
    freed.sort_by_key(|(freed, id, _)| (*freed, *id));
    Ok(freed
        .into_iter()
        .take(limit)
        .scan(0, |extents, freed| {
            let is_wanted = *extents < FREED_EXTENTS;
            *extents += freed.2.extents.len();
            is_wanted.then_some(freed)
        })
        .map(|(_, id, body)| FreedBody { id, extents: body.extents.clone() })
        .collect())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn forget_bodies(state: &mut State, bodies: &[BodyId]) -> Result<()> {
    state.bodies.retain(|id, body| body.freed.is_none() || !bodies.contains(id));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn condemned(
    state: &mut State,
    node: NodeNumber,
    copies: &[(ChunkName, LeaseId, CopyNumber)],
) -> Result<Vec<(ChunkName, CopyNumber)>> {
    let is_placed = |name: &ChunkName| {
        extents(state).any(|e| e.id == name.extent && e.placement[name.index.as_usize()] == node)
    };
    Ok(copies
        .iter()
        .filter(|(name, writer, _)| !state.leases.contains_key(writer) && !is_placed(name))
        .map(|(name, _, copy)| (*name, *copy))
        .collect())
}
