//! The chunk copies that a write has made so far, and how they are given up.

use crate::nodes::Directory;
use crate::points::{crash_point, in_process};
use futures::StreamExt;
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::{ChunkName, CopyNumber, NodeNumber};
use std::sync::{Arc, Mutex, PoisonError};

/// Deletes under way at a time for one body that is given up.
const DELETES_AT_ONCE: usize = 12;

/// The chunk copies of a written body.
#[derive(Debug, Default)]
pub struct Copies(Option<Ledger>);

impl Copies {
    /// Deletes the copies in the background, as far as the nodes answer. Only for a body whose
    /// commit certainly failed: never after an outcome that is not known.
    pub fn discard(self) {
        if let Some(ledger) = &self.0 {
            ledger.discard();
        }
    }
}

/// Every copy that was acknowledged, whoever waited for it.
#[derive(Clone)]
pub(super) struct Ledger {
    directory: Arc<Directory>,
    copies: Arc<Mutex<Vec<(NodeNumber, ChunkName, CopyNumber)>>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ledger").field(&self.copies).finish()
    }
}

impl Ledger {
    pub(super) fn note(&self, node: NodeNumber, name: ChunkName, copy: CopyNumber) {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).push((node, name, copy));
    }

    fn discard(&self) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = std::mem::take(&mut *copies);
        let directory = Arc::clone(&self.directory);
        // Without a runtime the process is ending, and the sweep does this later.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if copies.is_empty() {
            return;
        }
        runtime.spawn(in_process(async move {
            let deletes = copies.into_iter().map(|(node, name, copy)| {
                let node = directory.node(node);
                async move {
                    let Some(node) = node else { return };
                    let deleted = node.delete(name, copy).await;
                    crash_point!("discard.chunk_deleted");
                    if let Err(error) = deleted {
                        tracing::debug!(chunk = %name, "left to the sweep: {name}: {error}");
                    }
                }
            });
            let deletes = futures::stream::iter(deletes);
            deletes.for_each_concurrent(DELETES_AT_ONCE, |delete| delete).await;
        }));
    }
}

/// Discards the copies when it is dropped, unless they are kept: a write that ends early, by an
/// error or because nobody waits for it any more, leaves as little as it can.
pub(super) struct Unfinished(Option<Ledger>);

impl Unfinished {
    pub(super) fn new(directory: &Arc<Directory>) -> (Self, Ledger) {
        let ledger = Ledger { directory: Arc::clone(directory), copies: Arc::default() };
        (Self(Some(ledger.clone())), ledger)
    }

    pub(super) fn keep(mut self) -> Copies {
        Copies(self.0.take())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(ledger) = &self.0 {
            ledger.discard();
        }
    }
}
