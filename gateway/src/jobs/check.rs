//! Compares the rows with what the nodes have, in both directions, when an operator asks for it
//! (`sixfold check`). Rows whose chunks are absent are found and named, and never dropped; chunks
//! that no row wants are counted.
//!
//! A unit of work is a page. What is asked for, how far it is and what was found stands in rows: a
//! check goes on after a restart, in whichever process has the job's claim. Should two do the same
//! unit, the second changes nothing. Only names are compared: whether the bytes of a chunk are whole
//! is for the scrub to find.

mod compare;
mod state;

pub use state::{CheckState, Count, Phase, Unwanted};

use super::{Job, JobPace, Nodes, Paces, Progress, lock};
use crate::data::CurrentLease;
use crate::meta::Meta;
use crate::meta::checks::Checks;
use crate::meta::types::{CheckRun, Checked, ChunkSet, Claimant, Finding, NameCursor, Outcome};
use async_trait::async_trait;
use compare::{PAGE, PageSize, Sides, compare};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ChunkIndex, ChunkName, ExtentId, NodeNumber};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The job's name.
pub const NAME: &str = "check";

/// Findings that are kept with their names; of more, those that can be healed are only counted. A
/// drive that was wiped is a finding of every extent.
const MOST_LISTED: u64 = 10_000;

/// Names that are gone through in one unit of work.
const NAMES: usize = 5000;

/// Findings that are looked at again in one unit of work.
const SETTLED: usize = 500;

/// A process that holds the claim and says nothing for this long is taken to be gone: longer than a
/// page with nodes that are slow to answer.
const CLAIM_LASTS: Duration = Duration::from_mins(3);

/// For so long heal may get nowhere before what it should heal is said to wait. It tries every ten
/// seconds.
const PATIENCE: Duration = Duration::from_mins(5);

/// The job `check`.
pub struct Check {
    meta: Arc<dyn Meta>,
    checks: Arc<dyn Checks>,
    nodes: Arc<dyn Nodes>,
    lease: Arc<dyn CurrentLease>,
    pace: JobPace,
    kept: Duration,
    patience: Duration,
    page: PageSize,
    /// Names this process among those that want the claim.
    claimant: u64,
    progress: Mutex<Option<f64>>,
    hope: Mutex<Hope>,
}

/// What heal has still to do, and since when that has not changed.
#[derive(Clone, Copy, Default)]
struct Hope {
    run: i64,
    waiting: u64,
    since: Option<Instant>,
}

impl Check {
    /// With the pace of `paces`; the claim ends with `lease`.
    pub fn new(
        meta: Arc<dyn Meta>,
        checks: Arc<dyn Checks>,
        nodes: Arc<dyn Nodes>,
        lease: Arc<dyn CurrentLease>,
        paces: &Paces,
    ) -> Self {
        Self {
            meta,
            checks,
            nodes,
            lease,
            pace: paces.check,
            kept: paces.collect_after,
            patience: PATIENCE,
            page: PAGE,
            claimant: rand::random(),
            progress: Mutex::default(),
            hope: Mutex::default(),
        }
    }

    async fn compare(
        &self,
        run: &CheckRun,
        state: &mut CheckState,
    ) -> anyhow::Result<Vec<Finding>> {
        if run.step == 0 {
            state.estimate = self.checks.extent_count().await?;
        }
        let (meta, checks, nodes) = (&*self.meta, &*self.checks, &*self.nodes);
        let sides = Sides { meta, checks, nodes, kept: self.kept, page: self.page };
        let (mut findings, has_more) = compare(&sides, state).await?;
        if run.heals {
            self.mark(&findings).await?;
        }
        for finding in &findings {
            let lacks = finding.absent.0 | finding.known.0 != 0;
            state.absent += u64::from(finding.absent.0.count_ones());
            state.degraded += u64::from(lacks);
            state.lost += u64::from(finding.is_lost);
            state.crowded += u64::from(finding.is_crowded);
        }
        let listed = (state.degraded + state.crowded).saturating_sub(findings.len() as u64);
        if listed >= MOST_LISTED {
            let before = findings.len();
            findings.retain(|finding| finding.is_lost);
            state.unlisted += (before - findings.len()) as u64;
        }
        let has_found = state.degraded + state.crowded > 0;
        if !has_more {
            state.phase = if has_found { Phase::Name } else { Phase::Done };
        }
        Ok(findings)
    }

    /// Marks what is absent, as far as it is placed there still.
    async fn mark(&self, findings: &[Finding]) -> anyhow::Result<()> {
        let mut chunks = BTreeMap::<NodeNumber, Vec<ChunkName>>::new();
        for finding in findings {
            for index in ChunkIndex::ALL {
                let (at, extent) = (index.as_usize(), finding.extent);
                if finding.absent.contains(at) && !finding.known.contains(at) {
                    let name = ChunkName { extent, index };
                    chunks.entry(finding.placement[at]).or_default().push(name);
                }
            }
        }
        for (node, chunks) in chunks {
            self.meta.mark_rotten(node, &chunks).await?;
        }
        Ok(())
    }

    async fn name_found(&self, run: &CheckRun, state: &mut CheckState) -> anyhow::Result<()> {
        let after = state.names_after.take().unwrap_or_else(NameCursor::start);
        state.names_after = self.checks.name_findings(run.id, &after, NAMES).await?;
        if state.names_after.is_none() {
            state.phase = Phase::Heal;
        }
        Ok(())
    }

    /// Looks again at a page of what is open: what was deleted meanwhile, and what heal has done.
    async fn settle(&self, run: &CheckRun, state: &mut CheckState) -> anyhow::Result<()> {
        let open = self.checks.findings(run.id, true, state.settled_after(), SETTLED).await?;
        let ids = open.iter().map(|finding| finding.extent).collect::<Vec<_>>();
        let rows = self.checks.extents_of(&ids).await?.into_iter().filter(|row| !row.is_freed);
        let rows = rows.map(|row| (row.extent.id, row)).collect::<HashMap<ExtentId, Checked>>();
        let mut settled = Vec::new();
        for finding in &open {
            match outcome(finding, rows.get(&finding.extent), run.heals) {
                Outcome::Waits if state.gives_up => {
                    settled.push((finding.extent, Outcome::Waits));
                }
                Outcome::Waits => state.waiting += 1,
                Outcome::Open => {}
                outcome => settled.push((finding.extent, outcome)),
            }
        }
        self.checks.settle_findings(run.id, &settled).await?;
        let last = open.last().filter(|_| open.len() == SETTLED);
        state.set_settled_after(last.map(|finding| finding.extent));
        if last.is_none() {
            self.end_pass(run, state);
        }
        Ok(())
    }

    /// All open findings were looked at.
    fn end_pass(&self, run: &CheckRun, state: &mut CheckState) {
        let waiting = std::mem::take(&mut state.waiting);
        if waiting == 0 {
            state.phase = Phase::Done;
            return;
        }
        let mut hope = lock(&self.hope);
        let since = hope.since.filter(|_| (hope.run, hope.waiting) == (run.id, waiting));
        let since = since.unwrap_or_else(Instant::now);
        *hope = Hope { run: run.id, waiting, since: Some(since) };
        state.gives_up = since.elapsed() >= self.patience;
    }

    /// Whether this process is the one that checks; says what it does.
    async fn claim(&self, run: &CheckRun, state: &CheckState) -> anyhow::Result<bool> {
        let claimant = Claimant { id: self.claimant, lease: self.lease.current() };
        let doing = match state.phase {
            Phase::Compare => format!("compares rows and chunks, {} extents so far", state.extents),
            Phase::Name => "looks for the names of what it found".to_owned(),
            Phase::Heal if run.heals => "waits for heal".to_owned(),
            Phase::Heal | Phase::Done => "is about to end".to_owned(),
        };
        Ok(self.meta.claim_job(NAME, claimant, &doing, CLAIM_LASTS).await?)
    }
}

/// What became of a finding whose row is `row`. [`Outcome::Waits`]: it can still be healed.
fn outcome(finding: &Finding, row: Option<&Checked>, heals: bool) -> Outcome {
    let Some(Checked { extent, .. }) = row else { return Outcome::Deleted };
    let lacks = ChunkSet(extent.missing.0 & (finding.absent.0 | finding.known.0));
    let own = extent.placement.iter().collect::<BTreeSet<_>>().len();
    let is_crowded = finding.is_crowded && own < CHUNKS_PER_EXTENT;
    match () {
        () if !heals => Outcome::Open,
        () if lacks == ChunkSet(0) && !is_crowded => Outcome::Healed,
        () if finding.is_lost => Outcome::Open,
        () => Outcome::Waits,
    }
}

#[async_trait]
impl Job for Check {
    fn name(&self) -> &'static str {
        NAME
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    fn progress(&self) -> Option<f64> {
        *lock(&self.progress)
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        let Some(run) = self.checks.next_check().await? else {
            *lock(&self.progress) = None;
            return Ok(Progress::Idle(0));
        };
        let mut state = CheckState::from_text(&run.state);
        if !self.claim(&run, &state).await? {
            return Ok(Progress::Idle(0));
        }
        let (before, mut findings) = (state.extents, Vec::new());
        match state.phase {
            Phase::Compare => findings = self.compare(&run, &mut state).await?,
            Phase::Name => self.name_found(&run, &mut state).await?,
            Phase::Heal => self.settle(&run, &mut state).await?,
            Phase::Done => {}
        }
        let is_done = state.phase == Phase::Done;
        self.checks.step_check(&run, &state.to_text(), is_done, &findings).await?;
        *lock(&self.progress) = state.progress();
        let count = state.extents - before;
        // Between two passes over what waits for heal there is time.
        let is_pause = state.phase == Phase::Heal && state.settled_after().is_none();
        Ok(if is_pause { Progress::Idle(count) } else { Progress::More(count) })
    }
}

#[cfg(test)]
mod tests;
