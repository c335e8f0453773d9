//! Background work: a name, a unit of work, a pace.
//!
//! Every job is idempotent and safe when two processes run it at once; its state is in the
//! database, and what it did is visible to the operator.

mod check;
mod collect;
mod end_leases;
mod expire_uploads;
mod heal;
mod pace;
mod rebalance;
mod runner;
mod sweep;
#[cfg(test)]
mod tests;

pub use check::{Check, CheckState, Count, NAME as CHECK, Phase, Unwanted};
pub use collect::Collect;
pub use end_leases::EndLeases;
pub use expire_uploads::ExpireUploads;
pub use heal::{Gone, Heal, Healer};
pub use pace::{JobPace, Paces};
pub use rebalance::Rebalance;
pub use runner::{Job, Progress, Runner};
pub use sweep::Sweep;

use crate::data::{CurrentLease, Data};
use crate::meta::Meta;
use crate::nodes::{Directory, Entry, Liveness};
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::NodeNumber;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How jobs reach nodes.
pub trait Nodes: Send + Sync + 'static {
    /// The node, unless it is known to be away.
    fn node(&self, number: NodeNumber) -> Option<Arc<dyn Chunks>>;
    /// Whether what the node says of its drive can be believed: an embedded node whose drive was
    /// taken away answers on, and is not heard of any more.
    fn is_heard(&self, _number: NodeNumber) -> bool {
        true
    }
}

impl Nodes for Directory {
    fn node(&self, number: NodeNumber) -> Option<Arc<dyn Chunks>> {
        let snapshot = self.snapshot();
        let entry = snapshot.entry(number)?;
        if entry.liveness() == Liveness::Dead {
            return None;
        }
        Some(entry.node()?.clone())
    }

    fn is_heard(&self, number: NodeNumber) -> bool {
        self.snapshot().entry(number).is_some_and(Entry::is_heard)
    }
}

/// The data path with the lease that chunks are healed and moved under: never one that bodies are
/// written under, whose own copies may go as soon as their commit is over.
#[derive(Clone)]
pub struct Mover {
    data: Data,
    lease: Arc<dyn CurrentLease>,
}

impl Mover {
    /// Joins the two.
    pub fn new(data: Data, lease: Arc<dyn CurrentLease>) -> Self {
        Self { data, lease }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every job of a server or gateway.
pub fn all(
    meta: &Arc<dyn Meta>,
    directory: &Arc<Directory>,
    mover: &Mover,
    paces: &Paces,
) -> Vec<Arc<dyn Job>> {
    let nodes = Arc::clone(directory) as Arc<dyn Nodes>;
    let (healer, gone) = (Arc::new(mover.clone()), Arc::clone(directory) as Arc<dyn Gone>);
    vec![
        Arc::new(Collect::new(meta.clone(), nodes.clone(), paces)),
        Arc::new(Sweep::new(meta.clone(), nodes, paces)),
        Arc::new(Rebalance::new(meta.clone(), Arc::clone(directory), mover.clone(), paces)),
        Arc::new(Heal::new(meta.clone(), healer, gone, paces)),
        Arc::new(ExpireUploads::new(meta.clone(), paces)),
        Arc::new(EndLeases::new(meta.clone(), paces)),
    ]
}
