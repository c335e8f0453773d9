//! Marks what nodes had that are gone, and what can't wait for dead ones to come back.

use super::lock;
use crate::meta::types::{ExtentCursor, Lost};
use crate::meta::{Meta, MetaError};
use sixfold_proto::name::NodeNumber;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Extents whose chunks are marked by one statement.
pub(super) const PER_STATEMENT: usize = 1000;

/// How long one unit of work marks: there may be a million extents, and those that are known to be
/// at risk must not wait for the last.
const SLICE: Duration = Duration::from_secs(1);

/// A gateway with an old view may place a chunk on a node just after that was marked.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// While nodes are dead, more extents may come to be at risk.
const LOOK_AGAIN_AT_RISK: Duration = Duration::from_mins(1);

/// How far a walk over what these nodes had has come.
#[derive(Clone, Default)]
struct Walk {
    nodes: Vec<NodeNumber>,
    after: Option<ExtentCursor>,
    finished: Option<Instant>,
}

/// Both walks.
#[derive(Default)]
pub(super) struct Marking {
    gone: Mutex<Walk>,
    at_risk: Mutex<Walk>,
}

impl Marking {
    /// Marks what was on nodes that are `gone`, and before that what can't wait for the `dead`
    /// ones. `false`: there is more.
    pub(super) async fn mark(
        &self,
        meta: &dyn Meta,
        gone: Vec<NodeNumber>,
        dead: Vec<NodeNumber>,
    ) -> Result<bool, MetaError> {
        let until = Instant::now() + SLICE;
        Ok(mark_on(&self.at_risk, meta, dead, Lost::AtRisk, until).await?
            && mark_on(&self.gone, meta, gone, Lost::Every, until).await?)
    }
}

async fn mark_on(
    walk: &Mutex<Walk>,
    meta: &dyn Meta,
    nodes: Vec<NodeNumber>,
    lost: Lost,
    until: Instant,
) -> Result<bool, MetaError> {
    loop {
        let Some(begun) = begin(&mut lock(walk), &nodes, lost) else { return Ok(true) };
        let after = meta.lose_chunks_on(&nodes, lost, begun.after, PER_STATEMENT).await?;
        let finished = after.is_none().then(Instant::now);
        *lock(walk) = Walk { nodes: nodes.clone(), after, finished };
        if finished.is_some() || Instant::now() >= until {
            return Ok(finished.is_some());
        }
    }
}

/// Where to go on with these nodes; `None` when they are done with.
fn begin(walk: &mut Walk, nodes: &[NodeNumber], lost: Lost) -> Option<Walk> {
    let again = if lost == Lost::AtRisk { LOOK_AGAIN_AT_RISK } else { LOOK_AGAIN };
    let is_over = walk.finished.is_some_and(|at| at.elapsed() >= again);
    if walk.nodes != nodes || is_over {
        *walk = Walk { nodes: nodes.to_vec(), ..Walk::default() };
    }
    (!nodes.is_empty() && walk.finished.is_none()).then(|| walk.clone())
}
