//! Moves chunks to the nodes that should have them: off nodes that are drained, out of placements
//! with two on a node, and to nodes that came, by their share of the ring.
//!
//! A round walks over the extents that may have something to move, a page for a unit of work. A
//! chunk is copied under the movers' lease and the row switched by compare-and-set, so that two
//! that move at once do no harm; that they don't do the work twice, one of them holds the job's
//! claim. A round that was broken off is simply begun anew: what is in its place is passed by.
//! Where a drain has moved everything, the node is swept here at once, until it is empty.

use super::sweep::sweep_page;
use super::{Job, JobPace, Mover, Nodes, Paces, Progress, lock};
use crate::chance;
use crate::meta::Meta;
use crate::meta::types::{Claimant, Extent, ExtentCursor, Placed};
use crate::nodes::{Directory, Liveness};
use crate::placement::Wish;
use crate::points::crash_point;
use async_trait::async_trait;
use futures::StreamExt;
use sixfold_proto::name::NodeNumber;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const NAME: &str = "rebalance";

/// Extents that are looked at in one unit of work.
const PAGE: usize = 1000;

/// Chunks that are moved in one unit of work.
const MOVES_PER_STEP: usize = 32;

/// Chunks that are on their way at once.
const AT_ONCE: usize = 4;

/// A process that holds the claim and says nothing for this long is taken to be gone: longer than
/// the slowest moves of one unit of work take to answer in between.
const CLAIM_LASTS: Duration = Duration::from_mins(3);

/// How often all extents are looked at although no node came or went. Placements that were chosen
/// while nodes were away are found so.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The same after a round that had to leave something.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// What a round does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Chunks leave the nodes that are drained.
    Drain,
    /// What they left behind is deleted there.
    Empty,
    /// Two chunks on a node are spread out.
    Spread,
    /// Every extent is brought to its place on the ring.
    Share,
}

/// Where a round is.
#[derive(Clone, Debug, Default)]
struct Round {
    /// `None` between rounds.
    phase: Option<Phase>,
    draining: Vec<NodeNumber>,
    /// How far the phase's walk has come.
    after: Option<ExtentCursor>,
    /// Chunks moved since the round began.
    moved: u64,
    /// Chunks that could not be moved in this phase.
    left: u64,
}

/// The last walk over all extents.
#[derive(Clone, Debug, Default)]
struct Shared {
    /// The members and their tokens at its begin.
    ring: Option<u64>,
    draining: Vec<NodeNumber>,
    finished: Option<Instant>,
    is_complete: bool,
}

/// The job `rebalance`.
pub struct Rebalance {
    meta: Arc<dyn Meta>,
    directory: Arc<Directory>,
    mover: Mover,
    pace: JobPace,
    kept: Duration,
    /// Names this process among those that want the claim.
    claimant: u64,
    round: Mutex<Round>,
    shared: Mutex<Shared>,
}

impl Rebalance {
    /// With the pace of `paces`.
    pub fn new(
        meta: Arc<dyn Meta>,
        directory: Arc<Directory>,
        mover: Mover,
        paces: &Paces,
    ) -> Self {
        let (pace, kept) = (paces.rebalance, paces.collect_after);
        let (round, shared) = (Mutex::default(), Mutex::default());
        Self { meta, directory, mover, pace, kept, claimant: chance::number(), round, shared }
    }

    /// The phase that is under way, begun anew when the drained nodes are others than before.
    fn round(&self) -> Round {
        let draining = self.directory.snapshot().draining();
        let mut round = lock(&self.round);
        if round.phase.is_none() || round.draining != draining {
            let phase = if draining.is_empty() { Phase::Spread } else { Phase::Drain };
            *round = Round { phase: Some(phase), draining, ..Round::default() };
        }
        round.clone()
    }

    /// Goes to the next phase that has something to do; `false` when the round is over.
    fn advance(&self, from: &Round) -> bool {
        let next = match from.phase {
            Some(Phase::Drain) if from.left == 0 => Some(Phase::Empty),
            Some(Phase::Drain | Phase::Empty) => Some(Phase::Spread),
            Some(Phase::Spread) if self.is_share_due() => Some(Phase::Share),
            _ => None,
        };
        if from.phase == Some(Phase::Share) {
            let mut shared = lock(&self.shared);
            shared.finished = Some(Instant::now());
            shared.is_complete = from.left == 0;
        }
        let (draining, moved) = (from.draining.clone(), from.moved);
        *lock(&self.round) = Round { phase: next, draining, after: None, moved, left: 0 };
        next.is_some()
    }

    /// Whether all extents should be looked at, and notes by which ring.
    fn is_share_due(&self) -> bool {
        let snapshot = self.directory.snapshot();
        let (ring, draining) = (Some(snapshot.ring().epoch()), snapshot.draining());
        let mut shared = lock(&self.shared);
        let patience = if shared.is_complete { LOOK_AGAIN } else { TRY_AGAIN };
        let is_over = shared.finished.is_none_or(|at| at.elapsed() >= patience);
        if !is_over && shared.ring == ring && shared.draining == draining {
            return false;
        }
        *shared = Shared { ring, draining, finished: None, is_complete: false };
        true
    }

    /// Looks at a page of extents and moves what should move. Answers the round behind it, and
    /// whether there is more in this phase.
    async fn page(&self, round: &Round, placed: Placed<'_>) -> anyhow::Result<(Round, bool)> {
        let page = self.meta.placed_extents(placed, round.after, PAGE).await?;
        let mut next = round.clone();
        let mut moves = Vec::new();
        let mut seen = 0;
        let snapshot = self.directory.snapshot();
        for (cursor, extent) in &page {
            if moves.len() == MOVES_PER_STEP {
                break;
            }
            (seen, next.after) = (seen + 1, Some(*cursor));
            match snapshot.wish(extent) {
                Some(wish) => moves.push((extent.clone(), wish)),
                // It has a chunk there that can't be moved now, or that heal has to make anew.
                None if placed != Placed::Anywhere => next.left += 1,
                None => {}
            }
        }
        let count = moves.len() as u64;
        let moved = self.fulfil(moves).await;
        next.moved += moved;
        next.left += count - moved;
        Ok((next, seen < page.len() || page.len() == PAGE))
    }

    /// Moves chunks, a few at once; answers how many came to their places.
    async fn fulfil(&self, moves: Vec<(Extent, Wish)>) -> u64 {
        let moves = moves.into_iter().map(|(extent, wish)| self.fulfil_one(extent, wish));
        let moves = futures::stream::iter(moves.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        moves.filter(|is_done| futures::future::ready(*is_done)).count().await as u64
    }

    async fn fulfil_one(&self, extent: Extent, wish: Wish) -> bool {
        let lease = self.mover.lease.current();
        crash_point!("move.begun");
        let moved = match self.mover.data.move_chunk(&extent, wish, lease).await {
            Ok(moved) => self.meta.move_chunks(moved).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        crash_point!("move.switched");
        match moved {
            // `false` is another process that was first, or a body that is gone.
            Ok(_) => true,
            Err(error) => {
                let (id, index, to) = (extent.id, wish.index, wish.to.0);
                tracing::debug!(
                    extent = %id,
                    node.id = to,
                    "chunk {index} of extent {id} can't be moved to node {to}: {error}"
                );
                false
            }
        }
    }

    /// Deletes what moved away from the drained nodes, as far as nobody may still read it.
    async fn empty(&self, nodes: &[NodeNumber]) -> anyhow::Result<()> {
        // A dead one holds nothing else up.
        for number in nodes.iter().filter(|number| !self.is_dead(**number)) {
            let Some(node) = Nodes::node(&*self.directory, *number) else { continue };
            let mut after = None;
            loop {
                let page = sweep_page(&*self.meta, *number, &*node, after, self.kept).await?;
                after = page.next;
                if after.is_none() {
                    break;
                }
                self.claim(&format!("empties node {number}")).await?;
                tokio::time::sleep(self.pace.between).await;
            }
        }
        Ok(())
    }

    /// Whether this process is the one that moves chunks; says what it does.
    async fn claim(&self, doing: &str) -> anyhow::Result<bool> {
        let claimant = Claimant { id: self.claimant, lease: self.mover.lease.current() };
        Ok(self.meta.claim_job(NAME, claimant, doing, CLAIM_LASTS).await?)
    }

    /// What is still to come after a round, for the operator.
    async fn afterwards(&self, round: &Round) -> anyhow::Result<String> {
        let snapshot = self.directory.snapshot();
        let has_copies =
            |node: &NodeNumber| snapshot.entry(*node).is_some_and(|entry| !entry.row.is_drained());
        let full: Vec<_> = round.draining.iter().copied().filter(has_copies).collect();
        if let Some(silent) = full.iter().find(|node| self.is_dead(**node)) {
            return Ok(format!("waits for node {silent}, which does not answer"));
        }
        if round.left > 0 {
            return Ok(format!("{} chunks wait for a node that takes them", round.left));
        }
        if full.is_empty() {
            return Ok("nothing to move".to_owned());
        }
        let kept = self.meta.quarantines().await?;
        if let Some(row) = kept.iter().find(|row| full.contains(&row.node)) {
            let node = row.node;
            let end = "`sixfold node quarantine list`";
            return Ok(format!("waits for the end of the quarantine of node {node}: {end}"));
        }
        let downloads = "downloads that began before chunks moved";
        Ok(format!("waits for {downloads}, and for the leases of writes that were given up"))
    }

    fn is_dead(&self, node: NodeNumber) -> bool {
        let snapshot = self.directory.snapshot();
        snapshot.entry(node).is_none_or(|entry| entry.liveness() == Liveness::Dead)
    }

    async fn run(&self, round: &Round) -> anyhow::Result<(Round, bool)> {
        match round.phase {
            Some(Phase::Drain) => self.page(round, Placed::On(&round.draining)).await,
            Some(Phase::Spread) => self.page(round, Placed::Crowded).await,
            Some(Phase::Share) => self.page(round, Placed::Anywhere).await,
            Some(Phase::Empty) => {
                self.empty(&round.draining).await?;
                Ok((round.clone(), false))
            }
            None => Ok((round.clone(), false)),
        }
    }
}

#[async_trait]
impl Job for Rebalance {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        let is_outage = self.directory.snapshot().is_outage();
        let round = if is_outage { Round::default() } else { self.round() };
        if !self.claim(&round.doing(is_outage)).await? || is_outage {
            *lock(&self.round) = Round::default();
            return Ok(Progress::Idle(0));
        }
        crash_point!("rebalance.claimed");
        let (next, has_more) = self.run(&round).await?;
        let moved = next.moved - round.moved;
        if has_more {
            *lock(&self.round) = next;
            return Ok(Progress::More(moved));
        }
        if next.moved > 0 || next.left > 0 {
            tracing::info!(
                job.moved = next.moved,
                job.left = next.left,
                "{}: {} chunks moved, {} wait",
                next.doing(false),
                next.moved,
                next.left
            );
        }
        if self.advance(&next) {
            return Ok(Progress::More(moved));
        }
        self.claim(&self.afterwards(&next).await?).await?;
        Ok(Progress::Idle(moved))
    }
}

impl Round {
    /// For the operator.
    fn doing(&self, is_outage: bool) -> String {
        if is_outage {
            return "waits: more than two nodes are silent".to_owned();
        }
        let nodes = || self.draining.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (moved, left) = (self.moved, self.left);
        let what = match self.phase {
            None => return "nothing to move".to_owned(),
            Some(Phase::Drain) => format!("drains node {}", nodes()),
            Some(Phase::Empty) => format!("empties node {}", nodes()),
            Some(Phase::Spread) => "spreads out what is crowded".to_owned(),
            Some(Phase::Share) => "gives every node its share".to_owned(),
        };
        format!("{what} ({moved} chunks moved in this round, {left} wait)")
    }
}

#[cfg(test)]
mod tests;
