//! An answer's body on its way to the client, which over HTTP/2 gives way to others when it is
//! taken slowly.
//!
//! A slow connection is seen by [`super::stream`]. But a stream of HTTP/2 may be left untaken beside
//! fast ones: while its window is closed hyper asks its body for nothing, so that nothing within the
//! body would ever run. It is watched from beside, and what it holds is taken away from it.

use super::response::LoggedBody;
use crate::pressure::{ClientPace, LOOK_EVERY, Pressure};
use crate::telemetry::request;
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use s3s::StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use tokio_util::task::AbortOnDropHandle;

/// The largest piece that is passed on at a time over HTTP/2: the next one is asked for when all of
/// it was taken, and a client that is just fast enough must be seen to take some.
const PIECE_BYTES: usize = 64 * 1024;

/// See the module.
pub enum AnswerBody {
    /// Of a connection that has no streams, or without bytes.
    Direct(LoggedBody),
    /// Of a stream of HTTP/2.
    Watched(Watched),
}

impl AnswerBody {
    /// The body of an answer over this version of HTTP. Call it inside the request's task.
    pub(super) fn new(body: LoggedBody, version: Version, pressure: &Pressure) -> Self {
        if version < Version::HTTP_2 || body.is_end_stream() {
            return Self::Direct(body);
        }
        let pace = ClientPace::new(pressure.clone());
        let held = Held { body: Some(body), piece: Bytes::new(), pace, is_untaken: true };
        let held = Arc::new(Mutex::new(held));
        let watch = AbortOnDropHandle::new(request::spawn(watch(Arc::downgrade(&held))));
        Self::Watched(Watched { held, _watch: watch })
    }
}

/// A body that is watched while its client is waited for.
pub struct Watched {
    held: Arc<Mutex<Held>>,
    _watch: AbortOnDropHandle<()>,
}

/// What a stream holds.
struct Held {
    /// `None` once it was taken away.
    body: Option<LoggedBody>,
    /// What is left of a large frame.
    piece: Bytes,
    pace: ClientPace,
    /// Whether the client is waited for: nobody asked for more since the last piece.
    is_untaken: bool,
}

impl Held {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Some(Err(TooSlow.into()))) };
        self.is_untaken = false;
        self.pace.moved(0);
        if self.piece.is_empty() {
            let frame = ready!(Pin::new(body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.piece = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.piece.split_to(self.piece.len().min(PIECE_BYTES));
        self.pace.moved(piece.len());
        self.is_untaken = true;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Whether others wait for what the stream holds and its client is too slow.
    fn is_to_go(&mut self) -> bool {
        self.is_untaken && self.pace.is_slow_and_wanted()
    }
}

/// Takes away what the stream holds once its client has to give way.
async fn watch(held: Weak<Mutex<Held>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(held) = held.upgrade() else { return };
        let mut held = locked(&held);
        if !held.is_to_go() {
            continue;
        }
        held.piece = Bytes::new();
        let body = held.body.take();
        drop(held);
        tracing::info!("a reader of a stream that others waited for was too slow and is cut");
        drop(body);
        return;
    }
}

fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What ends the stream when its client opens the window again.
#[derive(Debug, thiserror::Error)]
#[error("the client was too slow while others waited")]
struct TooSlow;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match self.get_mut() {
            Self::Direct(body) => Pin::new(body).poll_frame(cx),
            Self::Watched(watched) => locked(&watched.held).next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct(body) => body.is_end_stream(),
            Self::Watched(watched) => {
                let held = locked(&watched.held);
                let is_over = held.body.as_ref().is_some_and(Body::is_end_stream);
                is_over && held.piece.is_empty()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.size_hint(),
            Self::Watched(watched) => {
                let held = locked(&watched.held);
                held.body.as_ref().map_or_else(SizeHint::default, |body| {
                    with_more(body.size_hint(), held.piece.len() as u64)
                })
            }
        }
    }
}

/// A hint of so many bytes more.
fn with_more(hint: SizeHint, more: u64) -> SizeHint {
    let mut all = SizeHint::new();
    all.set_lower(hint.lower() + more);
    hint.upper().into_iter().for_each(|upper| all.set_upper(upper + more));
    all
}

#[cfg(test)]
mod tests;
