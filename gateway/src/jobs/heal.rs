//! Makes missing chunks anew: those that a write went without, those that readers found missing or
//! damaged, and those of nodes that are gone.
//!
//! A unit of work is a page of the degraded extents, at risk first. What can't be healed now, for
//! want of a node or of chunks, is passed by until the next round.

use super::{Job, JobPace, Mover, Paces, Progress, lock};
use crate::data::ReadError;
use crate::meta::Meta;
use crate::meta::types::{Extent, ExtentCursor, Lost, Move, RiskCursor};
use crate::nodes::Directory;
use crate::points::crash_point;
use async_trait::async_trait;
use futures::StreamExt;
use sixfold_proto::name::NodeNumber;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Extents of one unit of work.
const PER_STEP: usize = 64;

/// Extents healed at once. Each holds a stripe or two, and the requests want drives, too.
const AT_ONCE: usize = 2;

/// Extents whose chunks on nodes that are gone are marked in one unit of work.
const MARKED_PER_STEP: usize = 1000;

/// A gateway with an old view may place a chunk on a node just after that was marked.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// While nodes are dead, more extents may come to be at risk.
const LOOK_AGAIN_AT_RISK: Duration = Duration::from_mins(1);

/// Makes the missing chunks of an extent.
#[async_trait]
pub trait Healer: Send + Sync + 'static {
    /// What is to be written into the extent's row; `None` when nothing can be made now.
    async fn heal(&self, extent: &Extent) -> Result<Option<Move>, ReadError>;
}

#[async_trait]
impl Healer for Mover {
    async fn heal(&self, extent: &Extent) -> Result<Option<Move>, ReadError> {
        self.data.heal(extent, self.lease.current()).await
    }
}

/// Knows which nodes are gone.
pub trait Gone: Send + Sync + 'static {
    /// Those that are gone for good, or for so long that they are taken to be; in order.
    fn gone(&self) -> Vec<NodeNumber>;
    /// Those and the dead ones, which may come back; in order. None when nothing of theirs could be
    /// made anew elsewhere.
    fn dead(&self) -> Vec<NodeNumber>;
}

impl Gone for Directory {
    fn gone(&self) -> Vec<NodeNumber> {
        Directory::gone(self)
    }

    fn dead(&self) -> Vec<NodeNumber> {
        Directory::dead(self)
    }
}

/// The marking of what was on nodes that are gone.
#[derive(Clone, Default)]
struct Marking {
    nodes: Vec<NodeNumber>,
    after: Option<ExtentCursor>,
    finished: Option<Instant>,
}

/// The job `heal`.
pub struct Heal {
    meta: Arc<dyn Meta>,
    healer: Arc<dyn Healer>,
    gone: Arc<dyn Gone>,
    pace: JobPace,
    marking: Mutex<Marking>,
    at_risk: Mutex<Marking>,
    after: Mutex<Option<RiskCursor>>,
}

impl Heal {
    /// With the pace of `paces`.
    pub fn new(
        meta: Arc<dyn Meta>,
        healer: Arc<dyn Healer>,
        gone: Arc<dyn Gone>,
        paces: &Paces,
    ) -> Self {
        let (marking, at_risk, after) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { meta, healer, gone, pace: paces.heal, marking, at_risk, after }
    }

    /// Marks a page of what was on nodes that are gone, and of what can't wait for the dead ones to
    /// come back. `false`: there is more.
    async fn mark(&self) -> anyhow::Result<bool> {
        let (gone, dead) = (self.gone.gone(), self.gone.dead());
        let is_marked = self.mark_on(&self.at_risk, dead, Lost::AtRisk).await?;
        Ok(self.mark_on(&self.marking, gone, Lost::Every).await? && is_marked)
    }

    async fn mark_on(
        &self,
        marking: &Mutex<Marking>,
        nodes: Vec<NodeNumber>,
        lost: Lost,
    ) -> anyhow::Result<bool> {
        let Some(begun) = begin_marking(&mut lock(marking), &nodes, lost) else { return Ok(true) };
        let next = self.meta.lose_chunks_on(&nodes, lost, begun.after, MARKED_PER_STEP).await?;
        let finished = next.is_none().then(Instant::now);
        *lock(marking) = Marking { nodes, after: next, finished };
        Ok(next.is_none())
    }

    /// Heals one extent. `false`: it has to wait.
    async fn heal(&self, extent: Extent) -> bool {
        let id = extent.id;
        let healed = match self.healer.heal(&extent).await {
            Ok(None) => return false,
            Ok(Some(moved)) => {
                let switched = self.meta.move_chunks(moved).await;
                crash_point!("heal.switched");
                switched.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match healed {
            // `false` is another process that was first, or a body that is gone.
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(extent = %id, "extent {id} can't be healed: {error}");
                false
            }
        }
    }
}

/// Where to go on with these nodes; `None` when they are done with.
fn begin_marking(marking: &mut Marking, nodes: &[NodeNumber], lost: Lost) -> Option<Marking> {
    let again = if lost == Lost::AtRisk { LOOK_AGAIN_AT_RISK } else { LOOK_AGAIN };
    let is_over = marking.finished.is_some_and(|at| at.elapsed() >= again);
    if marking.nodes != nodes || is_over {
        *marking = Marking { nodes: nodes.to_vec(), ..Marking::default() };
    }
    (!nodes.is_empty() && marking.finished.is_none()).then(|| marking.clone())
}

#[async_trait]
impl Job for Heal {
    fn name(&self) -> &'static str {
        "heal"
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        let is_marked = self.mark().await?;
        crash_point!("heal.marked");
        let after = *lock(&self.after);
        let extents = self.meta.degraded_extents(after, PER_STEP).await?;
        let next = extents.last().filter(|_| extents.len() == PER_STEP).map(RiskCursor::of);
        let count = extents.len();
        let heals = extents.into_iter().map(|extent| self.heal(extent)).collect::<Vec<_>>();
        let outcomes = futures::stream::iter(heals).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let healed = outcomes.await.into_iter().filter(|is_healed| *is_healed).count();
        let left = count - healed;
        if healed > 0 || left > 0 {
            tracing::info!(
                job.healed = healed,
                job.left = left,
                "healed {healed} extents, {left} wait"
            );
        }
        *lock(&self.after) = next;
        let is_over = is_marked && next.is_none();
        let healed = healed as u64;
        Ok(if is_over { Progress::Idle(healed) } else { Progress::More(healed) })
    }
}

#[cfg(test)]
mod tests;
