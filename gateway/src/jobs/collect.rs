//! Deletes the chunks of bodies without references, then forgets the bodies.
//!
//! A freed body is never revived, and by its age no read needs it, so its chunks may go while
//! the lease under which they were written lives on. What a node that is away keeps, the sweep
//! finds once that lease has ended.

use super::{Job, JobPace, Nodes, Paces, Progress};
use crate::meta::{FREED_EXTENTS, FreedBody, Meta};
use crate::points::crash_point;
use async_trait::async_trait;
use futures::StreamExt;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::name::{ChunkIndex, ChunkName, NodeNumber};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Bodies of one unit of work; fewer when they have many extents ([`FREED_EXTENTS`]).
const PER_STEP: usize = 2000;

/// Deletes under way on one node: enough for it to share its syncs, and few enough to leave an
/// embedded node threads for reads and writes.
const CALLS_PER_NODE: usize = 16;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// After so many failures a node is taken to be away, for this unit of work.
const FAILURES_PER_NODE: u32 = 3;

/// The job `collect`.
pub struct Collect {
    meta: Arc<dyn Meta>,
    nodes: Arc<dyn Nodes>,
    pace: JobPace,
    at_least: Duration,
}

impl Collect {
    /// With the pace and age of `paces`.
    pub fn new(meta: Arc<dyn Meta>, nodes: Arc<dyn Nodes>, paces: &Paces) -> Self {
        Self { meta, nodes, pace: paces.collect, at_least: paces.collect_after }
    }
}

#[async_trait]
impl Job for Collect {
    fn name(&self) -> &'static str {
        "collect"
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        let bodies = self.meta.freed_bodies(self.at_least, PER_STEP).await?;
        crash_point!("collect.listed");
        let on_each = by_node(&bodies).into_iter();
        futures::future::join_all(on_each.map(|(number, names)| async move {
            // One that is away is left to the sweep.
            if let Some(node) = self.nodes.node(number) {
                delete_all(number, &*node, names).await;
            }
        }))
        .await;
        crash_point!("collect.deleted");
        let ids: Vec<_> = bodies.iter().map(|body| body.id).collect();
        if !ids.is_empty() {
            self.meta.forget_bodies(&ids).await?;
            crash_point!("collect.forgotten");
        }
        let count = ids.len() as u64;
        let extents: usize = bodies.iter().map(|body| body.extents.len()).sum();
        let is_cut = ids.len() == PER_STEP || extents >= FREED_EXTENTS;
        Ok(if is_cut { Progress::More(count) } else { Progress::Idle(count) })
    }
}

/// The chunks of these bodies by the node that holds them.
fn by_node(bodies: &[FreedBody]) -> BTreeMap<NodeNumber, Vec<ChunkName>> {
    let mut chunks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for extent in bodies.iter().flat_map(|body| &body.extents) {
        for (index, node) in ChunkIndex::ALL.into_iter().zip(extent.placement) {
            chunks.entry(node).or_default().push(ChunkName { extent: extent.id, index });
        }
    }
    chunks
}

/// Deletes what is there. A node that fails several times is left alone.
async fn delete_all(number: NodeNumber, node: &dyn Chunks, names: Vec<ChunkName>) {
    let failures = AtomicU32::new(0);
    let failures = &failures;
    let delete = |name| async move {
        if failures.load(Ordering::Relaxed) >= FAILURES_PER_NODE {
            return;
        }
        if let Err(error) = delete_one(node, name).await {
            let count = failures.fetch_add(1, Ordering::Relaxed) + 1;
            if count == FAILURES_PER_NODE {
                tracing::warn!(node.number = number.0, %error, "left to the sweep");
            }
        }
    };
    futures::stream::iter(names).for_each_concurrent(CALLS_PER_NODE, delete).await;
}

async fn delete_one(node: &dyn Chunks, name: ChunkName) -> Result<(), NodeError> {
    let call = async {
        let entry = node.stat(name).await?;
        let deleted = node.delete(name, entry.copy).await;
        crash_point!("collect.chunk_deleted");
        deleted
    };
    match tokio::time::timeout(CALL_LIMIT, call).await {
        // Gone already, or written again meanwhile by a late mover, whose copy the sweep finds.
        Ok(Err(NodeError::NotFound | NodeError::OtherCopy)) => Ok(()),
        Ok(result) => result,
        Err(_) => Err(NodeError::Unavailable(format!("no answer within {CALL_LIMIT:?}"))),
    }
}
