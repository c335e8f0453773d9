//! Makes missing chunks anew: those that a write went without, those that readers found missing or
//! damaged, and those of nodes that are gone.
//!
//! One process heals for all, as long as it holds the job's claim and gets on; what is written is
//! safe without the claim. A unit of work looks for what can be made anew, at risk first, works on
//! that for a moment, and looks again, so that what comes to be at risk meanwhile waits no longer
//! than that. What can't be healed, for want of a node or of chunks, is known without asking a node
//! and passed by. What failed, and what lacks more than it can spare, is tried beside the others,
//! later and later, and never instead of them.

mod failed;
mod marking;
mod walk;

use super::{Job, JobPace, Mover, Paces, Progress, lock};
use crate::chance;
use crate::data::{BytePace, Outlook, ReadError};
use crate::meta::Meta;
use crate::meta::types::{Claimant, Extent, Move};
use crate::nodes::{Directory, Entry};
use crate::points::crash_point;
use async_trait::async_trait;
use failed::Failed;
use futures::future::join_all;
use marking::Marking;
use sixfold_proto::name::{LeaseId, NodeNumber};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use walk::{Tally, Walks, Work};

const NAME: &str = "heal";

/// Extents healed at once. Each holds a stripe or two of memory; the drives are spared by the pace.
const AT_ONCE: usize = 8;

/// Of those that are tried although they may not succeed.
const DOUBTFUL_AT_ONCE: usize = 1;

/// For how long one unit of work begins with extents before it looks for what is more urgent.
const SLICE: Duration = Duration::from_secs(2);

/// A process that holds the claim and says nothing for this long is taken to be gone. Short: what
/// is at risk waits for it.
const CLAIM_LASTS: Duration = Duration::from_secs(20);

/// How often the claim is kept while extents are healed.
const CLAIM_EVERY: Duration = Duration::from_secs(5);

/// After so many failures in a row another process may see the nodes better, and gets the claim if
/// it wants it.
const YIELD_AFTER: u64 = 32;

/// How long it is left to the others: until the claim has lapsed and each had a try.
const YIELD_FOR: Duration = Duration::from_secs(40);

/// Makes the missing chunks of an extent.
#[async_trait]
pub trait Healer: Send + Sync + 'static {
    /// What is to be written into the extent's row; `None` when no node took a chunk.
    async fn heal(&self, extent: &Extent) -> Result<Option<Move>, ReadError>;
    /// Whether there is a point in it, as far as is known without asking any node.
    fn outlook(&self, extent: &Extent) -> Outlook;
    /// What it writes under.
    fn lease(&self) -> LeaseId;
    /// The bytes per second that it keeps to.
    fn pace(&self) -> BytePace;
}

#[async_trait]
impl Healer for Mover {
    async fn heal(&self, extent: &Extent) -> Result<Option<Move>, ReadError> {
        self.data.heal(extent, self.lease.current()).await
    }

    fn outlook(&self, extent: &Extent) -> Outlook {
        self.data.outlook(extent)
    }

    fn lease(&self) -> LeaseId {
        self.lease.current()
    }

    fn pace(&self) -> BytePace {
        self.data.heal_pace()
    }
}

/// Knows which nodes are gone.
pub trait Gone: Send + Sync + 'static {
    /// Those that are gone for good, or for so long that they are taken to be; in order.
    fn gone(&self) -> Vec<NodeNumber>;
    /// Those and the dead ones, which may come back; in order. None when nothing of theirs could be
    /// made anew elsewhere.
    fn dead(&self) -> Vec<NodeNumber>;
    /// Those that answer, in order, and whether each takes new chunks: when that changes, what
    /// could not be healed perhaps can.
    fn reachable(&self) -> Vec<(NodeNumber, bool)>;
}

impl Gone for Directory {
    fn gone(&self) -> Vec<NodeNumber> {
        Directory::gone(self)
    }

    fn dead(&self) -> Vec<NodeNumber> {
        Directory::dead(self)
    }

    fn reachable(&self) -> Vec<(NodeNumber, bool)> {
        let snapshot = self.snapshot();
        let reachable = snapshot.entries().filter(|entry| entry.is_reachable());
        reachable.map(|entry: &Entry| (entry.row.number, entry.is_usable())).collect()
    }
}

/// What came of an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Healed,
    /// Another process was first, or its body is gone.
    Changed,
    Failed(String),
}

/// What this process did, for the operator.
#[derive(Clone, Default)]
struct Done {
    /// Whether it holds the claim.
    is_ours: bool,
    healed: u64,
    /// Without a success in between.
    failed_in_row: u64,
    last_error: String,
    /// Until when the claim is left to others.
    yields_until: Option<Instant>,
}

/// The job `heal`.
pub struct Heal {
    meta: Arc<dyn Meta>,
    healer: Arc<dyn Healer>,
    gone: Arc<dyn Gone>,
    pace: JobPace,
    bytes: BytePace,
    /// Names this process among those that want the claim.
    claimant: u64,
    marking: Marking,
    walks: Mutex<Walks>,
    failed: Mutex<Failed>,
    reachable: Mutex<Vec<(NodeNumber, bool)>>,
    done: Mutex<Done>,
}

impl Heal {
    /// With the pace of `paces`, and the healer's of bytes.
    pub fn new(
        meta: Arc<dyn Meta>,
        healer: Arc<dyn Healer>,
        gone: Arc<dyn Gone>,
        paces: &Paces,
    ) -> Self {
        Self {
            meta,
            gone,
            pace: paces.heal,
            bytes: healer.pace(),
            healer,
            claimant: chance::number(),
            marking: Marking::default(),
            walks: Mutex::new(Walks::new()),
            failed: Mutex::default(),
            reachable: Mutex::default(),
            done: Mutex::default(),
        }
    }

    /// Whether this process is the one that heals; says what it does.
    async fn claim(&self) -> anyhow::Result<bool> {
        let claimant = Claimant { id: self.claimant, lease: self.healer.lease() };
        let doing = self.left();
        Ok(self.meta.claim_job(NAME, claimant, &doing, CLAIM_LASTS).await?)
    }

    async fn is_ours(&self) -> anyhow::Result<bool> {
        let yields_until = lock(&self.done).yields_until;
        let is_ours = yields_until.is_none_or(|at| at <= Instant::now()) && self.claim().await?;
        lock(&self.done).is_ours = is_ours;
        Ok(is_ours)
    }

    /// Keeps the claim as far as the database allows: without it nothing is unsafe.
    async fn keep_claim(&self) -> Infallible {
        loop {
            tokio::time::sleep(CLAIM_EVERY).await;
            if let Err(error) = self.claim().await {
                tracing::debug!("the claim of the job heal was not kept: {error:#}");
            }
        }
    }

    /// Looks at everything anew when nodes came or went.
    fn notice(&self) {
        let now = self.gone.reachable();
        let mut reachable = lock(&self.reachable);
        if *reachable != now {
            *reachable = now;
            lock(&self.walks).restart();
            lock(&self.failed).clear();
            let mut done = lock(&self.done);
            (done.failed_in_row, done.yields_until) = (0, None);
        }
    }

    /// Heals for a moment; answers what came of each extent, and leaves what it did not begin.
    async fn work(&self, work: Work) -> Vec<(Extent, Outcome)> {
        let until = Instant::now() + SLICE;
        let (fresh, doubtful) = (Mutex::new(work.fresh), Mutex::new(work.doubtful));
        let lanes = (0..AT_ONCE).map(|_| &fresh).chain((0..DOUBTFUL_AT_ONCE).map(|_| &doubtful));
        let lanes = lanes.map(|queue| self.lane(queue, until)).collect::<Vec<_>>();
        let outcomes = join_all(lanes).await.concat();
        let left = std::mem::take(&mut *lock(&fresh));
        lock(&self.walks).give_back(left);
        outcomes
    }

    /// Takes one extent after the other.
    async fn lane(
        &self,
        queue: &Mutex<VecDeque<Extent>>,
        until: Instant,
    ) -> Vec<(Extent, Outcome)> {
        let mut outcomes = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.bytes.is_ready_within(left).await {
                return outcomes;
            }
            let Some(extent) = lock(queue).pop_front() else { return outcomes };
            self.bytes.spend(extent.size);
            let outcome = self.heal(&extent).await;
            outcomes.push((extent, outcome));
        }
    }

    async fn heal(&self, extent: &Extent) -> Outcome {
        let moved = match self.healer.heal(extent).await {
            Ok(Some(moved)) => moved,
            Ok(None) => return Outcome::Failed("no node took a chunk".to_owned()),
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let switched = self.meta.move_chunks(moved).await;
        crash_point!("heal.switched");
        match switched {
            Ok(true) => Outcome::Healed,
            Ok(false) => Outcome::Changed,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Takes note of what came of them; answers how many were healed.
    fn note(&self, outcomes: &[(Extent, Outcome)]) -> u64 {
        let (mut walks, mut failed) = (lock(&self.walks), lock(&self.failed));
        let mut done = lock(&self.done);
        let before = done.healed;
        for (extent, outcome) in outcomes {
            let Outcome::Failed(error) = outcome else {
                walks.forget(extent);
                failed.remove(extent);
                done.healed += u64::from(*outcome == Outcome::Healed);
                done.failed_in_row = 0;
                continue;
            };
            let id = extent.id;
            tracing::debug!(extent = %id, "extent {id} can't be healed: {error}");
            failed.add(extent);
            done.failed_in_row += 1;
            done.last_error.clone_from(error);
        }
        if done.failed_in_row >= YIELD_AFTER {
            done.failed_in_row = 0;
            done.yields_until = Some(Instant::now() + YIELD_FOR);
        }
        done.healed - before
    }

    /// What is left and what can't be healed, and why, by the last walk over each degree of risk.
    fn left(&self) -> String {
        let tallies = lock(&self.walks).tallies();
        let sum = |count: fn(&Tally) -> u64| tallies.iter().map(count).sum::<u64>();
        let all = sum(|tally| tally.all);
        if all == 0 {
            return "nothing to heal".to_owned();
        }
        let [unreadable, at_risk, _] = tallies.map(|tally| tally.all);
        let all = format!("{all} left, {at_risk} of them at risk, {unreadable} unreadable");
        let mut said = vec![all];
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                said.push(format!("{count} {what}"));
            }
        };
        say(sum(|tally| tally.no_node), "wait for a node that takes their chunks");
        say(sum(|tally| tally.too_few), "wait for nodes with their other chunks");
        let error = lock(&self.done).last_error.clone();
        say(sum(|tally| tally.failed), &format!("failed and are tried again: {error}"));
        said.join("; ")
    }
}

#[async_trait]
impl Job for Heal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    fn told(&self) -> Option<String> {
        let Done { is_ours, healed, .. } = lock(&self.done).clone();
        let what = if is_ours { self.left() } else { "another process heals".to_owned() };
        Some(format!("{healed} healed; {what}"))
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        self.notice();
        if !self.is_ours().await? {
            return Ok(Progress::Idle(0));
        }
        let (gone, dead) = (self.gone.gone(), self.gone.dead());
        let is_marked = self.marking.mark(&*self.meta, gone, dead).await?;
        crash_point!("heal.marked");
        if !self.bytes.is_ready_within(CLAIM_EVERY).await {
            return Ok(Progress::More(0));
        }
        let work = walk::look(&self.walks, &self.failed, &*self.meta, &*self.healer).await?;
        let has_work = !(work.fresh.is_empty() && work.doubtful.is_empty());
        let outcomes = tokio::select! {
            biased;
            outcomes = self.work(work) => outcomes,
            never = self.keep_claim() => match never {},
        };
        let healed = self.note(&outcomes);
        if healed > 0 {
            tracing::info!(job.healed = healed, "healed {healed} extents; {}", self.left());
        }
        let is_over = is_marked && !has_work && !lock(&self.walks).is_under_way();
        Ok(if is_over { Progress::Idle(healed) } else { Progress::More(healed) })
    }
}

#[cfg(test)]
mod tests;
