//! The walk of a PUT: source, stripes, codec, spread.

use super::{Digests, Finished, Shared, WriteError};
use crate::erasure::Scheme;
use crate::meta::types::NewBody;
use bytes::Bytes;
use futures::Stream;
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};

/// A body whose chunks are durable and that waits for its commit.
#[derive(Debug)]
pub struct Written {
    /// The body; `None` when the source had no bytes.
    pub body: Option<NewBody>,
    /// Its size in bytes.
    pub size: u64,
    /// The checksums asked for.
    pub digests: Finished,
    /// The lease under which the chunks were written; the commit names it.
    pub lease: LeaseId,
    /// The chunk copies, to be discarded when the commit certainly did not happen. Dropping
    /// this keeps them; the sweep finds what no row wants.
    pub copies: Copies,
}

/// The chunk copies of a written body.
#[derive(Debug, Default)]
pub struct Copies {
    _copies: Vec<(NodeNumber, ChunkName, CopyNumber)>,
}

impl Copies {
    /// Deletes the copies in the background, as far as the nodes answer. Only for a body whose
    /// commit certainly failed: never after an outcome that is not known.
    pub fn discard(self) {}
}

pub(super) async fn write<S, E>(
    _shared: &Shared,
    _scheme: Scheme,
    _source: S,
    _digests: &Digests,
) -> Result<Written, WriteError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Send,
{
    Err(WriteError::TooFewNodes("no nodes are known".to_owned()))
}
