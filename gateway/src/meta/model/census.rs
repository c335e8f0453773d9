//! What a simulation counts when it is over.

use super::state::State;
use crate::meta::types::{BodyId, Extent};
use std::collections::BTreeMap;

/// The rows that chunks and processes are compared with.
pub(crate) struct Census {
    /// The extents of bodies that something refers to.
    pub(crate) live: Vec<Extent>,
    /// Bodies that wait to be collected.
    pub(crate) freed: usize,
    /// Bodies whose count of references is wrong: the count and what it should be.
    pub(crate) miscounted: Vec<(BodyId, u32, u32)>,
}

pub(super) fn census(state: &State) -> Census {
    let mut references = BTreeMap::<BodyId, u32>::new();
    let versions = state.versions.values().flatten().filter_map(|version| version.body);
    let parts = state.uploads.values().flat_map(|row| row.parts.values());
    for body in versions.chain(parts.filter_map(|part| part.body)) {
        *references.entry(body).or_default() += 1;
    }
    let is_live = |id: &BodyId| references.contains_key(id);
    let counted = |id: &BodyId| references.get(id).copied().unwrap_or(0);
    Census {
        live: state
            .bodies
            .iter()
            .filter(|(id, _)| is_live(id))
            .flat_map(|(_, body)| body.extents.clone())
            .collect(),
        freed: state.bodies.values().filter(|body| body.freed.is_some()).count(),
        miscounted: state
            .bodies
            .iter()
            .filter(|(id, body)| body.refs != counted(id))
            .map(|(id, body)| (*id, body.refs, counted(id)))
            .collect(),
    }
}
