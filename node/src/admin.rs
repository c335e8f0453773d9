//! The node's admin address: liveness for everybody, metrics for those that may. HTTP/1.1, one
//! answer for each request, within the limits of a scraper or two.

use crate::metrics::{show_drive, show_process};
use crate::store::Store;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use sixfold_proto::scrape::ScrapeAccess;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;

/// How long a connection may take to name what it wants.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may last at all: many scrapes, and nobody who holds a place for ever.
const CONNECTION_LIMIT: Duration = Duration::from_secs(600);

/// The longest look at the drive; Prometheus waits for 10 s.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// The wait after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What is shown, and to whom.
pub struct Admin {
    store: Arc<Store>,
    recorded: PrometheusHandle,
    access: ScrapeAccess,
    /// A look at a drive that hangs is not joined by others.
    is_looking: Arc<AtomicBool>,
}

impl Admin {
    /// Shows this drive beside what is recorded.
    pub fn new(store: Arc<Store>, recorded: PrometheusHandle, access: ScrapeAccess) -> Arc<Self> {
        Arc::new(Self { store, recorded, access, is_looking: Arc::default() })
    }

    /// Serves until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_RETRY).await;
                continue;
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request| {
                    let admin = Arc::clone(&admin);
                    async move { Ok::<_, Infallible>(admin.answer(&request).await) }
                });
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                // However it ends, whoever asked knows as much.
                let _ = timeout(CONNECTION_LIMIT, connection).await;
            });
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/health" | "/health/live" => text(StatusCode::OK, "live\n"),
            "/metrics" => {
                let shown = request.headers().get(header::AUTHORIZATION);
                if !self.access.admits(shown.map(HeaderValue::as_bytes)) {
                    let line = "metrics need the header Authorization: Bearer TOKEN, with the \
                                token of --admin-token-file\n";
                    return text(StatusCode::UNAUTHORIZED, line);
                }
                self.look().await;
                text(StatusCode::OK, self.recorded.render())
            }
            _ => text(StatusCode::NOT_FOUND, "a node shows /health/live and /metrics here\n"),
        }
    }

    /// What takes too long stays as it was.
    async fn look(&self) {
        show_process();
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (store, looking) = (Arc::clone(&self.store), Arc::clone(&self.is_looking));
        let look = tokio::task::spawn_blocking(move || {
            show_drive(&store);
            looking.store(false, Ordering::Release);
        });
        let _ = timeout(LOOK_LIMIT, look).await;
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let value = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}
