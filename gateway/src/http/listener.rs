//! Accepts connections, limits them, and lets them finish when the process stops.
//!
//! Every wait of a connection has a limit: the first byte and the header ([`Limits::header`]),
//! the body (the front), and a reader that takes nothing ([`Limits::stall`]).

use super::stream::Guarded;
use super::tls::Tls;
use crate::pressure::Pressure;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// From the first byte (or the end of the last request) to the end of the next header.
    pub header: Duration,
    /// How long a client may take nothing of an answer.
    pub stall: Duration,
    /// How long connections may take to finish when the process stops.
    pub drain: Duration,
}

/// The most bytes that hyper buffers of one connection's input: the longest header it accepts,
/// and the largest read of a body.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// HTTP/2 streams at once on one connection: as many as browsers and SDKs open.
const MAX_STREAMS: u32 = 128;

/// Flow-control window of a stream and of a connection: a gigabit at 20 ms.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// How an HTTP/2 connection is found to be dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// Waits after a failed accept: out of descriptors, nothing is gained by trying at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What begins an HTTP/2 connection without TLS.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Where a request came from, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Binds an address; the error names it and the mend.
pub async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "the address {address} is in use by another program: stop that one, or choose \
             another address with {flag}"
        ),
        std::io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "not allowed to listen on {address}: ports below 1024 need root or \
             CAP_NET_BIND_SERVICE; choose another address with {flag}"
        ),
        _ => anyhow::anyhow!("can't listen on {address} ({flag}): {error}"),
    })
}

/// Serves connections until `stop`, then lets them finish for at most `limits.drain`. What the
/// parser refuses, `refused` is told.
pub async fn serve<H, R, F, B>(
    listener: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
    pressure: Pressure,
    stop: CancellationToken,
    (handle, refused): (H, R),
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    R: Fn(StatusCode, SocketAddr) + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connections = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let Some(stream) = accept(&listener, &connections, &stop).await else { break };
        let (stream, peer, permit) = stream;
        let (tls, refused, stop) = (tls.clone(), refused.clone(), stop.clone());
        let (handle, pressure) = (handle.clone(), pressure.clone());
        let handle = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            handle(request)
        };
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _permit = permit;
            let ended = if let Some(tls) = tls {
                let accepted = begin(limits, &stop, tls.accept(stream)).await;
                let Some(stream) = accepted else { return };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = Guarded::new(stream, limits.stall, pressure);
                connection(stream, is_http2, limits, watcher, handle).await
            } else {
                let preface = begin(limits, &stop, begins_http2(&stream)).await;
                let Some(is_http2) = preface else { return };
                let stream = Guarded::new(stream, limits.stall, pressure);
                connection(stream, is_http2, limits, watcher, handle).await
            };
            if let Err(error) = ended {
                tracing::debug!(error = %error, "connection ended");
                refusal(error.as_ref()).into_iter().for_each(|status| refused(status, peer));
            }
        });
    }
    drop(listener);
    drain(graceful, limits.drain).await;
}

/// The beginning of a connection: limited, and ended by the stop, since a connection that said
/// nothing yet has nothing to finish.
async fn begin<T>(
    limits: Limits,
    stop: &CancellationToken,
    beginning: impl Future<Output = std::io::Result<T>>,
) -> Option<T> {
    tokio::select! {
        outcome = tokio::time::timeout(limits.header, beginning) => outcome.ok()?.ok(),
        () = stop.cancelled() => None,
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    loop {
        let next = async {
            let permit = Arc::clone(connections).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            next = next => next?,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Small answers must not wait for the client's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                return Some((stream, peer, permit));
            }
            Err(error) => {
                tracing::warn!(error = %error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Whether a connection begins with HTTP/2's preface. hyper's own look has no limit of time.
async fn begins_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0u8; HTTP2_PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || first[..count] != HTTP2_PREFACE[..count] {
            return Ok(false);
        }
        if count == first.len() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn connection<S, H, F, B>(
    stream: Guarded<S>,
    is_http2: bool,
    limits: Limits,
    watcher: Watcher,
    handle: H,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // A client that says it has sent all, too early, is told what it sent wrong.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(READ_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits.stall)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(MAX_STREAMS);
    let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
    let service = service_fn(move |request| {
        let answer = handle(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await
}

/// What hyper's parser has answered itself to something that is no request.
fn refusal(error: &(dyn Error + 'static)) -> Option<StatusCode> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        let is_target = error.to_string().contains("URI too long");
        let header = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some(if is_target { StatusCode::URI_TOO_LONG } else { header });
    }
    error.is_parse().then_some(StatusCode::BAD_REQUEST)
}

/// Lets connections finish their requests.
async fn drain(graceful: GracefulShutdown, limit: Duration) {
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!(limit_s = limit.as_secs(), "connections were cut at the end of the drain");
    }
}

#[cfg(test)]
mod tests;
