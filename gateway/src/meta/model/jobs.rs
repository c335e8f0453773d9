//! Jobs that one process does for all.

use super::state::State;
use crate::meta::Result;
use crate::meta::types::{Claimant, JobRow};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

/// The rows of jobs, by name.
pub(super) type Jobs = BTreeMap<String, (Claimant, String, OffsetDateTime)>;

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn claim_job(
    state: &mut State,
    name: &str,
    claimant: Claimant,
    doing: &str,
    lasts: Duration,
) -> Result<bool> {
    let now = state.now();
    if let Some((holder, _, touched)) = state.jobs.get(name) {
        let is_fresh = *touched >= now - lasts && state.leases.contains_key(&holder.lease);
        if holder.id != claimant.id && is_fresh {
            return Ok(false);
        }
    }
    state.jobs.insert(name.to_owned(), (claimant, doing.to_owned(), now));
    Ok(true)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn jobs(state: &mut State) -> Result<Vec<JobRow>> {
    let now = state.now();
    let row = |(name, (_, doing, touched)): (&String, &(Claimant, String, OffsetDateTime))| {
        let silent_for = (now - *touched).as_seconds_f64();
        JobRow { name: name.clone(), doing: doing.clone(), silent_for }
    };
    Ok(state.jobs.iter().map(row).collect())
}
