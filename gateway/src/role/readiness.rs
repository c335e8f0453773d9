//! Keeps what health probes are told up to date.

use crate::erasure::Scheme;
use crate::http::health::{Health, Readiness};
use crate::lease::{ClockState, Lease};
use crate::meta::Meta;
use crate::nodes::{Directory, Entry, Snapshot};
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
            self.health.set_writable(is_enough(&self.directory.snapshot(), Entry::is_in_service));
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
        of_nodes(&self.directory.snapshot())
    }
}

/// Whether enough nodes answer for objects to be read. A full node counts: what is on it can be
/// read and deleted, and whoever is to delete something must not be sent away.
fn of_nodes(snapshot: &Snapshot) -> Readiness {
    if is_enough(snapshot, Entry::is_reachable) {
        return Readiness::Ready;
    }
    let answering = snapshot.entries().filter(|entry| entry.is_reachable()).count();
    let known = snapshot.entries().count();
    Readiness::NotReady(format!("only {answering} of {known} nodes answer"))
}

/// Whether the nodes of which `counts` is true suffice for an object's six chunks.
fn is_enough(snapshot: &Snapshot, counts: impl Fn(&Entry) -> bool) -> bool {
    let known = snapshot.entries().count();
    // Smaller clusters double chunks up, two to a node at most: fewer than three place nothing.
    let needed = Scheme::FourTwo.data_count().min(known.max(FEWEST_NODES));
    snapshot.entries().filter(|entry| counts(entry)).count() >= needed
}

#[cfg(test)]
mod tests {
    use super::{is_enough, of_nodes};
    use crate::http::health::Readiness;
    use crate::meta::Meta;
    use crate::meta::model::Model;
    use crate::meta::types::{NodeCondition, NodeState};
    use crate::nodes::fake::FakeNode;
    use crate::nodes::{Directory, Entry};
    use sixfold_proto::chunks::Chunks;
    use std::collections::HashMap;
    use std::sync::Arc;
    use uuid::Uuid;

    #[tokio::test]
    async fn full_nodes_count_and_lost_ones_do_not() {
        let meta: Arc<dyn Meta> = Arc::new(Model::new());
        let mut nodes: HashMap<_, Arc<dyn Chunks>> = HashMap::new();
        for _ in 0..6 {
            let row = meta.register_node(Uuid::new_v4(), None, "local", 1.0).await.unwrap();
            let state = NodeState::Full;
            let full = NodeCondition { state, capacity_bytes: 100, free_bytes: 0, chunk_count: 7 };
            meta.heartbeat(row.number, row.registration, full).await.unwrap();
            nodes.insert(row.number, FakeNode::new(row.number));
        }
        let mut there: Vec<_> = nodes.keys().copied().collect();
        for (left, is_ready) in [(6, true), (4, true), (3, false)] {
            there.truncate(left);
            let nodes = there.iter().map(|number| (*number, Arc::clone(&nodes[number]))).collect();
            let cluster = meta.cluster_id().await.unwrap();
            let directory = Directory::new(cluster, Arc::clone(&meta), nodes);
            directory.refresh().await.unwrap();
            let readiness = of_nodes(&directory.snapshot());
            assert_eq!(readiness == Readiness::Ready, is_ready, "{left} left: {readiness:?}");
            let is_writable = is_enough(&directory.snapshot(), Entry::is_in_service);
            assert_eq!(is_writable, is_ready, "{left} left");
        }
    }
}
