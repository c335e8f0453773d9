//! Compares what each node holds with the rows, and deletes what no row wants: leftovers of
//! aborted writes, of moves, and of collections that a node was away from.
//!
//! A unit of work is a page of one node. The rule for deleting is the database's
//! ([`Meta::condemned`]) and the node's (the copy number must still be the one listed).

use super::{Job, JobPace, Nodes, Paces, Progress, lock};
use crate::meta::Meta;
use crate::meta::types::NodeState;
use crate::points::crash_point;
use anyhow::Context;
use async_trait::async_trait;
use futures::StreamExt;
use sixfold_proto::chunks::{Chunks, NodeError};
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
        self.set(Round { nodes: nodes.map(|row| row.number).collect(), after: None });
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
            round.nodes.pop_front();
        }
    }
}

/// Sweeps a page of a node; answers how many copies went and where the next page begins. What was
/// moved away is left for `kept`.
pub(super) async fn sweep_page(
    meta: &dyn Meta,
    number: NodeNumber,
    node: &dyn Chunks,
    after: Option<ChunkName>,
    kept: Duration,
) -> anyhow::Result<(u64, Option<ChunkName>)> {
    let entries = tokio::time::timeout(CALL_LIMIT, node.list(after, PAGE)).await??;
    let copies: Vec<_> =
        entries.iter().map(|entry| (entry.name, entry.writer, entry.copy)).collect();
    let next = (entries.len() == PAGE).then(|| entries.last().map(|e| e.name)).flatten();
    if copies.is_empty() {
        return Ok((0, None));
    }
    let condemned = meta.condemned(number, &copies, kept).await?;
    crash_point!("sweep.condemned");
    let count = condemned.len() as u64;
    let mut deletes = futures::stream::iter(condemned)
        .map(|(name, copy)| delete(node, name, copy))
        .buffer_unordered(CALLS);
    while let Some(result) = deletes.next().await {
        result?;
        crash_point!("sweep.chunk_deleted");
    }
    if count > 0 {
        tracing::info!(node.number = number.0, chunk_count = count, "swept chunks");
    }
    Ok((count, next))
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
            Ok((count, next)) => {
                self.advance(next);
                Ok(self.progress(count))
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
