//! Walks over the queue of degraded extents, one for each degree of risk, so that a long walk over
//! what can wait holds nothing up that can't.

use super::failed::{Failed, Turn};
use super::{Healer, lock};
use crate::data::Outlook;
use crate::meta::types::{Extent, RiskCursor};
use crate::meta::{Meta, MetaError};
use sixfold_proto::name::ExtentId;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Extents of a page.
pub(super) const PAGE: usize = 1000;

/// Pages that one look reads of a walk: between two the others have their turn.
const PAGES: usize = 4;

/// Extents that are found ahead of their healing.
pub(super) const AHEAD: usize = 64;

/// Extents that failed, or are short of chunks, that one look finds.
pub(super) const DOUBTFUL: usize = 16;

/// A walk begins anew after ten times what it took, and within these bounds: the database has more
/// to do than to look for what nobody can heal.
const PAUSE_FACTOR: u32 = 10;
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How many more chunks an extent can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Degree {
    /// It can't be read until some come back.
    Unreadable,
    /// None.
    AtRisk,
    /// One or more.
    Spare,
}

impl Degree {
    pub(super) const ALL: [Self; 3] = [Self::Unreadable, Self::AtRisk, Self::Spare];

    pub(super) fn of(extent: &Extent) -> Self {
        match RiskCursor::of(extent).spare {
            ..0 => Self::Unreadable,
            0 => Self::AtRisk,
            1.. => Self::Spare,
        }
    }

    /// Before the first of them in the queue.
    fn start(self) -> RiskCursor {
        let spare = match self {
            Self::Unreadable => i32::MIN,
            Self::AtRisk => -1,
            Self::Spare => 0,
        };
        RiskCursor { spare, extent: ExtentId(u128::MAX) }
    }
}

/// What a walk met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Extents in all.
    pub(super) all: u64,
    /// Of those, how many no node takes the chunks of.
    pub(super) no_node: u64,
    /// How many are short of chunks to read from.
    pub(super) too_few: u64,
    /// How many failed, and wait for the next try.
    pub(super) failed: u64,
}

/// One walk.
pub(super) struct Walk {
    degree: Degree,
    after: RiskCursor,
    begun: Instant,
    /// When it came to its end, and how long the next one waits.
    finished: Option<(Instant, Duration)>,
    /// What is to be healed, in order.
    ready: VecDeque<Extent>,
    tally: Tally,
    /// What the last one met that came to its end, without what was healed since.
    last: Option<Tally>,
}

impl Walk {
    fn new(degree: Degree) -> Self {
        let (after, begun) = (degree.start(), Instant::now());
        let (ready, tally) = (VecDeque::new(), Tally::default());
        Self { degree, after, begun, finished: None, ready, tally, last: None }
    }

    /// Begins anew.
    fn restart(&mut self) {
        *self = Self { last: self.last, ..Self::new(self.degree) };
    }

    /// Whether it is time to go on, and from where.
    fn next(&mut self) -> Option<RiskCursor> {
        if let Some((at, pause)) = self.finished {
            if at.elapsed() < pause {
                return None;
            }
            let ready = std::mem::take(&mut self.ready);
            self.restart();
            self.ready = ready;
        }
        (self.ready.len() < AHEAD).then_some(self.after)
    }

    fn finish(&mut self) {
        let pause = (self.begun.elapsed() * PAUSE_FACTOR).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.finished = Some((Instant::now(), pause));
        self.last = Some(self.tally);
    }

    /// Takes a page in, as far as it is this walk's. Answers whether there is more room and more to
    /// come.
    fn take(&mut self, page: Vec<Extent>, judge: &mut impl FnMut(&Extent) -> Verdict) -> bool {
        let is_last = page.len() < PAGE;
        for extent in page {
            if Degree::of(&extent) != self.degree {
                self.finish();
                return false;
            }
            if self.ready.len() >= AHEAD {
                return false;
            }
            self.after = RiskCursor::of(&extent);
            self.tally.all += 1;
            let is_known = self.ready.iter().any(|ready| ready.id == extent.id);
            match judge(&extent) {
                Verdict::Heal if !is_known => self.ready.push_back(extent),
                Verdict::Heal | Verdict::Try => {}
                Verdict::NoNode => self.tally.no_node += 1,
                Verdict::TooFew => self.tally.too_few += 1,
                Verdict::Later => self.tally.failed += 1,
            }
        }
        if is_last {
            self.finish();
        }
        !is_last
    }
}

/// What is to be done with an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Heal,
    /// Beside the others.
    Try,
    NoNode,
    TooFew,
    Later,
}

/// What is to be healed now.
#[derive(Default)]
pub(super) struct Work {
    /// Extents of one degree of risk, the highest that there is.
    pub(super) fresh: VecDeque<Extent>,
    /// Extents that failed before, or that lack more than can be spared.
    pub(super) doubtful: VecDeque<Extent>,
}

/// The three walks.
pub(super) struct Walks([Walk; 3]);

impl Walks {
    pub(super) fn new() -> Self {
        Self(Degree::ALL.map(Walk::new))
    }

    /// Nodes came or went: everything is looked at anew.
    pub(super) fn restart(&mut self) {
        self.0.iter_mut().for_each(Walk::restart);
    }

    /// Whether there is something to go on with.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.iter().any(|walk| walk.finished.is_none() || !walk.ready.is_empty())
    }

    fn of(&mut self, degree: Degree) -> &mut Walk {
        &mut self.0[degree as usize]
    }

    /// What was not begun is the next to be.
    pub(super) fn give_back(&mut self, fresh: VecDeque<Extent>) {
        let Some(degree) = fresh.front().map(Degree::of) else { return };
        let ready = &mut self.of(degree).ready;
        let behind = std::mem::replace(ready, fresh);
        ready.extend(behind);
    }

    /// An extent is degraded no longer.
    pub(super) fn forget(&mut self, extent: &Extent) {
        let walk = self.of(Degree::of(extent));
        for tally in [Some(&mut walk.tally), walk.last.as_mut()].into_iter().flatten() {
            tally.all = tally.all.saturating_sub(1);
        }
    }

    /// What each walk met, by the last that came to its end.
    pub(super) fn tallies(&self) -> [Tally; 3] {
        self.0.each_ref().map(|walk| walk.last.unwrap_or(walk.tally))
    }
}

/// Looks for what is to be healed now: nothing that spares a chunk while there is something that
/// spares none.
pub(super) async fn look(
    walks: &Mutex<Walks>,
    failed: &Mutex<Failed>,
    meta: &dyn Meta,
    healer: &dyn Healer,
) -> Result<Work, MetaError> {
    let mut work = Work::default();
    for degree in Degree::ALL {
        let doubtful = &mut work.doubtful;
        let mut judge = |extent: &Extent| {
            let verdict = judge(&lock(failed), healer, extent);
            if verdict != Verdict::Try {
                return verdict;
            }
            if doubtful.len() < DOUBTFUL {
                doubtful.push_back(extent.clone());
            }
            verdict
        };
        for _ in 0..PAGES {
            let Some(after) = lock(walks).of(degree).next() else { break };
            let page = meta.degraded_extents(Some(after), PAGE).await?;
            if !lock(walks).of(degree).take(page, &mut judge) {
                break;
            }
        }
        work.fresh = std::mem::take(&mut lock(walks).of(degree).ready);
        if !work.fresh.is_empty() {
            break;
        }
    }
    Ok(work)
}

fn judge(failed: &Failed, healer: &dyn Healer, extent: &Extent) -> Verdict {
    match (healer.outlook(extent), failed.turn(extent)) {
        (Outlook::NoNode, _) => Verdict::NoNode,
        (Outlook::TooFewChunks, _) => Verdict::TooFew,
        (Outlook::Good, Turn::Later) => Verdict::Later,
        (Outlook::Good, Turn::Again) => Verdict::Try,
        (Outlook::Good, Turn::First) if Degree::of(extent) == Degree::Unreadable => Verdict::Try,
        (Outlook::Good, Turn::First) => Verdict::Heal,
    }
}
