//! A connection's stream whose writes can't stall for ever, and whose end does not cut off the
//! answer.

use crate::pressure::{ClientPace, Pressure};
use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long, and how many bytes of it, is read after our side is closed. A kernel that has
/// unread bytes answers the close with a reset, and the client loses the error that it should
/// have read.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// See the module.
pub(super) struct Guarded<S> {
    inner: S,
    stall: Duration,
    /// Runs while a write is pending.
    stalled: Option<Pin<Box<Sleep>>>,
    pace: ClientPace,
    linger: Linger,
}

enum Linger {
    Open,
    Reading { until: Pin<Box<Sleep>>, left_bytes: usize },
    Done,
}

impl<S> Guarded<S> {
    /// Guards a stream, which gives way to others when it is slow.
    pub(super) fn new(inner: S, stall: Duration, pressure: Pressure) -> Self {
        let pace = ClientPace::new(pressure);
        Self { inner, stall, stalled: None, pace, linger: Linger::Open }
    }

    /// As [`Guarded::watch`], for writes: whose reader is slow gives way to others.
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<Result<usize>>,
    ) -> Poll<Result<usize>> {
        match &poll {
            Poll::Ready(Ok(count)) => self.pace.moved(*count),
            Poll::Pending if self.pace.is_to_go(cx) => {
                tracing::info!("a reader that others waited for was too slow and is cut");
                return Poll::Ready(Err(Error::from(ErrorKind::TimedOut)));
            }
            _ => {}
        }
        self.watch(cx, poll)
    }

    /// Turns a write that is pending for too long into an error.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<Result<T>>) -> Poll<Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let deadline = Instant::now() + self.stall;
        let timer =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(Error::from(ErrorKind::TimedOut))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.watch_write(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.watch_write(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.linger {
                Linger::Open => {
                    let poll = Pin::new(&mut this.inner).poll_shutdown(cx);
                    std::task::ready!(this.watch(cx, poll))?;
                    let until = Box::pin(tokio::time::sleep(LINGER));
                    this.linger = Linger::Reading { until, left_bytes: LINGER_BYTES };
                }
                Linger::Reading { until, left_bytes } => {
                    let mut space = [0u8; 8192];
                    let mut buffer = ReadBuf::new(&mut space);
                    let read = Pin::new(&mut this.inner).poll_read(cx, &mut buffer);
                    let count = buffer.filled().len();
                    match read {
                        Poll::Ready(Ok(())) if count > 0 && *left_bytes > count => {
                            *left_bytes -= count;
                        }
                        Poll::Pending => {
                            std::task::ready!(until.as_mut().poll(cx));
                            this.linger = Linger::Done;
                        }
                        Poll::Ready(_) => this.linger = Linger::Done,
                    }
                }
                Linger::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Guarded;
    use crate::pressure::Pressure;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn f30_a_reader_that_takes_nothing_ends_the_connection() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut stream = Guarded::new(ours, Duration::from_millis(50), Pressure::new(1));
        let error = stream.write_all(&[0; 1024]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_a_client_still_sends_is_read_before_the_end() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut stream = Guarded::new(ours, Duration::from_secs(60), Pressure::new(1));
        let sender = tokio::spawn(async move {
            theirs.write_all(&vec![1; 100_000]).await.unwrap();
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            answer
        });
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        assert_eq!(sender.await.unwrap(), b"answer");
    }
}
