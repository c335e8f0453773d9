//! From a source's frames of any size to stripes of bytes.

use super::memory::{Room, SMALL_BYTES};
use super::{Shared, WriteError};
use crate::erasure::{Scheme, stripe_bytes};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// The bytes of one stripe.
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Held as long as the bytes are; `None` for a small one.
    pub(super) room: Option<Arc<Room>>,
    /// Whether the source is known to have ended with it. A full stripe may be the last one
    /// without saying so.
    pub(super) is_last: bool,
}

/// Cuts a source into stripes.
pub(super) struct Stripes<'a, S> {
    shared: &'a Shared,
    source: Pin<&'a mut S>,
    stripe_size: usize,
    /// What the last frame had beyond the last stripe.
    rest: Bytes,
    has_ended: bool,
    /// Told when the source has ended.
    last_byte: &'a Notify,
    /// Whether a stripe of this body has had room.
    has_room: bool,
}

impl<'a, S, E> Stripes<'a, S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    pub(super) fn new(
        shared: &'a Shared,
        scheme: Scheme,
        source: Pin<&'a mut S>,
        last_byte: &'a Notify,
    ) -> Self {
        let (stripe_size, rest) = (stripe_bytes(scheme) as usize, Bytes::new());
        let (has_ended, has_room) = (false, false);
        Self { shared, source, stripe_size, rest, has_ended, last_byte, has_room }
    }

    /// The next stripe; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, WriteError<E>> {
        let mut gathered = Gathered::default();
        let mut room = None;
        while gathered.size() < self.stripe_size {
            let Some(frame) = self.frame(self.stripe_size - gathered.size()).await? else { break };
            if room.is_none() && gathered.size() + frame.len() > SMALL_BYTES {
                room = Some(Arc::new(self.room().await?));
            }
            gathered.add(frame, self.stripe_size);
        }
        let bytes = gathered.finish();
        let is_last = self.has_ended;
        Ok((!bytes.is_empty()).then_some(Piece { bytes, room, is_last }))
    }

    /// The next bytes of the source, at most `limit`.
    async fn frame(&mut self, limit: usize) -> Result<Option<Bytes>, WriteError<E>> {
        while self.rest.is_empty() {
            if self.has_ended {
                return Ok(None);
            }
            if let Some(frame) = self.source.next().await {
                self.rest = frame.map_err(WriteError::Source)?;
            } else {
                self.has_ended = true;
                self.last_byte.notify_one();
            }
        }
        let size = self.rest.len().min(limit);
        Ok(Some(self.rest.split_to(size)))
    }

    /// The first stripe is refused soon. Later ones wait as long as a spread may take: what was
    /// sent so far would be lost, and the room that this body has comes free by itself.
    async fn room(&mut self) -> Result<Room, WriteError<E>> {
        let limits = &self.shared.limits;
        let wait = if self.has_room { limits.spread_wait } else { limits.stripe_wait };
        self.has_room = true;
        let room = self.shared.memory.room(wait).await;
        room.map_err(|full| WriteError::SlowDown { waited_ms: full.waited_ms })
    }
}

/// The frames of a stripe so far. One frame stays what it is; several are copied together.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    joined: BytesMut,
}

impl Gathered {
    fn size(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn add(&mut self, frame: Bytes, stripe_size: usize) {
        if self.size() == 0 {
            self.first = frame;
            return;
        }
        let size = self.size() + frame.len();
        let capacity = if size > SMALL_BYTES { stripe_size } else { SMALL_BYTES };
        self.joined.reserve(capacity - self.joined.len());
        let first = std::mem::take(&mut self.first);
        self.joined.extend_from_slice(&first);
        self.joined.extend_from_slice(&frame);
    }

    fn finish(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}
