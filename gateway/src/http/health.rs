//! Liveness, readiness and metrics, answered without a signature and without any look-up.
//!
//! What a probe learns is kept up to date by the role that runs; a probe costs one load, so
//! nobody can make the database work by probing.

use super::Refusal;
use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
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
    metrics: Option<PrometheusHandle>,
}

impl Health {
    /// For the S3 address: no metrics, no reasons.
    pub fn new() -> Self {
        let state = Arc::new(ArcSwap::from_pointee(Readiness::Starting));
        Self { state, is_writable: Arc::new(AtomicBool::new(true)), metrics: None }
    }

    /// The same state for the admin address, with metrics.
    #[must_use]
    pub fn with_metrics(&self, metrics: PrometheusHandle) -> Self {
        Self { metrics: Some(metrics), ..self.clone() }
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
            "/metrics" | "/minio/v2/metrics/cluster" => {
                let metrics = self.metrics.as_ref()?;
                Some(text(StatusCode::OK, metrics.render()))
            }
            _ => None,
        }
    }

    /// Answers at the admin address. Whoever looks for S3 there is told so in S3's words: a bare
    /// 404 reads to clients as a bucket that does not exist.
    pub fn answer_or_refuse<B>(&self, request: &Request<B>) -> Response<Body> {
        let message = "This is the admin address; S3 is served at the other address.";
        let refuse = || Refusal::invalid_request(message).into_response();
        self.answer(request).unwrap_or_else(refuse)
    }

    fn answer_minio(&self, path: &str) -> Response<Body> {
        match path {
            "/minio/health/live" => text(StatusCode::OK, ""),
            "/minio/health/ready" | "/minio/health/cluster/read" => text(self.status(), ""),
            "/minio/health/cluster" if self.is_writable.load(Ordering::Relaxed) => {
                text(self.status(), "")
            }
            "/minio/health/cluster" => text(StatusCode::SERVICE_UNAVAILABLE, ""),
            _ => text(StatusCode::NOT_FOUND, ""),
        }
    }

    fn answer_ready(&self) -> Response<Body> {
        let line = match self.get() {
            Readiness::Starting => "starting\n".to_owned(),
            Readiness::Ready => "ready\n".to_owned(),
            Readiness::Draining => "draining\n".to_owned(),
            Readiness::NotReady(reason) if self.metrics.is_some() => format!("{reason}\n"),
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

fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
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

    #[test]
    fn the_admin_address_says_that_it_is_not_s3() {
        let request = Request::get("/probe/?location=").body(()).unwrap();
        let answer = Health::new().answer_or_refuse(&request);
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers()["content-type"], "application/xml");
    }
}
