//! Chunks: missing, freed, condemned.

use super::state::State;
use crate::meta::types::{BodyId, ChunkSet, Extent, ExtentCursor, Move, RiskCursor};
use crate::meta::{FREED_EXTENTS, FreedBody, MetaError, Result};
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
pub(super) fn lose_chunks_on(
    state: &mut State,
    nodes: &[NodeNumber],
    after: Option<ExtentCursor>,
    limit: usize,
) -> Result<Option<ExtentCursor>> {
    let lost = |extent: &Extent| ChunkSet::of(|index| nodes.contains(&extent.placement[index]));
    let is_behind = |extent: &Extent| after.is_none_or(|after| extent.id > after.extent);
    let page = extents(state).filter(|extent| is_behind(extent) && lost(extent) != ChunkSet(0));
    let mut page: Vec<_> = page.map(|extent| (extent.id, lost(extent))).collect();
    page.sort_by_key(|(id, _)| *id);
    page.truncate(limit);
    for (id, chunks) in &page {
        mark_missing(state, *id, *chunks)?;
    }
    let last = page.last().filter(|_| page.len() >= limit);
    Ok(last.map(|(extent, _)| ExtentCursor { placement: 0, extent: *extent }))
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn degraded_extents(
    state: &mut State,
    after: Option<RiskCursor>,
    limit: usize,
) -> Result<Vec<Extent>> {
    let degraded = extents(state).filter(|extent| extent.missing != ChunkSet(0));
    let degraded = degraded.filter(|extent| after.is_none_or(|at| RiskCursor::of(extent) > at));
    let mut degraded: Vec<_> = degraded.cloned().collect();
    degraded.sort_by_key(RiskCursor::of);
    degraded.truncate(limit);
    Ok(degraded)
}

pub(super) fn move_chunks(state: &mut State, moved: Move) -> Result<bool> {
    if !state.leases.contains_key(&moved.lease) {
        return Err(MetaError::LeaseEnded);
    }
    let mut all = state.bodies.values_mut().flat_map(|body| &mut body.extents);
    let is_meant =
        |extent: &&mut Extent| extent.id == moved.extent && extent.placement == moved.from;
    let Some(extent) = all.find(is_meant) else { return Ok(false) };
    extent.placement = moved.to;
    extent.missing.0 &= !moved.healed.0;
    Ok(true)
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
