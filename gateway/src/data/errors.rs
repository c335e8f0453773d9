//! Why bytes could not be written or read, by what the caller does about it.

use crate::meta::MetaError;

/// Why a body was not written. Nothing of it is visible, and what was stored of it is deleted.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The source of the bytes failed; its own error, unchanged.
    #[error("the source of the bytes failed")]
    Source(E),
    /// Too few nodes can take chunks now, or too few acknowledged theirs: 503.
    #[error("too few nodes can store chunks: {0}")]
    TooFewNodes(String),
    /// The drives have no room: 507.
    #[error("the drives are full")]
    Full,
    /// The memory for stripes stayed in use by others for too long: 503, slow down.
    #[error("no memory for another stripe within {waited_ms} ms")]
    SlowDown {
        /// How long this write waited.
        waited_ms: u128,
    },
}

/// Why a body can't be read (on).
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Fewer chunks than the scheme needs are readable now: 503.
    #[error("too few chunks are readable: {0}")]
    TooFewChunks(String),
    /// The body was deleted and its chunks collected while it was read: look the key up again.
    #[error("the body is gone")]
    Gone,
    /// The memory for stripes stayed in use by others for too long: 503, slow down.
    #[error("no memory for another stripe within {waited_ms} ms")]
    SlowDown {
        /// How long this read waited.
        waited_ms: u128,
    },
    /// The read ran into the longest time that one may take.
    #[error("the read took longer than a read may")]
    Cut,
    /// The rows of the body could not be read.
    #[error("the extents of the body can't be read")]
    Meta(#[from] MetaError),
}
