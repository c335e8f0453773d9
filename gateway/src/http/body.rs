//! A request's body with an idle limit, and a place to say why it ended badly.

use super::Refusal;
use crate::pressure::{ClientPace, Pressure};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Why a body ended badly, first reason wins. Operations see an error of the stream; the front
/// answers what stands here, since by then the type of the error is lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    refusal: Arc<OnceLock<Refusal>>,
    is_read: Arc<AtomicBool>,
    received_bytes: Arc<AtomicU64>,
}

impl Fate {
    /// Says why.
    pub(super) fn set(&self, refusal: Refusal) {
        let _ = self.refusal.set(refusal);
    }

    /// The reason, if the body ended badly.
    pub(super) fn get(&self) -> Option<Refusal> {
        self.refusal.get().cloned()
    }

    /// Says that nothing of the body is left on the connection.
    pub(super) fn set_read(&self) {
        self.is_read.store(true, Ordering::Relaxed);
    }

    fn count(&self, received_bytes: usize) {
        self.received_bytes.fetch_add(received_bytes as u64, Ordering::Relaxed);
    }

    /// How much of the body has come.
    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Whether the body was read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }
}

/// The error an operation sees; the reason is in the [`Fate`].
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The client sent nothing for too long.
    #[error("the client sent nothing for too long")]
    Idle,
    /// The client was too slow while others waited.
    #[error("the client was too slow while others waited")]
    Slow,
    /// The connection ended, or broke HTTP's rules, before the body was whole.
    #[error("the body ended early: {0}")]
    Incomplete(String),
    /// The document is refused.
    #[error("the body is refused: {0}")]
    Refused(&'static str),
}

/// A body whose sender may not pause for longer than a limit.
pub(super) struct IdleLimited<B> {
    inner: B,
    fate: Fate,
    limit: Duration,
    /// Runs out at the earliest at which the limit could be reached. It is set anew only when it
    /// fires, so that a frame costs one look at the clock and not a timer.
    timer: Option<Pin<Box<Sleep>>>,
    last_frame: Instant,
    pace: Option<ClientPace>,
}

impl<B> IdleLimited<B> {
    /// Limits the pauses of a body.
    pub(super) fn new(inner: B, limit: Duration, fate: Fate) -> Self {
        Self { inner, fate, limit, timer: None, last_frame: Instant::now(), pace: None }
    }

    /// Makes it give way to others when it is slow.
    pub(super) fn giving_way(self, pressure: Pressure) -> Self {
        Self { pace: Some(ClientPace::new(pressure)), ..self }
    }

    /// Whether the sender has been silent for too long; asks to be woken when it may be.
    fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.last_frame + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            let deadline = self.last_frame + self.limit;
            if deadline <= Instant::now() {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }
}

impl<B> Body for IdleLimited<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.last_frame = Instant::now();
                if let (Some(pace), Some(data)) = (&mut this.pace, frame.data_ref()) {
                    pace.moved(data.len());
                }
                this.fate.count(frame.data_ref().map_or(0, Bytes::len));
                if this.inner.is_end_stream() {
                    this.fate.set_read();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fate.set(incomplete());
                Poll::Ready(Some(Err(BodyError::Incomplete(error.to_string()))))
            }
            Poll::Ready(None) => {
                this.fate.set_read();
                Poll::Ready(None)
            }
            Poll::Pending if this.is_idle(cx) => {
                this.fate.set(timed_out());
                Poll::Ready(Some(Err(BodyError::Idle)))
            }
            Poll::Pending if this.pace.as_mut().is_some_and(|pace| pace.is_to_go(cx)) => {
                tracing::info!("an upload that others waited for was too slow and is cut");
                this.fate.set(Refusal::slow_down());
                Poll::Ready(Some(Err(BodyError::Slow)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// 400: fewer bytes than were announced.
pub(super) fn incomplete() -> Refusal {
    let message =
        "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    Refusal::bad_request("IncompleteBody", message)
}

/// 400: the sender paused for too long.
fn timed_out() -> Refusal {
    let message = "Your socket connection to the server was not read from or written to within \
                   the timeout period.";
    Refusal::new(StatusCode::BAD_REQUEST, "RequestTimeout", message)
}

#[cfg(test)]
mod tests {
    use super::{BodyError, Fate, IdleLimited};
    use bytes::Bytes;
    use futures::StreamExt;
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};
    use std::convert::Infallible;
    use std::time::Duration;

    /// A body of one-byte frames with pauses (in ms) before each.
    fn paused(pauses: Vec<u64>) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = futures::stream::iter(pauses).then(|pause| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        StreamBody::new(Box::pin(frames))
    }

    #[tokio::test]
    async fn f30_a_slow_body_passes_and_an_idle_one_does_not() {
        let limit = Duration::from_millis(400);
        let fate = Fate::default();
        let slow = IdleLimited::new(paused(vec![150; 4]), limit, fate.clone());
        assert_eq!(slow.collect().await.unwrap().to_bytes().len(), 4);
        assert_eq!(fate.get(), None);

        let idle = IdleLimited::new(paused(vec![10, 5000]), limit, fate.clone());
        assert!(matches!(idle.collect().await, Err(BodyError::Idle)));
        assert_eq!(fate.get().unwrap().code, "RequestTimeout");
    }
}
