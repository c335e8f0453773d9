//! A node in memory that fails on cue, for tests.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt};
use sixfold_proto::chunks::{Cell, ChunkEntry, Chunks, DriveState, Health, NodeError, PutItem};
use sixfold_proto::history::Memory;
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong on a fake node. By default nothing does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Every call fails with this at once.
    pub(crate) refuses: Option<NodeError>,
    /// Every put fails with this at once.
    pub(crate) refuses_puts: Option<NodeError>,
    /// No call ever answers.
    pub(crate) hangs: bool,
    /// A put breaks after this many cells.
    pub(crate) put_dies_after: Option<u32>,
    /// A get breaks after this many cells.
    pub(crate) get_dies_after: Option<u32>,
    /// A put takes this many cells and then waits forever.
    pub(crate) put_stalls_after: Option<u32>,
    /// A get gives this many cells and then waits forever.
    pub(crate) get_stalls_after: Option<u32>,
    /// Every cell of a read takes this long.
    pub(crate) delay: Duration,
    /// A put's acknowledgement takes this long.
    pub(crate) put_delay: Duration,
}

struct Stored {
    copy: CopyNumber,
    writer: LeaseId,
    cells: Vec<Cell>,
    /// Not what was put: like a real node, it takes another put of the name.
    is_rotten: bool,
}

/// See the module.
pub(crate) struct FakeNode {
    number: NodeNumber,
    memory: Mutex<Memory>,
    faults: Mutex<Faults>,
    chunks: Mutex<BTreeMap<ChunkName, Stored>>,
    puts_to_refuse: AtomicU32,
    next_copy: AtomicU64,
    cells_read: AtomicU64,
}

impl FakeNode {
    pub(crate) fn new(number: NodeNumber) -> Arc<Self> {
        Arc::new(Self {
            number,
            faults: Mutex::default(),
            memory: Mutex::default(),
            chunks: Mutex::default(),
            puts_to_refuse: AtomicU32::new(0),
            next_copy: AtomicU64::new(1),
            cells_read: AtomicU64::new(0),
        })
    }

    pub(crate) fn fail(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    /// The next puts fail, as many as these, as if nobody was there.
    pub(crate) fn refuse_puts(&self, count: u32) {
        self.puts_to_refuse.store(count, Ordering::Relaxed);
    }

    /// What it says that it remembers of the database's history.
    pub(crate) fn remember(&self, memory: Memory) {
        *self.memory.lock().unwrap() = memory;
    }

    pub(crate) fn down(&self) {
        let refuses = Some(NodeError::Unavailable("connection refused".to_owned()));
        self.fail(Faults { refuses, ..Faults::default() });
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.lock().unwrap().len()
    }

    pub(crate) fn names(&self) -> Vec<ChunkName> {
        self.chunks.lock().unwrap().keys().copied().collect()
    }

    /// Cells sent to readers so far.
    pub(crate) fn cells_read(&self) -> u64 {
        self.cells_read.load(Ordering::Relaxed)
    }

    pub(crate) fn lose(&self, name: ChunkName) {
        self.chunks.lock().unwrap().remove(&name);
    }

    /// Flips one bit in a cell of every chunk of the extent that is stored here.
    pub(crate) fn flip_bit(&self, name: ChunkName, stripe: usize, bit: usize) {
        let mut chunks = self.chunks.lock().unwrap();
        let stored = chunks.get_mut(&name).unwrap();
        stored.is_rotten = true;
        let cell = &mut stored.cells[stripe];
        let mut bytes = BytesMut::from(&cell.data[..]);
        let at = (bit / 8) % bytes.len();
        bytes[at] ^= 1 << (bit % 8);
        cell.data = bytes.freeze();
    }

    async fn faults(&self) -> Result<Faults, NodeError> {
        let faults = self.faults.lock().unwrap().clone();
        if faults.hangs {
            futures::future::pending::<()>().await;
        }
        faults.refuses.clone().map_or(Ok(faults), Err)
    }

    fn store(
        &self,
        name: ChunkName,
        writer: LeaseId,
        cells: Vec<Cell>,
    ) -> Result<CopyNumber, NodeError> {
        let mut chunks = self.chunks.lock().unwrap();
        if let Some(stored) = chunks.get_mut(&name).filter(|stored| !stored.is_rotten) {
            stored.writer = writer;
            return if stored.cells == cells { Ok(stored.copy) } else { Err(NodeError::Conflict) };
        }
        let copy = CopyNumber(self.next_copy.fetch_add(1, Ordering::Relaxed));
        chunks.insert(name, Stored { copy, writer, cells, is_rotten: false });
        Ok(copy)
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

fn broken() -> NodeError {
    NodeError::Unavailable("connection broken".to_owned())
}

#[async_trait]
impl Chunks for FakeNode {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        mut items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let faults = self.faults().await?;
        if let Some(error) = faults.refuses_puts {
            return Err(error);
        }
        let refuse = |left: u32| left.checked_sub(1);
        if self.puts_to_refuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, refuse).is_ok() {
            return Err(broken());
        }
        let mut cells = Vec::new();
        while let Some(item) = items.next().await {
            let PutItem::Cell(cell) = item else {
                tokio::time::sleep(faults.put_delay).await;
                return self.store(name, writer, cells);
            };
            let first_size = cells.first().map_or(cell.data.len(), |cell: &Cell| cell.data.len());
            assert!(cell.data.len() <= first_size && !cell.data.is_empty());
            // A copy, as a real node makes one: what the writer holds is its own business.
            cells.push(Cell { data: Bytes::copy_from_slice(&cell.data), ..cell });
            let count = cells.len() as u32;
            if faults.put_dies_after.is_some_and(|limit| count > limit) {
                return Err(broken());
            }
            if faults.put_stalls_after.is_some_and(|limit| count > limit) {
                futures::future::pending::<()>().await;
            }
        }
        Err(NodeError::Invalid("abandoned".to_owned()))
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        let faults = self.faults().await?;
        let chunks = self.chunks.lock().unwrap();
        let stored = &chunks.get(&name).ok_or(NodeError::NotFound)?.cells;
        let asked = stored
            .get(cells.start as usize..cells.end as usize)
            .ok_or_else(|| NodeError::Damaged("too few cells".to_owned()))?
            .to_vec();
        self.cells_read.fetch_add(asked.len() as u64, Ordering::Relaxed);
        let cells = futures::stream::iter(asked.into_iter().enumerate());
        Ok(cells
            .then(move |(count, cell)| {
                let faults = faults.clone();
                async move {
                    tokio::time::sleep(faults.delay).await;
                    if faults.get_dies_after.is_some_and(|limit| count as u32 >= limit) {
                        return Err(broken());
                    }
                    if faults.get_stalls_after.is_some_and(|limit| count as u32 >= limit) {
                        futures::future::pending::<()>().await;
                    }
                    Ok(cell)
                }
            })
            .boxed())
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        self.faults().await?;
        let mut chunks = self.chunks.lock().unwrap();
        if chunks.get(&name).ok_or(NodeError::NotFound)?.copy != copy {
            return Err(NodeError::OtherCopy);
        }
        chunks.remove(&name);
        Ok(())
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        self.faults().await?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let chunks = self.chunks.lock().unwrap();
        let entries = chunks.range((from, Bound::Unbounded)).take(limit);
        Ok(entries.map(|(name, stored)| entry(*name, stored)).collect())
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        self.faults().await?;
        let chunks = self.chunks.lock().unwrap();
        chunks.get(&name).map(|stored| entry(name, stored)).ok_or(NodeError::NotFound)
    }

    async fn health(&self) -> Result<Health, NodeError> {
        self.faults().await?;
        Ok(Health {
            node: self.number,
            state: DriveState::Ok,
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 39,
            chunk_count: self.chunk_count() as u64,
            memory: *self.memory.lock().unwrap(),
        })
    }
}
