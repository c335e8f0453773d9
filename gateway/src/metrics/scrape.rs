//! What a scrape gets. Most of it was counted as it happened; the rest is looked up here, within
//! limits: what takes too long stays as it was, and a scrape never fails.

use super::minio;
use crate::data::Data;
use crate::erasure::Scheme;
use crate::http::front::Front;
use crate::http::health::{Health, Readiness};
use crate::http::tls::Tls;
use crate::lease::Lease;
use crate::meta::pg::Pg;
use crate::meta::types::{Backlogs, NodeState, Quarantine};
use crate::meta::{Meta, MetaError};
use crate::nodes::{BreakerState, Directory, Entry, Liveness, Snapshot};
use metrics_exporter_prometheus::PrometheusHandle;
use sixfold_node::Store;
use sixfold_node::metrics::{flag, gauge, show_certificate, show_drive, show_process, show_state};
use sixfold_proto::metrics::{self as names, Metric};
use sixfold_proto::name::CHUNKS_PER_EXTENT;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How old what the database said may be. Several scrapers make one look.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The longest that a look at the database or at the drives may take; Prometheus waits for 10 s.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// A node's states as this process sees them.
const NODE_STATES: [&str; 7] = ["alive", "silent", "dead", "draining", "full", "fenced", "removed"];

/// A breaker's states.
const BREAKER_STATES: [&str; 3] = ["closed", "open", "half_open"];

/// What is looked at.
pub struct Sources {
    /// The database.
    pub pg: Pg,
    /// The nodes.
    pub directory: Arc<Directory>,
    /// The bodies on their way.
    pub data: Data,
    /// The lease, which knows the clocks.
    pub lease: Arc<Lease>,
    /// Readiness.
    pub health: Health,
    /// The requests that run.
    pub front: Front,
    /// The embedded nodes' drives.
    pub drives: Vec<Arc<Store>>,
    /// This process's certificates, by what they are for.
    pub certificates: Vec<(&'static str, Certificate)>,
}

/// A certificate of this process.
pub enum Certificate {
    /// The listener's, which may change.
    Listener(Tls),
    /// One that was read at the start, by when it ends.
    Ends(u64),
}

/// Answers scrapes.
pub struct Scrape {
    sources: Sources,
    recorded: PrometheusHandle,
    /// When the database was looked at.
    looked: Mutex<Option<Instant>>,
    /// A look at the drives that hangs is not joined by others.
    is_at_drives: Arc<AtomicBool>,
}

impl Scrape {
    /// Shows `sources` beside what is recorded.
    pub fn new(sources: Sources, recorded: PrometheusHandle) -> Self {
        let is_at_drives = Arc::default();
        Self { sources, recorded, looked: Mutex::default(), is_at_drives }
    }

    /// Everything, as Prometheus reads it.
    pub async fn text(&self) -> String {
        tokio::join!(self.look_at_database(), self.look_at_drives());
        self.show();
        self.recorded.render()
    }

    /// The series that dashboards for MinIO ask for.
    pub async fn minio_text(&self) -> String {
        minio::translate(&self.text().await)
    }

    fn show(&self) {
        let sources = &self.sources;
        show_process();
        sources.pg.show_metrics();
        let (in_flight, limit) = sources.front.requests();
        set(&names::IN_FLIGHT, in_flight as f64);
        set(&names::REQUESTS_LIMIT, limit as f64);
        let (stripes, limit) = sources.data.stripes();
        set(&names::STRIPES, stripes as f64);
        set(&names::STRIPES_LIMIT, limit as f64);
        set(&names::READY, flag(sources.health.get() == Readiness::Ready));
        set(&names::WRITABLE, flag(sources.health.is_writable()));
        set(&names::CLOCK, sources.lease.clock_ahead().as_seconds_f64());
        for (name, certificate) in &sources.certificates {
            let ends = match certificate {
                Certificate::Listener(tls) => tls.ends(),
                Certificate::Ends(at) => Some(*at),
            };
            ends.iter().for_each(|ends| show_certificate(name, *ends));
        }
        let snapshot = sources.directory.snapshot();
        snapshot.entries().for_each(show_node);
        self.show_capacity(&snapshot);
    }

    /// Sums over the nodes that are members. Folders on one device are told apart only where this
    /// process has them.
    fn show_capacity(&self, snapshot: &Snapshot) {
        let mut devices = HashSet::new();
        let (mut capacity, mut free) = (0, 0);
        for entry in snapshot.entries().filter(|entry| entry.row.state != NodeState::Removed) {
            let ours = self.sources.drives.iter().find(|drive| drive.node() == entry.row.number);
            if ours.is_none_or(|drive| devices.insert(drive.device())) {
                capacity += entry.row.capacity_bytes;
                free += entry.row.free_bytes;
            }
        }
        set(&names::CAPACITY, capacity as f64);
        set(&names::FREE, free as f64);
        set(&names::USABLE, usable(capacity) as f64);
        set(&names::USABLE_FREE, usable(free) as f64);
    }

    async fn look_at_database(&self) {
        let Ok(mut looked) = timeout(LOOK_LIMIT, self.looked.lock()).await else { return };
        if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        let is_up = within(self.sources.pg.cluster_id()).await.is_some();
        set(&names::DATABASE_UP, flag(is_up));
        if is_up && let Some(backlogs) = within(self.sources.pg.backlogs()).await {
            show_backlogs(&backlogs);
        }
        if is_up && let Some(kept) = within(self.sources.pg.quarantines()).await {
            show_quarantine(&kept);
        }
        *looked = Some(Instant::now());
    }

    async fn look_at_drives(&self) {
        if self.sources.drives.is_empty() || self.is_at_drives.swap(true, Ordering::AcqRel) {
            return;
        }
        let (drives, busy) = (self.sources.drives.clone(), Arc::clone(&self.is_at_drives));
        let look = tokio::task::spawn_blocking(move || {
            drives.iter().for_each(|drive| show_drive(drive));
            busy.store(false, Ordering::Release);
        });
        // A drive that hangs is seen by its calls; the next look waits until it answers.
        let _ = timeout(LOOK_LIMIT, look).await;
    }
}

/// What objects can take of so many bytes on the drives.
fn usable(bytes: u64) -> u64 {
    bytes / CHUNKS_PER_EXTENT as u64 * Scheme::FourTwo.data_count() as u64
}

async fn within<T>(call: impl Future<Output = Result<T, MetaError>>) -> Option<T> {
    timeout(LOOK_LIMIT, call).await.ok()?.ok()
}

fn show_backlogs(backlogs: &Backlogs) {
    let Backlogs { degraded, at_risk, unrecoverable, .. } = *backlogs;
    set(&names::DEGRADED, degraded as f64);
    set(&names::AT_RISK, at_risk as f64);
    set(&names::UNRECOVERABLE, unrecoverable as f64);
    set(&names::HEAL_BACKLOG, (degraded + at_risk + unrecoverable) as f64);
    set(&names::COLLECT_BACKLOG, backlogs.freed_bodies as f64);
    set(&names::COLLECT_OLDEST, backlogs.freed_s_ago);
    set(&names::UPLOADS, backlogs.uploads as f64);
    set(&names::UPLOADS_OLDEST, backlogs.upload_s_ago);
    set(&names::LEASES, backlogs.leases as f64);
}

fn show_quarantine(kept: &[Quarantine]) {
    let chunks = kept.iter().filter_map(|node| node.chunks).sum::<u64>();
    let bytes = kept.iter().filter_map(|node| node.bytes).sum::<u64>();
    set(&names::QUARANTINE_NODES, kept.len() as f64);
    set(&names::QUARANTINE_CHUNKS, chunks as f64);
    set(&names::QUARANTINE_BYTES, bytes as f64);
}

fn show_node(entry: &Entry) {
    let node = entry.row.number.to_string();
    show_state(&names::NODE_STATE, &node, &NODE_STATES, node_state(entry));
    let label = [("node", node.clone())];
    gauge(&names::NODE_CAPACITY, &label).set(entry.row.capacity_bytes as f64);
    gauge(&names::NODE_FREE, &label).set(entry.row.free_bytes as f64);
    gauge(&names::NODE_CHUNKS, &label).set(entry.row.chunk_count.unwrap_or(0) as f64);
    let Some(called) = entry.node() else { return };
    let breaker = match called.breaker() {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    };
    show_state(&names::BREAKER, &node, &BREAKER_STATES, breaker);
    gauge(&names::NODE_LATENCY, &label).set(called.latency().as_secs_f64());
}

/// Removed is final, and what a silent node last said of itself means little.
pub(crate) fn node_state(entry: &Entry) -> &'static str {
    match (entry.row.state, entry.shown_liveness()) {
        (NodeState::Removed, _) => "removed",
        (_, Liveness::Dead) => "dead",
        (_, Liveness::Silent) => "silent",
        (NodeState::Draining, _) => "draining",
        (NodeState::Full, _) => "full",
        (NodeState::Fenced, _) => "fenced",
        (NodeState::Active, Liveness::Alive) => "alive",
    }
}

fn set(metric: &'static Metric, value: f64) {
    gauge(metric, &[]).set(value);
}
