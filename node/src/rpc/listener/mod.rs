//! The connections of a node: only so many at once, and none that stays without a call that was
//! admitted. Whoever can reach the port can open connections; it must not cost more than that.

use crate::descriptors;
use futures::Stream;
use futures::stream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// Waits after a failed accept: out of descriptors, nothing is gained by trying at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The limits of a node's connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; more wait in the kernel's queue. A gateway keeps one or two.
    pub(super) connections: usize,
    /// How long a connection may go on without a call that was admitted. A gateway connects
    /// when it has a call to make.
    pub(super) admitted_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1024, admitted_within: Duration::from_secs(10) }
    }
}

/// Whether a call on this connection was admitted; among the extensions of each of its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitted(Arc<AtomicBool>);

impl Admitted {
    /// A call showed what it must.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection within its limits.
pub(super) struct Connection {
    stream: TcpStream,
    admitted: Admitted,
    /// When it is cut unless a call was admitted; `None` once one was.
    cut: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Fails once the time without an admitted call is over.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(cut) = &mut self.cut else { return Ok(()) };
        if cut.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        if !self.admitted.is_set() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.cut = None;
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = Admitted;

    fn connect_info(&self) -> Admitted {
        self.admitted.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The connections of a listener, for ever.
pub(super) fn incoming(
    listener: TcpListener,
    limits: Limits,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let places = Arc::new(Semaphore::new(descriptors::connections(limits.connections)));
    stream::unfold(listener, move |listener| {
        let places = Arc::clone(&places);
        async move {
            let place = places.acquire_owned().await.ok()?;
            let stream = next(|| listener.accept()).await;
            // Small answers must not wait for the caller's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            let cut = Some(Box::pin(sleep(limits.admitted_within)));
            let admitted = Admitted::default();
            Some((Ok(Connection { stream, admitted, cut, _place: place }), listener))
        }
    })
}

/// The next connection, however often it can't be taken: a failed accept is told once and does
/// not end the listener.
async fn next<F>(mut accept: impl FnMut() -> F) -> TcpStream
where
    F: Future<Output = io::Result<(TcpStream, SocketAddr)>>,
{
    let mut is_told = false;
    loop {
        match accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if !std::mem::replace(&mut is_told, true) => {
                tracing::warn!(%error, "a connection can't be accepted; this is tried again");
            }
            Err(_) => {}
        }
        sleep(ACCEPT_RETRY).await;
    }
}

#[cfg(test)]
mod tests;
