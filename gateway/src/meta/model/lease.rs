//! Leases.

use super::state::{Lease, State};
use crate::meta::{MetaError, Renewal, Result};
use crate::points::is_planted;
use crate::{chance, clock};
use sixfold_proto::name::LeaseId;
use std::time::Duration;

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn begin_lease(state: &mut State, _holder: &str) -> Result<LeaseId> {
    let id = LeaseId(chance::number());
    let renewed = state.now();
    state.leases.insert(id, Lease { renewed, oldest_read: None });
    Ok(id)
}

pub(super) fn renew_lease(
    state: &mut State,
    lease: LeaseId,
    oldest_read: Option<Duration>,
) -> Result<Renewal> {
    let database_time = state.now();
    let lease = state.leases.get_mut(&lease).ok_or(MetaError::LeaseEnded)?;
    lease.renewed = database_time;
    lease.oldest_read = oldest_read.map(|ago| database_time - ago);
    Ok(Renewal { database_time })
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn end_lease(state: &mut State, lease: LeaseId) -> Result<()> {
    state.leases.remove(&lease);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn end_expired_leases(
    state: &mut State,
    silent: Duration,
    limit: usize,
) -> Result<Vec<LeaseId>> {
    let is_by_own = is_planted("end_leases.by_own_clock");
    let now = if is_by_own { clock::now() } else { state.now() };
    let before = now - silent;
    let expired = state.leases.iter().filter(|(_, lease)| lease.renewed < before);
    let expired: Vec<_> = expired.map(|(id, _)| *id).take(limit).collect();
    state.leases.retain(|id, _| !expired.contains(id));
    Ok(expired)
}
