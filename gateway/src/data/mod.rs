//! An object's bytes: a body on one side, chunks on nodes on the other. Knows no SQL.

mod budget;
mod copies;
mod digests;
mod errors;
mod gather;
mod hashing;
mod heal;
mod hedges;
mod lanes;
mod limits;
mod md5;
mod memory;
mod missing;
mod moves;
mod pace;
mod ranks;
mod read;
mod retries;
mod running;
mod spread;
mod stripes;
mod task;
#[cfg(test)]
mod tests;
mod write;

pub use copies::Copies;
pub use digests::{Digests, Finished};
pub use errors::{ReadError, WriteError};
pub use heal::Outlook;
pub use limits::DataLimits;
#[cfg(feature = "micro")]
pub use md5::md5_of_all;
pub use pace::BytePace;
pub use read::BodyStream;
pub use write::Written;

use crate::erasure::Scheme;
use crate::meta::Meta;
use crate::meta::types::{BodyId, Extent, Move};
use crate::nodes::Directory;
use crate::placement::Wish;
use crate::pressure::Pressure;
use bytes::Bytes;
use futures::Stream;
use hedges::Hedges;
use memory::Memory;
use metrics::Counter;
use missing::Missing;
use retries::Retries;
use running::RunningReads;
use sixfold_node::metrics::counter;
use sixfold_proto::chunks::NodeError;
use sixfold_proto::metrics as names;
use sixfold_proto::name::LeaseId;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The lease under which this process writes at this moment.
pub trait CurrentLease: Send + Sync + 'static {
    /// Its id. After the lease was lost, that of its successor.
    fn current(&self) -> LeaseId;
}

/// Writes and reads bodies. A cheap handle; clones share everything.
#[derive(Clone)]
pub struct Data(Arc<Shared>);

/// What every write and read of the process shares.
struct Shared {
    directory: Arc<Directory>,
    meta: Arc<dyn Meta>,
    lease: Arc<dyn CurrentLease>,
    limits: DataLimits,
    memory: Memory,
    hedges: Hedges,
    retries: Retries,
    running: Arc<RunningReads>,
    missing: Missing,
    moves: BytePace,
    md5: Arc<md5::Queue>,
    /// Stripes that had to be decoded.
    decoded: Counter,
    /// Chunks that were tried on another node.
    substituted: Counter,
}

impl Data {
    /// Call it inside the runtime: it starts the task that reports missing chunks.
    pub fn new(
        directory: Arc<Directory>,
        meta: Arc<dyn Meta>,
        lease: Arc<dyn CurrentLease>,
        limits: DataLimits,
    ) -> Self {
        Self(Arc::new(Shared {
            missing: Missing::start(Arc::clone(&meta)),
            moves: BytePace::new(limits.rebalance_mib_per_s),
            memory: Memory::new(
                limits.stripes_in_process,
                Pressure::new(limits.least_client_bytes_per_s),
            ),
            hedges: Hedges::new(limits.hedge_percent),
            retries: Retries::new(),
            running: Arc::default(),
            md5: Arc::default(),
            decoded: counter(&names::DECODED, &[]),
            substituted: counter(&names::SUBSTITUTES, &[]),
            directory,
            meta,
            lease,
            limits,
        }))
    }

    /// Stores all bytes of `source` as a new body that nothing refers to yet, in durable chunks
    /// under the current lease. Dropping the future gives the body up.
    pub async fn write<S, E>(
        &self,
        scheme: Scheme,
        source: S,
        digests: Digests,
    ) -> Result<Written, WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Send,
    {
        write::write(&self.0, scheme, source, &digests).await
    }

    /// The bytes `range` of a body whose first extents (those that hold the start of the range
    /// among them) are known. Answers when the first stripe is at hand, so that too few chunks
    /// are an error before the first byte.
    pub async fn read(
        &self,
        body: BodyId,
        extents: Vec<Extent>,
        range: Range<u64>,
    ) -> Result<BodyStream, ReadError> {
        read::read(&self.0, body, extents, range).await
    }

    /// Makes what it can of the chunks that `extent` lacks, and answers what is to be written into
    /// its row; `None` when no node took any of them. It takes no longer than suits the extent's
    /// size. `lease` must not be one that bodies are written under: what that wrote may go once it
    /// is committed.
    pub async fn heal(&self, extent: &Extent, lease: LeaseId) -> Result<Option<Move>, ReadError> {
        heal::heal(&self.0, extent, lease).await
    }

    /// Whether anything of what `extent` lacks can be made anew, as far as the directory knows.
    pub fn outlook(&self, extent: &Extent) -> Outlook {
        heal::outlook(&self.0, extent)
    }

    /// The pace that heal has in this process.
    pub fn heal_pace(&self) -> BytePace {
        BytePace::new(self.0.limits.heal_mib_per_s)
    }

    /// Copies a chunk to where it should be, at the pace that moves have, and answers what is to
    /// be written into the extent's row. `lease` as above.
    pub async fn move_chunk(
        &self,
        extent: &Extent,
        wish: Wish,
        lease: LeaseId,
    ) -> Result<Move, NodeError> {
        moves::move_chunk(&self.0, extent, wish, lease).await
    }

    /// For how long the oldest running read has been running.
    pub fn oldest_read(&self) -> Option<Duration> {
        self.0.running.oldest()
    }

    /// The wishes of those that wait for room, which slow clients follow.
    pub fn pressure(&self) -> Pressure {
        self.0.memory.pressure().clone()
    }

    /// How many stripes are in memory now, of all bodies on their way.
    pub fn stripes_in_memory(&self) -> usize {
        self.0.memory.in_use()
    }

    /// How many there are, and how many there may be.
    pub fn stripes(&self) -> (usize, usize) {
        (self.0.memory.in_use(), self.0.memory.total())
    }
}
