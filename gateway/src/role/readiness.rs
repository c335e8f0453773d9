//! Keeps what health probes are told up to date.

use crate::erasure::Scheme;
use crate::http::health::{Health, Readiness};
use crate::lease::{ClockState, Lease};
use crate::meta::Meta;
use crate::nodes::Directory;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(2);

/// Six chunks, at most two of them on a node.
const FEWEST_NODES: usize = 3;

/// What readiness is judged by.
pub(super) struct Watch {
    pub(super) health: Health,
    pub(super) meta: Arc<dyn Meta>,
    pub(super) directory: Arc<Directory>,
    pub(super) lease: Arc<Lease>,
}

impl Watch {
    /// Looks until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            self.health.set(self.look().await);
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => break,
            }
        }
        self.health.set(Readiness::Draining);
    }

    async fn look(&self) -> Readiness {
        if let Err(error) = self.meta.cluster_id().await {
            return Readiness::NotReady(format!("the database does not answer: {error}"));
        }
        if self.lease.clock_state() == ClockState::Unusable {
            let reason = "this machine's clock differs from the database's by over ten minutes";
            return Readiness::NotReady(reason.to_owned());
        }
        let snapshot = self.directory.snapshot();
        let usable = snapshot.entries().filter(|entry| entry.is_usable()).count();
        let known = snapshot.entries().count();
        // Smaller clusters double chunks up, two to a node at most: fewer than three place nothing.
        let needed = Scheme::FourTwo.data_count().min(known.max(FEWEST_NODES));
        if usable < needed {
            return Readiness::NotReady(format!("only {usable} of {known} nodes are usable"));
        }
        Readiness::Ready
    }
}
