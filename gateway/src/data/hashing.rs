//! Computes checksums beside the encoding: one stripe at a time, off the async threads.

use super::digests::{Digests, Finished, Hashers};
use super::task::{Task, background};
use bytes::Bytes;

/// Stripes up to this size are hashed at once; more is left to another thread.
const INLINE_BYTES: usize = 16 * 1024;

/// The hashers, at rest or at work on the last stripe.
pub(super) enum Hashing {
    Nothing,
    Idle(Hashers),
    Busy(Task<Hashers>),
}

impl Hashing {
    pub(super) fn new(digests: &Digests) -> Self {
        Hashers::new(digests).map_or(Self::Nothing, Self::Idle)
    }

    /// Takes the next bytes, after those of before are done: at most one stripe waits here.
    pub(super) async fn update(&mut self, bytes: Bytes) {
        let Some(mut hashers) = self.take().await else { return };
        *self = if bytes.len() <= INLINE_BYTES {
            hashers.update(&bytes);
            Self::Idle(hashers)
        } else {
            Self::Busy(background(move || {
                hashers.update(&bytes);
                hashers
            }))
        };
    }

    pub(super) async fn finish(mut self) -> Finished {
        self.take().await.map(Hashers::finish).unwrap_or_default()
    }

    async fn take(&mut self) -> Option<Hashers> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => None,
            Self::Idle(hashers) => Some(hashers),
            Self::Busy(task) => Some(task.await),
        }
    }
}
