//! The one interface to a node, embedded or remote.

use crate::history::Memory;
use crate::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, iter};
use std::ops::Range;

/// The largest cell in bytes. Larger ones are refused everywhere: it bounds a gRPC message,
/// a read buffer and the memory of a request.
pub const MAX_CELL_BYTES: usize = 256 * 1024;

/// The most cells in a chunk: a chunk is at most 32 MiB.
pub const MAX_CELLS_PER_CHUNK: u32 = 128;

/// The most entries that one [`Chunks::list`] answers.
pub const MAX_LIST_ENTRIES: usize = 10_000;

/// The largest cell that travels with those of others in a short call: of objects up to 64 KiB.
/// A larger one costs more than the call that carries it, and others would wait behind it.
pub const MAX_SHORT_CELL_BYTES: usize = 16 * 1024;

/// Short calls without an answer on one stream; more wait for their turn. At the largest size
/// they are 4 MiB of cells.
pub const SHORT_CALLS_AT_ONCE: usize = 256;

/// One cell and its checksum ([`crate::checksum::CellKey`]), made by whoever encoded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The cell's bytes, 1 to [`MAX_CELL_BYTES`].
    pub data: Bytes,
    /// Its keyed checksum; a node stores it and may verify it, the gateway always does.
    pub checksum: u64,
    /// Whether the process that uses the cell has compared the bytes with the checksum. Never sent.
    pub is_verified: bool,
}

/// What a writer sends: cells, all of the first one's size but the last, which may be smaller,
/// then the end. A stream that ends without [`PutItem::End`] was abandoned: nothing is stored.
#[derive(Clone, Debug)]
pub enum PutItem {
    /// The next cell.
    Cell(Cell),
    /// The chunk is whole.
    End,
}

/// What a node knows of one stored chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// Its name.
    pub name: ChunkName,
    /// The number of this copy.
    pub copy: CopyNumber,
    /// The lease of the process that wrote it.
    pub writer: LeaseId,
    /// Bytes of its cells, without checksums and headers.
    pub size_bytes: u64,
    /// How many cells.
    pub cell_count: u32,
}

/// What a node's drive can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriveState {
    /// Reads and writes.
    Ok,
    /// Reads and deletes; a put is refused before any byte.
    Full,
    /// A sync failed: nothing it says about writes can be believed. Reads only.
    Fenced,
    /// Being emptied: reads and deletes.
    Draining,
}

/// A node's answer about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its number.
    pub node: NodeNumber,
    /// Its state.
    pub state: DriveState,
    /// Size of the drive in bytes.
    pub capacity_bytes: u64,
    /// Free bytes for chunks, after what is kept back.
    pub free_bytes: u64,
    /// Chunks stored.
    pub chunk_count: u64,
    /// What it remembers of the database's history.
    pub memory: Memory,
}

/// Why a call to a node failed, by what the caller does about it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NodeError {
    /// The chunk is not here: take another one, mark it missing.
    #[error("chunk not found")]
    NotFound,
    /// The stored chunk is damaged: take another one, mark it missing.
    #[error("chunk is damaged: {0}")]
    Damaged(String),
    /// No room: place elsewhere.
    #[error("the drive is full")]
    Full,
    /// The drive's sync failed: place elsewhere.
    #[error("the drive is fenced after a failed sync")]
    Fenced,
    /// The node is being emptied: place elsewhere.
    #[error("the node is draining")]
    Draining,
    /// Another node or an older registration answers here: re-read the registry.
    #[error("this is not the node that was meant: {0}")]
    WrongNode(String),
    /// Different bytes stand under this name: a bug or an attack, never overwritten.
    #[error("different bytes are stored under this chunk name")]
    Conflict,
    /// The copy number was not the one named: look again.
    #[error("the chunk copy is not the one named")]
    OtherCopy,
    /// What was sent breaks the protocol (a cell too large, no end): a bug of the caller.
    #[error("invalid call: {0}")]
    Invalid(String),
    /// The secret or certificate was refused.
    #[error("the node refused the cluster secret")]
    Unauthenticated,
    /// No answer in time, connection refused or broken, I/O error: another node, retry later.
    #[error("node unavailable: {0}")]
    Unavailable(String),
}

/// A node as its callers see it. Every method is bounded in memory by a few cells; deadlines,
/// retries and breakers are the caller's.
#[async_trait::async_trait]
pub trait Chunks: Send + Sync + 'static {
    /// Stores a chunk and answers when it is durable: data, name and directory synced.
    /// The same bytes under the same name again are acknowledged: from the same writer with
    /// the number of the copy that is kept, from another writer as a new copy in place of the
    /// old, so that whoever meant to delete the old one can't hit the new. Different bytes are
    /// a [`NodeError::Conflict`]. Dropping the future before the end abandons the chunk.
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError>;

    /// The cells `cells` (by stripe number), in order. A stored chunk with fewer cells is
    /// [`NodeError::Damaged`].
    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError>;

    /// Stores a chunk that is one cell, as [`Chunks::put`] does. Calls for small cells are made
    /// to travel together.
    async fn put_cell(
        &self,
        name: ChunkName,
        writer: LeaseId,
        cell: Cell,
    ) -> Result<CopyNumber, NodeError> {
        self.put(name, writer, iter([PutItem::Cell(cell), PutItem::End]).boxed()).await
    }

    /// The cell `number`, as [`Chunks::get`] answers it. For cells of at most
    /// [`MAX_SHORT_CELL_BYTES`]: calls are made to travel together, and a larger one keeps the
    /// others waiting.
    async fn get_cell(&self, name: ChunkName, number: u32) -> Result<Cell, NodeError> {
        next_cell(&mut self.get(name, number..number.saturating_add(1)).await?).await
    }

    /// Deletes a chunk copy, durably enough that it does not come back after a restart
    /// unnoticed. [`NodeError::NotFound`] when there is none, [`NodeError::OtherCopy`] when
    /// the number is another.
    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError>;

    /// Up to `limit` (at most [`MAX_LIST_ENTRIES`]) entries with names after `after`, in order of name.
    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError>;

    /// The entry of one chunk.
    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError>;

    /// Who the node is and how it is.
    async fn health(&self) -> Result<Health, NodeError>;
}

/// The next cell of a read that is not over.
pub async fn next_cell(
    cells: &mut BoxStream<'static, Result<Cell, NodeError>>,
) -> Result<Cell, NodeError> {
    let ends_early = || Err(NodeError::Damaged("the chunk ends early".to_owned()));
    cells.next().await.unwrap_or_else(ends_early)
}
