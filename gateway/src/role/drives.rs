//! The embedded nodes: drives opened, registered under the id they carry, and kept alive.

use super::home::Home;
use crate::config::Config;
use crate::meta::types::{NodeCondition, NodeRow, NodeState};
use crate::meta::{Meta, MetaError};
use crate::nodes::EmbeddedRows;
use crate::shutdown::Shutdown;
use anyhow::Context;
use sixfold_node::scrub::Scrub;
use sixfold_node::{Journal, OpenError, Store, StoreOptions};
use sixfold_proto::chunks::{Chunks, DriveState};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The fewest drives with which a server starts: with fewer nothing under the default scheme can
/// be read or written, and the cause is more likely a wrong path than three lost drives.
const MIN_DRIVES: usize = 4;

/// What embedded nodes' zones are called when the settings name none.
const DEFAULT_ZONE: &str = "local";

/// An opened drive.
pub(super) struct Opened {
    store: Arc<Store>,
    path: PathBuf,
}

impl Opened {
    /// Its directory and its device.
    pub(super) fn spot(&self) -> (&Path, u64) {
        (&self.path, self.store.device())
    }
}

/// Opens what is there. The nodes `known` were registered at an earlier start (none at the first),
/// and each has a drive: one that is missing, exchanged or broken is a lost one, as long as enough are left. An
/// empty directory becomes a drive only where more are named than are known: otherwise it is
/// rather a drive that is not mounted, and chunks must not go to what is below.
pub(super) async fn open(
    home: &Home,
    known: &[NodeRow],
    cluster: Uuid,
) -> anyhow::Result<Vec<Opened>> {
    let paths = &home.drives;
    let is_new = known.is_empty();
    let journal = begin_journal(home.journal.as_deref()).await?;
    let strange = paths.iter().filter(|path| !Store::is_drive(path)).count();
    let may_make = known.len() + strange <= paths.len();
    let mut opened: Vec<Opened> = Vec::new();
    for path in paths {
        let directory = path.clone();
        let journal = journal.clone();
        let options = StoreOptions { verify_reads: true, journal, ..StoreOptions::default() };
        let store = tokio::task::spawn_blocking(move || {
            if !may_make && !directory.is_dir() {
                return Err(lost(directory));
            }
            if !may_make && !Store::is_drive(&directory) {
                return Err(OpenError::NoIdentity { path: directory });
            }
            let store = Store::open(&directory, options)?;
            store.join(cluster).map(|()| store)
        });
        match store.await? {
            Ok(store) => {
                let twin = opened.iter().find(|other| other.store.drive_id() == store.drive_id());
                if let Some(twin) = twin {
                    anyhow::bail!(
                        "{} and {} carry the same drive id: one is a copy of the other; name only \
                         the newer one",
                        twin.path.display(),
                        path.display()
                    );
                }
                opened.push(Opened { store: Arc::new(store), path: path.clone() });
            }
            Err(
                error @ (OpenError::Io { .. }
                | OpenError::NoIdentity { .. }
                | OpenError::NoJournal { .. }
                | OpenError::OtherCluster { .. }),
            ) if !is_new => {
                tracing::error!(drive = %path.display(), "a drive is lost: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    let least = MIN_DRIVES.min(paths.len());
    anyhow::ensure!(
        opened.len() >= least,
        "only {} of {} drives are there, and at least {least} are needed: check the paths and \
         mounts",
        opened.len(),
        paths.len()
    );
    say_devices(&opened);
    Ok(opened)
}

/// Begins the journal of drives that share a directory.
async fn begin_journal(folder: Option<&Path>) -> anyhow::Result<Option<Arc<Journal>>> {
    let Some(folder) = folder.map(Path::to_owned) else { return Ok(None) };
    let begun = tokio::task::spawn_blocking(move || {
        let begun = Journal::begin(&folder, None);
        begun.with_context(|| format!("can't begin a journal in {}", folder.display()))
    });
    Ok(Some(Arc::new(begun.await??)))
}

/// The nodes of servers that are registered.
pub(super) async fn known(meta: &Arc<dyn Meta>) -> Result<Vec<NodeRow>, MetaError> {
    let is_ours = |row: &NodeRow| row.address.is_none() && row.state != NodeState::Removed;
    Ok(meta.nodes().await?.into_iter().filter(is_ours).collect())
}

/// Names the nodes without a drive, with the way for a dead one, and says so in their rows.
pub(super) async fn note_lost(
    opened: &[Opened],
    known: &[NodeRow],
    meta: &Arc<dyn Meta>,
) -> Result<(), MetaError> {
    for row in known {
        if opened.iter().all(|drive| drive.store.drive_id() != row.drive) {
            let number = row.number.0;
            let chunk_count = row.chunk_count.unwrap_or(0);
            let state = NodeState::Fenced;
            let lost = NodeCondition { state, capacity_bytes: 0, free_bytes: 0, chunk_count };
            meta.heartbeat(row.number, row.registration, lost).await?;
            tracing::error!(
                node.number = number,
                drive.id = %row.drive,
                "the drive of node {number} is not here. Mount it and start again; or, when it is \
                 dead, say `sixfold node replace {number}`, put an empty folder in its place, and \
                 start again (docs/replace-a-drive.md)"
            );
        }
    }
    Ok(())
}

fn lost(path: PathBuf) -> OpenError {
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    OpenError::Io { path, uid: rustix::process::geteuid().as_raw(), source }
}

/// What folders on one device survive is said, not left to be found out.
fn say_devices(opened: &[Opened]) {
    let devices: HashSet<_> = opened.iter().map(|drive| drive.store.device()).collect();
    if devices.len() == opened.len() {
        tracing::info!(nodes = opened.len(), "each node has a device of its own");
        return;
    }
    tracing::warn!(
        nodes = opened.len(),
        devices = devices.len(),
        "nodes share devices: a lost device takes all of its nodes with it"
    );
}

/// Registers the drives. From then on they know their numbers, are kept alive and scrubbed.
pub(super) async fn register(
    opened: Vec<Opened>,
    meta: &Arc<dyn Meta>,
    cluster: Uuid,
    config: &Config,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Arc<Store>>> {
    let zone = config.storage.zone.as_deref().unwrap_or(DEFAULT_ZONE);
    let mut stores = Vec::new();
    for drive in opened {
        let id = drive.store.drive_id();
        let row = meta
            .register_node(id, None, zone, 1.0)
            .await
            .with_context(|| format!("can't register the drive {}", drive.path.display()))?;
        tracing::debug!(node = row.number.0, drive = %drive.path.display(), "registered");
        drive.store.set_node(row.number);
        drive.store.set_draining(row.state == NodeState::Draining);
        stores.push(Arc::clone(&drive.store));
        let rows = Arc::new(EmbeddedRows::new(Arc::clone(meta), row.number));
        let scrub = Scrub::new(Arc::clone(&drive.store), rows.clone(), cluster, config.scrub);
        let history = sixfold_node::history::keep(Arc::clone(&drive.store), rows);
        let beat = heartbeat(drive.store, row, Arc::clone(meta), config.times.heartbeat);
        let token = shutdown.token().clone();
        shutdown.spawn("heartbeat and scrub", async move {
            tokio::select! {
                () = beat => {}
                () = scrub.run() => {}
                () = history => {}
                () = token.cancelled() => {}
            }
        });
    }
    Ok(stores)
}

/// Says that a node is there and takes what an operator decided, until the node is removed or
/// its drive is found to be somebody else's.
async fn heartbeat(store: Arc<Store>, row: NodeRow, meta: Arc<dyn Meta>, every: Duration) {
    loop {
        match beat(&store, &row, meta.as_ref()).await {
            Ok(Some(NodeState::Removed)) => {
                tracing::error!(
                    node = row.number.0,
                    "this node was removed from the cluster: its drive is fenced here"
                );
                store.fence();
                return;
            }
            Ok(Some(state)) => store.set_draining(state == NodeState::Draining),
            Ok(None) => {
                tracing::error!(
                    node = row.number.0,
                    "this drive was registered by another process: it is fenced here"
                );
                store.fence();
                return;
            }
            Err(error) => tracing::warn!(node = row.number.0, "heartbeat failed: {error}"),
        }
        tokio::time::sleep(every).await;
    }
}

/// The node's state; `None` when its drive was registered anew.
type Beat = Result<Option<NodeState>, MetaError>;

async fn beat(store: &Store, row: &NodeRow, meta: &dyn Meta) -> Beat {
    let condition = match store.health().await {
        Ok(health) => NodeCondition {
            state: state_of(health.state),
            capacity_bytes: health.capacity_bytes,
            free_bytes: health.free_bytes,
            chunk_count: health.chunk_count,
        },
        // A drive whose size can't be read takes nothing.
        Err(_) => NodeCondition {
            state: NodeState::Fenced,
            capacity_bytes: 0,
            free_bytes: 0,
            chunk_count: 0,
        },
    };
    meta.heartbeat(row.number, row.registration, condition).await
}

fn state_of(state: DriveState) -> NodeState {
    match state {
        DriveState::Ok => NodeState::Active,
        DriveState::Full => NodeState::Full,
        DriveState::Fenced => NodeState::Fenced,
        DriveState::Draining => NodeState::Draining,
    }
}
