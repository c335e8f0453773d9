//! Compares what each node holds with the rows, and deletes what no row wants: leftovers of
//! aborted writes, of moves, and of collections that a node was away from.
//!
//! A unit of work is a page of one node. The rule for deleting is the database's
//! ([`Meta::condemned`]) and the node's (the copy number must still be the one listed). What a node
//! keeps because the database went back in time is only counted.

use super::{Job, JobPace, Nodes, Paces, Progress, lock};
use crate::meta::Meta;
use crate::meta::types::NodeState;
use crate::points::crash_point;
use anyhow::Context;
use async_trait::async_trait;
use futures::StreamExt;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::history::Memory;
use sixfold_proto::name::{ChunkName, CopyNumber, NodeNumber};
use std::collections::VecDeque;
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
    /// What the current one keeps so far although no row wants it: chunks and bytes.
    quarantined: (u64, u64),
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
    fn advance(&self, after: Option<ChunkName>) {
        let mut round = lock(&self.round);
        round.after = after;
        if after.is_none() {
            round.quarantined = (0, 0);
            round.nodes.pop_front();
        }
    }

    /// Counts what a node keeps, and notes it after its last page.
    async fn count(&self, number: NodeNumber, swept: &Swept) -> anyhow::Result<()> {
        let (chunks, bytes) = {
            let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
            let (chunks, bytes) = round.quarantined;
            round.quarantined = (chunks + swept.quarantined, bytes + swept.quarantined_bytes);
            round.quarantined
        };
        if swept.next.is_none() {
            self.meta.count_quarantine(number, chunks, bytes).await?;
        }
        Ok(())
    }
}

/// What came of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Copies that were deleted.
    pub(super) count: u64,
    /// Where the next page begins; `None` after the last.
    pub(super) next: Option<ChunkName>,
    /// Copies that no row wants and that are kept: the database went back in time.
    quarantined: u64,
    /// Their bytes.
    quarantined_bytes: u64,
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
    let copies: Vec<_> =
        entries.iter().map(|entry| (entry.name, entry.writer, entry.copy)).collect();
    let next = (entries.len() == PAGE).then(|| entries.last().map(|e| e.name)).flatten();
    let mut swept = Swept { next, ..Swept::default() };
    if copies.is_empty() {
        return Ok(swept);
    }
    let mut condemned = meta.condemned(number, &copies, kept).await?;
    crash_point!("sweep.condemned");
    if condemned.is_empty() || !knows(meta, memory).await? {
        return Ok(swept);
    }
    condemned.retain(|(_, copy)| {
        *copy > memory.kept || {
            swept.quarantined += 1;
            let entry = entries.iter().find(|entry| entry.copy == *copy);
            swept.quarantined_bytes += entry.map_or(0, |entry| entry.size_bytes);
            false
        }
    });
    swept.count = condemned.len() as u64;
    let mut deletes = futures::stream::iter(condemned)
        .map(|(name, copy)| delete(node, name, copy))
        .buffer_unordered(CALLS);
    while let Some(result) = deletes.next().await {
        result?;
        crash_point!("sweep.chunk_deleted");
    }
    if swept.count > 0 {
        tracing::info!(node.number = number.0, chunk_count = swept.count, "swept chunks");
    }
    Ok(swept)
}

/// Whether the rows are those of a database that the node has seen lately. Until it has, it can't
/// say what it keeps, and nothing is deleted for want of a row.
async fn knows(meta: &dyn Meta, memory: Memory) -> anyhow::Result<bool> {
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
            self.advance(None);
            return Ok(self.progress(0));
        };
        match sweep_page(&*self.meta, number, &*node, after, self.kept).await {
            Ok(swept) => {
                self.count(number, &swept).await?;
                self.advance(swept.next);
                Ok(self.progress(swept.count))
            }
            // The next round comes back to it; the other nodes are not kept waiting.
            Err(error) => {
                self.advance(None);
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
