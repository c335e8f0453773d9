//! Chunks: missing, freed, condemned.

use super::state::{Body, State};
use crate::meta::types::{BodyId, ChunkSet, Extent, ExtentCursor, Lost, Move, Placed, RiskCursor};
use crate::meta::{FREED_EXTENTS, FreedBody, LOST_LIMIT, MetaError, Result};
use crate::points::is_planted;
use sixfold_proto::name::{ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use std::collections::BTreeSet;
use std::time::Duration;
use time::OffsetDateTime;

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
    lost: Lost,
    after: Option<ExtentCursor>,
    limit: usize,
) -> Result<Option<ExtentCursor>> {
    let on_them = |extent: &Extent| ChunkSet::of(|index| nodes.contains(&extent.placement[index]));
    let is_behind = |extent: &Extent| after.is_none_or(|after| extent.id > after.extent);
    let page = extents(state).filter(|extent| is_behind(extent) && on_them(extent) != ChunkSet(0));
    let mut page: Vec<_> = page.cloned().collect();
    page.sort_by_key(|extent| extent.id);
    page.truncate(limit);
    for extent in &page {
        let missing = ChunkSet(extent.missing.0 | on_them(extent).0);
        let without = Extent { missing, ..extent.clone() };
        if lost == Lost::Every || RiskCursor::of(&without).spare == 0 {
            mark_missing(state, extent.id, missing)?;
        }
    }
    let last = page.last().filter(|_| page.len() >= limit);
    Ok(last.map(|extent| ExtentCursor { placement: 0, extent: extent.id }))
}

/// How many extents, counted to a limit, could not be read any more without `node`.
pub(super) fn lost_without(state: &State, node: NodeNumber) -> usize {
    let is_gone = |number: NodeNumber| number == node || state.nodes.is_removed(number);
    let bodies = state.bodies.values().filter(|body| body.freed.is_none());
    let on_it = bodies.flat_map(|body| &body.extents).filter(|e| e.placement.contains(&node));
    let is_lost = |extent: &&Extent| {
        let gone = ChunkSet::of(|index| is_gone(extent.placement[index]));
        let missing = ChunkSet(extent.missing.0 | gone.0);
        RiskCursor::of(&Extent { missing, ..(*extent).clone() }).spare < 0
    };
    on_it.filter(is_lost).take(LOST_LIMIT).count()
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

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn placed_extents(
    state: &mut State,
    placed: Placed<'_>,
    after: Option<ExtentCursor>,
    limit: usize,
) -> Result<Vec<(ExtentCursor, Extent)>> {
    let is_crowded = |extent: &Extent| BTreeSet::from(extent.placement).len() < 6;
    let is_meant = |extent: &&Extent| match placed {
        Placed::On(nodes) => extent.placement.iter().any(|node| nodes.contains(node)),
        Placed::Crowded => is_crowded(extent),
        Placed::Anywhere => true,
    };
    let is_behind = |extent: &&Extent| after.is_none_or(|after| extent.id > after.extent);
    let mut page: Vec<_> = extents(state).filter(is_meant).filter(is_behind).cloned().collect();
    page.sort_by_key(|extent| extent.id);
    page.truncate(limit);
    let at = |extent: &Extent| ExtentCursor { placement: 0, extent: extent.id };
    Ok(page.into_iter().map(|extent| (at(&extent), extent)).collect())
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
    if moved.to != moved.from {
        let now = state.now();
        state.moved.insert(moved.extent, now);
    }
    Ok(true)
}

/// What was given up before this moment has been so for `at_least`, and no running read began with
/// it.
fn unread_since(state: &mut State, at_least: Duration) -> OffsetDateTime {
    let by_age = state.now() - at_least;
    if is_planted("collect.by_age") {
        return by_age;
    }
    // A read that began after its holder's last renewal is not published yet.
    let published = state.leases.values().map(|lease| {
        lease.oldest_read.map_or(lease.renewed, |oldest_read| oldest_read.min(lease.renewed))
    });
    let published = published.map(|oldest| oldest - at_least / 2);
    published.fold(by_age, std::cmp::Ord::min)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn freed_bodies(
    state: &mut State,
    at_least: Duration,
    limit: usize,
) -> Result<Vec<FreedBody>> {
    let before = unread_since(state, at_least);
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
    let State { bodies: all, leases, moved, forgotten, .. } = state;
    let is_meant = |id: &BodyId, body: &Body| body.freed.is_some() && bodies.contains(id);
    let gone = all.iter().filter(|(id, body)| is_meant(id, body)).flat_map(|(_, b)| &b.extents);
    forgotten.extend(gone.map(|extent| extent.id).filter(|id| moved.contains_key(id)));
    forgotten.retain(|id| leases.contains_key(&id.lease()));
    all.retain(|id, body| !is_meant(id, body));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn condemned(
    state: &mut State,
    node: NodeNumber,
    copies: &[(ChunkName, LeaseId, CopyNumber)],
    kept: Duration,
) -> Result<Vec<(ChunkName, CopyNumber)>> {
    let before = unread_since(state, kept);
    let row = |name: &ChunkName| extents(state).find(|extent| extent.id == name.extent);
    let is_over = |name: &ChunkName, writer: &LeaseId| {
        let is_committed = row(name).is_some() || state.forgotten.contains(&name.extent);
        is_planted("sweep.lease_unchecked")
            || !state.leases.contains_key(writer)
            || *writer == name.extent.lease() && is_committed
    };
    let is_unwanted = |name: &ChunkName| {
        is_planted("sweep.rows_unchecked")
            || row(name).is_none_or(|extent| {
                let is_read = state.moved.get(&extent.id).is_some_and(|moved| *moved >= before);
                extent.placement[name.index.as_usize()] != node && !is_read
            })
    };
    Ok(copies
        .iter()
        .filter(|(name, writer, _)| is_over(name, writer) && is_unwanted(name))
        .map(|(name, _, copy)| (*name, *copy))
        .collect())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn unplaced(
    state: &mut State,
    node: NodeNumber,
    chunks: &[ChunkName],
) -> Result<Vec<ChunkName>> {
    let is_placed = |name: &ChunkName| {
        extents(state).any(|extent| {
            extent.id == name.extent && extent.placement[name.index.as_usize()] == node
        })
    };
    Ok(chunks.iter().filter(|name| !is_placed(name)).copied().collect())
}
