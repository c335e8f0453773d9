//! Which nodes there are and how each is, as this process sees it.
//!
//! A snapshot of the registry and the ring over it, read anew every few seconds, so that
//! neither a PUT nor a GET asks the database where a node is. An old snapshot is no danger:
//! chunks are where their extents' rows say, and a node refuses what was meant for another.

mod entry;

use super::breaker::BreakerState;
use super::client::Node;
use super::limits::NodeLimits;
use super::remote::{Connect, RemoteSettings};
use super::silence::{Liveness, Silence};
use crate::erasure::Scheme;
use crate::meta::types::{Extent, NodeRow, NodeState, Placement};
use crate::meta::{Meta, MetaError};
use crate::placement::{self, Member, Ring, Standing, TooFewNodes, Wish};
use arc_swap::ArcSwap;
pub use entry::Entry;
use futures::StreamExt;
use sixfold_proto::chunks::{Chunks, DriveState};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ExtentId, NodeNumber};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// More dead nodes than this at once are an outage, and nothing of theirs is made anew elsewhere.
const MOST_GIVEN_UP: usize = 2;

/// The nodes of the cluster, their addresses, states and the ring.
pub struct Directory {
    cluster: Uuid,
    meta: Arc<dyn Meta>,
    embedded: HashMap<NodeNumber, Arc<dyn Chunks>>,
    remote: Option<Arc<dyn Connect>>,
    limits: NodeLimits,
    snapshot: ArcSwap<Snapshot>,
    /// One refresh at a time, so that a slow older one can't undo a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

/// The registry at one moment.
#[derive(Default)]
pub struct Snapshot {
    ring: Ring,
    entries: BTreeMap<NodeNumber, Entry>,
    /// When the database answered with these rows.
    read: Option<Instant>,
}

impl Snapshot {
    /// All nodes that were ever registered, by number.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One node.
    pub fn entry(&self, node: NodeNumber) -> Option<&Entry> {
        self.entries.get(&node)
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Whether new chunks may be placed on a node.
    pub fn is_usable(&self, node: NodeNumber) -> bool {
        self.entry(node).is_some_and(Entry::is_usable)
    }

    /// The move that brings a chunk of an extent nearer to its place.
    pub fn wish(&self, extent: &Extent) -> Option<Wish> {
        let nobody = Standing { is_member: false, is_usable: false, is_readable: false };
        placement::wish(&self.ring, extent, |node| self.entry(node).map_or(nobody, Entry::standing))
    }

    /// The nodes that are being emptied.
    pub fn draining(&self) -> Vec<NodeNumber> {
        let draining = self.entries().filter(|entry| entry.row.state == NodeState::Draining);
        draining.map(|entry| entry.row.number).collect()
    }

    /// Removed nodes, and of the dead ones those that are `lost`, unless too many are dead.
    fn lost(&self, is_lost: impl Fn(&Entry) -> bool) -> Vec<NodeNumber> {
        let is_removed = |entry: &&Entry| entry.row.state == NodeState::Removed;
        let (removed, members): (Vec<_>, Vec<_>) = self.entries().partition(is_removed);
        let dead = members.iter().filter(|entry| entry.liveness() == Liveness::Dead).count();
        let lost = members.into_iter().filter(|entry| dead <= MOST_GIVEN_UP && is_lost(entry));
        let mut lost =
            removed.into_iter().chain(lost).map(|entry| entry.row.number).collect::<Vec<_>>();
        lost.sort_unstable();
        lost
    }

    /// Whether so many nodes are silent or dead that it is rather the network or this process
    /// that is ill, and nothing should be moved.
    pub fn is_outage(&self) -> bool {
        let members = self.entries().filter(|entry| entry.row.state != NodeState::Removed);
        members.filter(|entry| entry.liveness() != Liveness::Alive).count() > MOST_GIVEN_UP
    }
}

/// Why an extent could not be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPlaced {
    /// Enough nodes are there, but too few have room.
    Full,
    /// Too few nodes are there.
    TooFew(TooFewNodes),
}

impl Directory {
    /// A directory of the cluster `cluster`; `embedded` are the nodes in this process. It knows
    /// no node before the first [`Directory::refresh`].
    pub fn new(
        cluster: Uuid,
        meta: Arc<dyn Meta>,
        embedded: HashMap<NodeNumber, Arc<dyn Chunks>>,
    ) -> Arc<Self> {
        Self::with_limits(cluster, meta, embedded, None, NodeLimits::default())
    }

    /// A directory with limits of its own, that also calls the nodes that registered with an
    /// address, if there is a way to.
    pub fn with_limits(
        cluster: Uuid,
        meta: Arc<dyn Meta>,
        embedded: HashMap<NodeNumber, Arc<dyn Chunks>>,
        remote: Option<RemoteSettings>,
        limits: NodeLimits,
    ) -> Arc<Self> {
        let remote = remote.map(|settings| Arc::new(settings) as Arc<dyn Connect>);
        Self::connected(cluster, meta, embedded, remote, limits)
    }

    /// A directory whose nodes in other processes are reached by `remote`.
    pub(crate) fn connected(
        cluster: Uuid,
        meta: Arc<dyn Meta>,
        embedded: HashMap<NodeNumber, Arc<dyn Chunks>>,
        remote: Option<Arc<dyn Connect>>,
        limits: NodeLimits,
    ) -> Arc<Self> {
        let snapshot = ArcSwap::default();
        let refreshing = tokio::sync::Mutex::default();
        Arc::new(Self { cluster, meta, embedded, remote, limits, snapshot, refreshing })
    }

    /// The cluster's id.
    pub fn cluster(&self) -> Uuid {
        self.cluster
    }

    /// The registry as last read.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Nodes whose chunks are to be made anew elsewhere: removed ones, and those that have been dead
    /// for longer than the hold-down. None of the dead when more than two are: that is a cut
    /// network or an outage, and what is left should not be kept busy with it.
    pub fn gone(&self) -> Vec<NodeNumber> {
        self.snapshot.load().lost(Entry::is_given_up)
    }

    /// Removed and dead nodes, whose chunks some extents can't do without for as long as the
    /// hold-down. None of the dead when more than two are, or when so few nodes are left that
    /// nothing could be made anew: four have chunks of the extent, and a fifth is needed.
    pub fn dead(&self) -> Vec<NodeNumber> {
        let snapshot = self.snapshot.load();
        let usable = snapshot.entries().filter(|entry| entry.is_usable()).count();
        if usable < CHUNKS_PER_EXTENT - 1 {
            return Vec::new();
        }
        snapshot.lost(|entry| entry.liveness() == Liveness::Dead)
    }

    /// How to call a node, if there is a way.
    pub fn node(&self, node: NodeNumber) -> Option<Arc<Node>> {
        self.snapshot.load().entry(node)?.node.clone()
    }

    /// Reads the registry anew. An error leaves the snapshot as it was.
    pub async fn refresh(&self) -> Result<(), MetaError> {
        let _alone = self.refreshing.lock().await;
        let rows = self.meta.nodes().await?;
        let before = self.snapshot.load_full();
        let now = Instant::now();
        let step = before.read.map_or(Duration::ZERO, |read| now.duration_since(read));
        let entries = rows.into_iter().map(|row| (row.number, self.entry(row, &before, step)));
        let entries = entries.collect::<BTreeMap<_, _>>();
        let ring = Ring::new(&members(&entries), self.limits.tokens);
        self.snapshot.store(Arc::new(Snapshot { ring, entries, read: Some(now) }));
        Ok(())
    }

    /// Reads the registry again and again, at once when it is told of a change, and tries nodes
    /// whose breaker is half open, until told to stop.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.limits.refresh_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut changes = self.meta.registry_changes();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                Some(()) = changes.next() => {}
            }
            if let Err(error) = self.refresh().await {
                tracing::warn!(error = %error, "the registry of nodes can't be read: {error}");
            }
            self.try_half_open().await;
        }
    }

    /// The nodes of a new extent.
    pub(crate) fn place(&self, extent: ExtentId, scheme: Scheme) -> Result<Placement, NotPlaced> {
        self.fill(extent, scheme, [None; CHUNKS_PER_EXTENT], &[])
    }

    /// Nodes for the chunks that have none, other than `avoided`.
    pub(crate) fn fill(
        &self,
        extent: ExtentId,
        scheme: Scheme,
        kept: [Option<NodeNumber>; CHUNKS_PER_EXTENT],
        avoided: &[NodeNumber],
    ) -> Result<Placement, NotPlaced> {
        let snapshot = self.snapshot.load();
        let fill = |is_usable: &dyn Fn(&Entry) -> bool| {
            placement::fill(&snapshot.ring, extent, scheme, kept, |node| {
                !avoided.contains(&node) && snapshot.entry(node).is_some_and(is_usable)
            })
        };
        fill(&Entry::is_usable).or_else(|_| fill(&Entry::is_doubtful)).map_err(|refused| {
            let with_full = fill(&|entry| entry.is_doubtful() || entry.is_only_full());
            if with_full.is_ok() { NotPlaced::Full } else { NotPlaced::TooFew(refused) }
        })
    }

    fn entry(&self, row: NodeRow, before: &Snapshot, step: Duration) -> Entry {
        let known = before.entry(row.number);
        let age = Duration::try_from_secs_f64(row.silent_for.max(0.0)).unwrap_or(Duration::MAX);
        let silence = match known {
            Some(known) if known.row.registration == row.registration => {
                known.silence.next(age, step, &self.limits)
            }
            _ => Silence::first(age, &self.limits),
        };
        let is_embedded = self.embedded.contains_key(&row.number);
        Entry { node: self.node_of(&row, known), row, silence, limits: self.limits, is_embedded }
    }

    /// The handle of before where the node is still the same one; otherwise a new one.
    fn node_of(&self, row: &NodeRow, known: Option<&Entry>) -> Option<Arc<Node>> {
        if row.state == NodeState::Removed {
            return None;
        }
        if let Some(known) = known
            && known.row.address == row.address
            && let Some(node) = &known.node
            && (known.row.registration == row.registration || row.address.is_none())
        {
            if known.row.registration != row.registration {
                node.registered_anew();
            }
            return Some(Arc::clone(node));
        }
        if let Some(chunks) = self.embedded.get(&row.number) {
            return Some(Arc::new(Node::new(row.number, Arc::clone(chunks), &self.limits)));
        }
        let address = row.address.as_ref().filter(|address| !address.is_empty());
        let (settings, address) = (self.remote.as_ref()?, address?);
        let registration = u64::try_from(row.registration).unwrap_or_default();
        match settings.connect(row.number, registration, address, self.limits.connect) {
            Ok(remote) => Some(Arc::new(Node::new(row.number, remote, &self.limits))),
            Err(error) => {
                let node = row.number.0;
                tracing::error!(node.id = node, "node {node} can't be called: {error}");
                None
            }
        }
    }

    /// Asks nodes that failed some time ago how they are, until they answered often enough.
    async fn try_half_open(&self) {
        let snapshot = self.snapshot();
        let nodes = snapshot.entries().filter_map(Entry::node);
        let half_open = nodes.filter(|node| node.breaker() == BreakerState::HalfOpen);
        let tries = half_open.map(|node| async move {
            while node.breaker() == BreakerState::HalfOpen {
                let Ok(health) = node.health().await else { break };
                if health.state != DriveState::Ok {
                    break;
                }
            }
        });
        futures::future::join_all(tries).await;
    }
}

fn members(entries: &BTreeMap<NodeNumber, Entry>) -> Vec<Member> {
    let present = entries.values().filter(|entry| entry.row.state != NodeState::Removed);
    let member = |entry: &Entry| Member {
        node: entry.row.number,
        seat: entry.row.seat,
        zone: entry.row.zone.clone(),
        weight: entry.row.weight,
    };
    present.map(member).collect()
}

#[cfg(test)]
mod tests;
