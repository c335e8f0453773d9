//! A simulated node: a drive that keeps what was synced, and a process that registers, heartbeats
//! and scrubs. It keeps the contract of `Chunks`, as the real store's conformance tests do.

use super::points::is_planted;
use super::rows::Rows;
use super::world::World;
use crate::meta::Meta;
use crate::meta::types::{NodeCondition, NodeState};
use bytes::{Bytes, BytesMut};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, ChunkEntry, DriveState, Health, NodeError};
use sixfold_proto::history::{Mark, Memory};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
const SCRUB_EVERY: Duration = Duration::from_secs(15);
const CAPACITY_BYTES: u64 = 1 << 30;

/// A chunk on the drive.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) copy: CopyNumber,
    pub(super) writer: LeaseId,
    pub(super) cells: Vec<Cell>,
    /// Whether it outlives a crash. Always so in a node without bugs.
    is_synced: bool,
}

/// The drive, which outlives the process, and the process.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a fault of its own.
struct Drive {
    chunks: BTreeMap<ChunkName, Stored>,
    last_copy: u64,
    is_full: bool,
    /// Whether chunks rot here and get lost.
    is_lossy: bool,
    /// What was lost without a trace.
    lost: Vec<ChunkName>,
    // The process.
    number: Option<NodeNumber>,
    registration: i64,
    /// The newest mark of the database that it saw; on the drive.
    mark: Option<Mark>,
    is_up: bool,
    is_draining: bool,
    /// Counts starts and crashes, so that a call knows that it was broken off.
    life: u64,
}

/// See the module.
pub(super) struct SimNode {
    world: Arc<World>,
    drive_id: Uuid,
    pub(super) zone: String,
    cluster: Uuid,
    drive: Mutex<Drive>,
}

impl SimNode {
    pub(super) fn new(world: &Arc<World>, cluster: Uuid, index: usize) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            drive_id: Uuid::from_u128(index as u128 + 1),
            zone: format!("zone-{index}"),
            cluster,
            drive: Mutex::default(),
        })
    }

    fn drive(&self) -> MutexGuard<'_, Drive> {
        self.drive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number, once it has registered.
    pub(super) fn number(&self) -> Option<NodeNumber> {
        self.drive().number
    }

    pub(super) fn name(&self) -> String {
        self.number().map_or_else(|| "n?".to_owned(), |number| format!("n{number}"))
    }

    pub(super) fn is_up(&self) -> bool {
        self.drive().is_up
    }

    pub(super) fn life(&self) -> u64 {
        self.drive().life
    }

    pub(super) fn chunks(&self) -> BTreeMap<ChunkName, Stored> {
        self.drive().chunks.clone()
    }

    /// From now on chunks may rot and get lost here.
    pub(super) fn be_lossy(&self) {
        self.drive().is_lossy = true;
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.drive().is_lossy
    }

    /// Whether a chunk is here and outlives a crash.
    pub(super) fn has_synced(&self, name: ChunkName) -> bool {
        self.drive().chunks.get(&name).is_some_and(|stored| stored.is_synced)
    }

    /// Whether a chunk is here with all its bytes.
    pub(super) fn has_whole(&self, name: ChunkName) -> bool {
        self.drive().chunks.get(&name).is_some_and(|stored| self.is_whole(name, stored))
    }

    /// Nothing is left on the drive.
    pub(super) fn wipe(&self) {
        self.drive().chunks.clear();
    }

    pub(super) fn fill(&self, is_full: bool) {
        self.drive().is_full = is_full;
    }

    /// Ends the process without a word: what was not synced is gone.
    pub(super) fn crash(&self) {
        self.world.note(format!("{} crashes", self.name()));
        let mut drive = self.drive();
        drive.life += 1;
        drive.is_up = false;
        drive.chunks.retain(|_, stored| stored.is_synced);
    }

    /// Starts the process: it registers, then heartbeats and scrubs until it crashes.
    pub(super) fn start(self: &Arc<Self>, rows: Rows) {
        let life = {
            let mut drive = self.drive();
            drive.life += 1;
            drive.is_up = true;
            drive.is_draining = false;
            drive.life
        };
        let (beating, scrubbing) = (Arc::clone(self), Arc::clone(self));
        let scrub_rows = rows.clone();
        tokio::spawn(async move { beating.beat(&rows, life).await });
        tokio::spawn(async move { scrubbing.scrub(&scrub_rows, life).await });
    }

    async fn beat(&self, rows: &Rows, life: u64) {
        while self.life() == life {
            let address = format!("{}:9100", self.zone);
            let registered = rows.register_node(self.drive_id, Some(&address), &self.zone, 1.0);
            let Ok(row) = registered.await else {
                tokio::time::sleep(HEARTBEAT_EVERY / 4).await;
                continue;
            };
            if self.life() != life {
                return;
            }
            {
                let mut drive = self.drive();
                (drive.number, drive.registration) = (Some(row.number), row.registration);
            }
            self.world
                .note(format!("n{} registers for the {}. time", row.number, row.registration));
            self.beat_registered(rows, life, row.number, row.registration).await;
        }
    }

    async fn beat_registered(&self, rows: &Rows, life: u64, number: NodeNumber, registration: i64) {
        while self.life() == life {
            self.witness(rows, life, number).await;
            let condition = {
                let drive = self.drive();
                let state = match () {
                    () if drive.is_draining => NodeState::Draining,
                    () if drive.is_full => NodeState::Full,
                    () => NodeState::Active,
                };
                let chunk_count = drive.chunks.len() as u64;
                let (capacity_bytes, free_bytes) = (CAPACITY_BYTES, CAPACITY_BYTES / 2);
                NodeCondition { state, capacity_bytes, free_bytes, chunk_count }
            };
            match rows.heartbeat(number, registration, condition).await {
                Ok(None) => return,
                Ok(Some(state)) if self.life() == life => {
                    self.drive().is_draining = state == NodeState::Draining;
                }
                _ => {}
            }
            tokio::time::sleep(HEARTBEAT_EVERY).await;
        }
    }

    /// Remembers the database's newest mark. This database never goes back in time.
    async fn witness(&self, rows: &Rows, life: u64, number: NodeNumber) {
        let before = self.drive().mark;
        let known = before.as_slice();
        let Ok(answer) = rows.witness(number, known, CopyNumber(0), before.is_none()).await else {
            return;
        };
        if answer.known != known {
            self.world.wrong(format!("n{number}'s mark is unknown to its own database"));
        }
        if self.life() == life {
            self.drive().mark = Some(answer.mark);
        }
    }

    async fn scrub(&self, rows: &Rows, life: u64) {
        loop {
            tokio::time::sleep(SCRUB_EVERY).await;
            if self.life() != life {
                return;
            }
            let rotten = self.rotten();
            if let Some(number) = self.number().filter(|_| !rotten.is_empty()) {
                self.world.note(format!("n{number} finds {} chunks rotten", rotten.len()));
                // A failure leaves them to the next scrub.
                let _ = rows.mark_rotten(number, &rotten).await;
            }
        }
    }

    fn rotten(&self) -> Vec<ChunkName> {
        let drive = self.drive();
        let rotten = drive.chunks.iter().filter(|(name, stored)| !self.is_whole(**name, stored));
        rotten.map(|(name, _)| *name).collect()
    }

    /// Whether every cell has its checksum.
    pub(super) fn is_whole(&self, name: ChunkName, stored: &Stored) -> bool {
        let key = CellKey::new(self.cluster, name);
        let mut cells = stored.cells.iter().zip(0..);
        cells.all(|(cell, stripe)| key.checksum(stripe, &cell.data) == cell.checksum)
    }

    /// Flips a bit of one stored chunk.
    pub(super) fn rot(&self) {
        let mut drive = self.drive();
        let at = self.world.below(drive.chunks.len() as u64) as usize;
        let Some((name, stored)) = drive.chunks.iter_mut().nth(at) else { return };
        let cell_index = self.world.below(stored.cells.len() as u64) as usize;
        let Some(cell) = stored.cells.get_mut(cell_index) else { return };
        let mut bytes = BytesMut::from(&cell.data[..]);
        let at = self.world.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << self.world.below(8);
        cell.data = bytes.freeze();
        self.world.note(format!("chunk {name} rots"));
    }

    /// Loses one stored chunk without a trace.
    pub(super) fn lose(&self) {
        let mut drive = self.drive();
        let at = self.world.below(drive.chunks.len() as u64) as usize;
        let Some(name) = drive.chunks.keys().nth(at).copied() else { return };
        drive.chunks.remove(&name);
        drive.lost.push(name);
        self.world.note(format!("chunk {name} is lost"));
    }

    /// Chunks that it lost without a trace.
    pub(super) fn lost(&self) -> Vec<ChunkName> {
        self.drive().lost.clone()
    }

    /// Refuses calls that a node in this state refuses.
    pub(super) fn check(&self, registration: u64) -> Result<(), NodeError> {
        let drive = self.drive();
        if !drive.is_up {
            return Err(NodeError::Unavailable("connection refused".to_owned()));
        }
        if drive.registration != i64::try_from(registration).unwrap_or(i64::MAX) {
            return Err(NodeError::WrongNode("another registration".to_owned()));
        }
        Ok(())
    }

    pub(super) fn check_put(&self) -> Result<(), NodeError> {
        let drive = self.drive();
        match () {
            () if drive.is_draining => Err(NodeError::Draining),
            () if drive.is_full => Err(NodeError::Full),
            () => Ok(()),
        }
    }

    /// Makes a chunk durable, as the contract of `Chunks::put` says.
    pub(super) fn store(
        &self,
        name: ChunkName,
        writer: LeaseId,
        cells: Vec<Cell>,
    ) -> Result<CopyNumber, NodeError> {
        let mut drive = self.drive();
        if let Some(stored) = drive.chunks.get(&name).filter(|old| self.is_whole(name, old)) {
            let is_same = stored.cells.len() == cells.len()
                && stored.cells.iter().zip(&cells).all(|(old, new)| old.data == new.data);
            if !is_same {
                self.world.wrong(format!("{name} is put with different bytes"));
                return Err(NodeError::Conflict);
            }
            if stored.writer == writer {
                return Ok(stored.copy);
            }
        }
        drive.last_copy += 1;
        let copy = CopyNumber(drive.last_copy);
        // What a node stores is its own: no buffer is shared with whoever sent it.
        let own = |cell: Cell| Cell {
            data: Bytes::copy_from_slice(&cell.data),
            is_verified: false,
            ..cell
        };
        let cells = cells.into_iter().map(own).collect();
        let is_synced = !is_planted("node.sync_skipped");
        drive.chunks.insert(name, Stored { copy, writer, cells, is_synced });
        Ok(copy)
    }

    pub(super) fn read(&self, name: ChunkName, cells: Range<u32>) -> Result<Vec<Cell>, NodeError> {
        let drive = self.drive();
        let stored = drive.chunks.get(&name).ok_or(NodeError::NotFound)?;
        let cells = stored.cells.get(cells.start as usize..cells.end as usize);
        let too_few = || NodeError::Damaged("too few cells".to_owned());
        cells.map(<[Cell]>::to_vec).ok_or_else(too_few)
    }

    pub(super) fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        let mut drive = self.drive();
        let stored = drive.chunks.get(&name).ok_or(NodeError::NotFound)?;
        if stored.copy != copy {
            return Err(NodeError::OtherCopy);
        }
        drive.chunks.remove(&name);
        Ok(())
    }

    pub(super) fn list(&self, after: Option<ChunkName>, limit: usize) -> Vec<ChunkEntry> {
        let drive = self.drive();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = drive.chunks.range((from, Bound::Unbounded)).take(limit);
        behind.map(|(name, stored)| entry(*name, stored)).collect()
    }

    pub(super) fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        let drive = self.drive();
        let stored = drive.chunks.get(&name).ok_or(NodeError::NotFound)?;
        Ok(entry(name, stored))
    }

    pub(super) fn health(&self) -> Health {
        let drive = self.drive();
        let state = match () {
            () if drive.is_draining => DriveState::Draining,
            () if drive.is_full => DriveState::Full,
            () => DriveState::Ok,
        };
        Health {
            node: drive.number.unwrap_or(NodeNumber(0)),
            state,
            capacity_bytes: CAPACITY_BYTES,
            free_bytes: CAPACITY_BYTES / 2,
            chunk_count: drive.chunks.len() as u64,
            memory: Memory { mark: drive.mark, kept: CopyNumber(0) },
        }
    }
}

fn entry(name: ChunkName, stored: &Stored) -> ChunkEntry {
    ChunkEntry {
        name,
        copy: stored.copy,
        writer: stored.writer,
        size_bytes: stored.cells.iter().map(|cell| cell.data.len() as u64).sum(),
        cell_count: stored.cells.len() as u32,
    }
}
