//! Reports chunks that readers found missing or damaged, without making them wait.

use crate::meta::Meta;
use crate::meta::types::ChunkSet;
use crate::points::{crash_point, in_process};
use sixfold_proto::name::ChunkName;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Reports that may wait. More are dropped: the next reader, or the scrub, finds them again.
const QUEUE_LENGTH: usize = 1024;

/// Where readers leave what they found.
#[derive(Clone)]
pub(super) struct Missing(mpsc::Sender<ChunkName>);

impl Missing {
    /// Starts the task that writes the reports down; it ends with the last handle.
    pub(super) fn start(meta: Arc<dyn Meta>) -> Self {
        let (sender, mut reports) = mpsc::channel::<ChunkName>(QUEUE_LENGTH);
        tokio::spawn(in_process(async move {
            while let Some(name) = reports.recv().await {
                crash_point!("missing.reported");
                let chunks = ChunkSet(1 << name.index.get());
                if let Err(error) = meta.mark_missing(name.extent, chunks).await {
                    tracing::warn!(chunk = %name, "chunk {name} can't be marked missing: {error}");
                }
            }
        }));
        Self(sender)
    }

    pub(super) fn report(&self, name: ChunkName) {
        if self.0.try_send(name).is_err() {
            tracing::debug!(chunk = %name, "no room to report chunk {name} as missing");
        }
    }
}
