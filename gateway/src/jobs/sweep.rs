//! Compares what each node holds with the rows, and deletes what no row wants: leftovers of
//! aborted writes, of moves, and of collections that a node was away from.
//!
//! A unit of work is a page of one node. The rule for deleting is the database's
//! ([`Meta::condemned`]) and the node's (the copy number must still be the one listed). Copies that a
//! node keeps because the database went back in time are only counted, and nothing is deleted while
//! the node has not seen the very database whose rows are asked.

use super::check::Count;
use super::{Job, JobPace, Nodes, Paces, Progress, lock};
use crate::meta::Meta;
use crate::meta::types::NodeState;
use crate::points::crash_point;
use anyhow::Context;
use async_trait::async_trait;
use futures::StreamExt;
use sixfold_proto::chunks::{ChunkEntry, Chunks, NodeError};
use sixfold_proto::history::Memory;
use sixfold_proto::name::{ChunkName, CopyNumber, NodeNumber};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Chunks of one page: one statement of a few milliseconds.
const PAGE: usize = 1000;

/// Deletes under way at once.
const CALLS: usize = 16;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Where a round over all nodes is.
#[derive(Default)]
struct Round {
    /// Nodes still to be swept, the current one first.
    nodes: VecDeque<NodeNumber>,
    /// The last chunk seen on the current one.
    after: Option<ChunkName>,
    /// What the current one keeps so far; `None` before its first page.
    tally: Option<Tally>,
}

/// The job `sweep`.
pub struct Sweep {
    meta: Arc<dyn Meta>,
    nodes: Arc<dyn Nodes>,
    pace: JobPace,
    kept: Duration,
    round: Mutex<Round>,
}

impl Sweep {
    /// With the pace of `paces`.
    pub fn new(meta: Arc<dyn Meta>, nodes: Arc<dyn Nodes>, paces: &Paces) -> Self {
        let (pace, kept) = (paces.sweep, paces.collect_after);
        Self { meta, nodes, pace, kept, round: Mutex::default() }
    }

    async fn begin_round(&self) -> anyhow::Result<()> {
        let rows = self.meta.nodes().await?;
        let nodes = rows.into_iter().filter(|row| row.state != NodeState::Removed);
        self.set(Round { nodes: nodes.map(|row| row.number).collect(), ..Round::default() });
        Ok(())
    }

    fn position(&self) -> Option<(NodeNumber, Option<ChunkName>)> {
        let round = lock(&self.round);
        round.nodes.front().map(|node| (*node, round.after))
    }

    fn set(&self, round: Round) {
        *lock(&self.round) = round;
    }

    /// Goes on behind `after`, or with the next node.
    fn advance(&self, after: Option<ChunkName>, tally: Option<Tally>) {
        let mut round = lock(&self.round);
        (round.after, round.tally) = (after, tally);
        if after.is_none() {
            round.tally = None;
            round.nodes.pop_front();
        }
    }

    /// Goes on behind a page. What the node keeps is noted after its last one; where that changed
    /// under way, the node's next turn counts it anew.
    async fn note(&self, number: NodeNumber, swept: &Swept) -> anyhow::Result<()> {
        let before = lock(&self.round).tally.unwrap_or(Tally::of_nothing(swept.tally.kept));
        if before.kept != swept.tally.kept {
            self.advance(None, None);
            return Ok(());
        }
        let mut tally = before;
        tally.unwanted.join(swept.tally.unwanted);
        if swept.next.is_none() && tally.kept > CopyNumber(0) {
            let Count { chunks, bytes } = tally.unwanted;
            self.meta.count_quarantine(number, tally.kept, chunks, bytes).await?;
        }
        self.advance(swept.next, Some(tally));
        Ok(())
    }
}

/// What a node keeps although no row wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    /// Copies up to this number are kept.
    kept: CopyNumber,
    /// Those of them that no row wants.
    unwanted: Count,
}

impl Tally {
    fn of_nothing(kept: CopyNumber) -> Self {
        Self { kept, unwanted: Count::default() }
    }
}

/// What came of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Swept {
    /// Copies that were deleted.
    count: u64,
    /// Where the next page begins; `None` after the last.
    pub(super) next: Option<ChunkName>,
    tally: Tally,
}

/// Sweeps a page of a node. What was moved away is left for `kept`.
pub(super) async fn sweep_page(
    meta: &dyn Meta,
    number: NodeNumber,
    node: &dyn Chunks,
    after: Option<ChunkName>,
    kept: Duration,
) -> anyhow::Result<Swept> {
    // Asked for before the rows are looked at: they are those of a database that the node knows.
    let memory = tokio::time::timeout(CALL_LIMIT, node.health()).await??.memory;
    let entries = tokio::time::timeout(CALL_LIMIT, node.list(after, PAGE)).await??;
    let next = (entries.len() == PAGE).then(|| entries.last().map(|e| e.name)).flatten();
    let (aside, judged): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.copy <= memory.kept);
    let tally = in_quarantine(meta, number, &aside, memory.kept).await?;
    let copies: Vec<_> =
        judged.iter().map(|entry| (entry.name, entry.writer, entry.copy)).collect();
    let mut condemned = Vec::new();
    if !copies.is_empty() {
        condemned = meta.condemned(number, &copies, kept).await?;
    }
    crash_point!("sweep.condemned");
    if condemned.is_empty() || !knows(meta, memory).await? {
        return Ok(Swept { count: 0, next, tally });
    }
    let count = condemned.len() as u64;
    let mut deletes = futures::stream::iter(condemned)
        .map(|(name, copy)| delete(node, name, copy))
        .buffer_unordered(CALLS);
    while let Some(result) = deletes.next().await {
        result?;
        crash_point!("sweep.chunk_deleted");
    }
    tracing::info!(node.number = number.0, chunk_count = count, "swept chunks");
    Ok(Swept { count, next, tally })
}

/// Counts what no row wants of the copies that are kept. That a writer of one lives says nothing
/// here: its commit may be what the database lost.
async fn in_quarantine(
    meta: &dyn Meta,
    number: NodeNumber,
    aside: &[ChunkEntry],
    kept: CopyNumber,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::of_nothing(kept);
    if aside.is_empty() {
        return Ok(tally);
    }
    let names = aside.iter().map(|entry| entry.name).collect::<Vec<_>>();
    let unplaced = meta.unplaced(number, &names).await?.into_iter().collect::<HashSet<_>>();
    for entry in aside.iter().filter(|entry| unplaced.contains(&entry.name)) {
        tally.unwanted.add(entry.size_bytes);
    }
    Ok(tally)
}

/// Whether the rows are those of a database that the node has seen lately. Until it has, it can't
/// say what it keeps, and nothing is deleted for want of a row.
pub(super) async fn knows(meta: &dyn Meta, memory: Memory) -> anyhow::Result<bool> {
    match memory.mark {
        Some(mark) => Ok(meta.is_recent(mark).await?),
        None => Ok(false),
    }
}

#[async_trait]
impl Job for Sweep {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        if self.position().is_none() {
            self.begin_round().await?;
        }
        let Some((number, after)) = self.position() else { return Ok(Progress::Idle(0)) };
        let Some(node) = self.nodes.node(number) else {
            self.advance(None, None);
            return Ok(self.progress(0));
        };
        match sweep_page(&*self.meta, number, &*node, after, self.kept).await {
            Ok(swept) => {
                self.note(number, &swept).await?;
                Ok(self.progress(swept.count))
            }
            // The next round comes back to it; the other nodes are not kept waiting.
            Err(error) => {
                self.advance(None, None);
                Err(error).with_context(|| format!("sweep node {number}"))
            }
        }
    }
}

impl Sweep {
    fn progress(&self, count: u64) -> Progress {
        if self.position().is_some() { Progress::More(count) } else { Progress::Idle(count) }
    }
}

async fn delete(node: &dyn Chunks, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
    match tokio::time::timeout(CALL_LIMIT, node.delete(name, copy)).await {
        // Gone, or another copy by now, which a later round judges anew.
        Ok(Err(NodeError::NotFound | NodeError::OtherCopy)) => Ok(()),
        Ok(result) => result,
        Err(_) => Err(NodeError::Unavailable(format!("no answer within {CALL_LIMIT:?}"))),
    }
}
