//! Liveness and readiness, answered without a signature and without any look-up.
//!
//! What a probe learns is kept up to date by the role that runs; a probe costs one load, so
//! nobody can make the database work by probing.

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use s3s::Body;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How the process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Still starting.
    Starting,
    /// Reads and writes work.
    Ready,
    /// They do not; the reason goes to the log and the admin address, not to anybody who asks.
    NotReady(String),
    /// Stopping: load balancers should look elsewhere.
    Draining,
}

/// Answers health requests; cheap to clone.
#[derive(Clone)]
pub struct Health {
    state: Arc<ArcSwap<Readiness>>,
    /// Whether enough nodes take chunks.
    is_writable: Arc<AtomicBool>,
    tells_reasons: bool,
}

impl Health {
    /// For the S3 address: no metrics, no reasons.
    pub fn new() -> Self {
        let state = Arc::new(ArcSwap::from_pointee(Readiness::Starting));
        Self { state, is_writable: Arc::new(AtomicBool::new(true)), tells_reasons: false }
    }

    /// The same state for the admin address, with reasons.
    #[must_use]
    pub fn with_reasons(&self) -> Self {
        Self { tells_reasons: true, ..self.clone() }
    }

    /// Says how the process is. A change is logged once.
    pub fn set(&self, readiness: Readiness) {
        if *self.state.load_full() == readiness {
            return;
        }
        match &readiness {
            Readiness::NotReady(reason) => tracing::warn!(reason, "not ready"),
            other => tracing::info!(state = ?other, "readiness changed"),
        }
        self.state.store(Arc::new(readiness));
    }

    /// Says whether enough nodes take chunks. Reads may go on where they do not.
    pub fn set_writable(&self, is_writable: bool) {
        if self.is_writable.swap(is_writable, Ordering::Relaxed) != is_writable {
            tracing::warn!(is_writable, "whether enough nodes take chunks has changed");
        }
    }

    /// Whether enough nodes take chunks.
    pub fn is_writable(&self) -> bool {
        self.is_writable.load(Ordering::Relaxed)
    }

    /// How the process is.
    pub fn get(&self) -> Readiness {
        self.state.load().as_ref().clone()
    }

    /// The answer, if the request is one for us. Signed requests and those with a query are not:
    /// a bucket may be called `health`.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let is_plain = matches!(*request.method(), Method::GET | Method::HEAD)
            && !request.headers().contains_key(header::AUTHORIZATION);
        if !is_plain {
            return None;
        }
        let path = request.uri().path();
        if path.starts_with("/minio/health/") {
            return Some(self.answer_minio(path));
        }
        if request.uri().query().is_some() {
            return None;
        }
        match path {
            "/health/live" => Some(text(StatusCode::OK, "live\n")),
            "/health" | "/health/ready" => Some(self.answer_ready()),
            _ => None,
        }
    }

    fn answer_minio(&self, path: &str) -> Response<Body> {
        match path {
            "/minio/health/live" => text(StatusCode::OK, ""),
            "/minio/health/ready" | "/minio/health/cluster/read" => text(self.status(), ""),
            "/minio/health/cluster" if self.is_writable() => text(self.status(), ""),
            "/minio/health/cluster" => text(StatusCode::SERVICE_UNAVAILABLE, ""),
            _ => text(StatusCode::NOT_FOUND, ""),
        }
    }

    fn answer_ready(&self) -> Response<Body> {
        let line = match self.get() {
            Readiness::Starting => "starting\n".to_owned(),
            Readiness::Ready => "ready\n".to_owned(),
            Readiness::Draining => "draining\n".to_owned(),
            Readiness::NotReady(reason) if self.tells_reasons => format!("{reason}\n"),
            Readiness::NotReady(_) => "not ready\n".to_owned(),
        };
        text(self.status(), line)
    }

    fn status(&self) -> StatusCode {
        match self.get() {
            Readiness::Ready => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{Health, Readiness};
    use http::Request;

    fn status(health: &Health, path: &str) -> Option<u16> {
        let request = Request::get(path).body(()).unwrap();
        health.answer(&request).map(|response| response.status().as_u16())
    }

    #[test]
    fn liveness_never_depends_on_readiness() {
        let health = Health::new();
        for (readiness, ready) in [
            (Readiness::Starting, 503),
            (Readiness::Ready, 200),
            (Readiness::NotReady("database".to_owned()), 503),
            (Readiness::Draining, 503),
        ] {
            health.set(readiness);
            assert_eq!(status(&health, "/health/live"), Some(200));
            assert_eq!(status(&health, "/minio/health/live"), Some(200));
            for path in ["/health/ready", "/minio/health/ready", "/minio/health/cluster"] {
                assert_eq!(status(&health, path), Some(ready), "{path}");
            }
        }
    }

    #[test]
    fn a_cluster_that_takes_no_writes_may_be_read() {
        let health = Health::new();
        health.set(Readiness::Ready);
        health.set_writable(false);
        for (path, expected) in [
            ("/minio/health/cluster", 503),
            ("/minio/health/cluster/read", 200),
            ("/minio/health/ready", 200),
            ("/health/ready", 200),
        ] {
            assert_eq!(status(&health, path), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_bucket_called_health_can_be_read_and_metrics_are_not_public() {
        let health = Health::new();
        let signed = Request::get("/health/live").header("authorization", "AWS4").body(()).unwrap();
        assert!(health.answer(&signed).is_none());
        assert_eq!(status(&health, "/health/live?X-Amz-Signature=1"), None);
        assert_eq!(status(&health, "/metrics"), None);
        assert_eq!(status(&health, "/bucket/key"), None);
    }
}
