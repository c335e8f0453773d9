//! One request from its head to its answer; reads as the drawing in [`super`].

use super::answer_body::AnswerBody;
use super::body::{Fate, IdleLimited, incomplete};
use super::checks::{self, Head};
use super::document::{Document, Expected, is_too_long, too_long};
use super::frames::{Framed, Framing};
use super::health::Health;
use super::host::Domains;
use super::large_frames::LargeFrames;
use super::listener::Peer;
use super::operation::Operation;
use super::record::RequestRecord;
use super::refusal::Refusal;
use super::response::{self, Kept, LoggedBody};
use super::target::{Place, Target};
use super::traced;
use super::unused;
use crate::metrics::{Answered, RequestMetrics};
use crate::pressure::Pressure;
use crate::telemetry::trace::{self, Span, Tracer};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use s3s::Body;
use s3s::service::S3Service;
use sixfold_node::log::OfRequest;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a probe is called in metrics. Probes are no requests of clients and have no line in the
/// access log.
pub(super) const HEALTH: &str = "Health";

/// What the front needs to know.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// The region that signatures must name.
    pub region: String,
    /// Domains of virtual-host style.
    pub domains: Vec<String>,
    /// Requests that run at once; more get 503 `SlowDown`. Each holds a few stripes.
    pub max_requests: usize,
    /// How long a client may pause within a body.
    pub body_idle: Duration,
    /// Whom a request that is sent away asks to make room, and slow uploads give way to.
    pub pressure: Pressure,
    /// Requests that take this long are told apart in the log.
    pub slow_after: Duration,
    /// Begins traces.
    pub tracer: Tracer,
}

/// The S3 address's service.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

struct Inner {
    service: S3Service,
    health: Health,
    settings: FrontSettings,
    domains: Domains,
    requests: Arc<Semaphore>,
    metrics: Arc<RequestMetrics>,
}

impl Front {
    /// Puts the front before a service.
    pub fn new(service: S3Service, health: Health, settings: FrontSettings) -> Self {
        let domains = Domains::new(&settings.domains);
        let requests = Arc::new(Semaphore::new(settings.max_requests));
        let metrics = Arc::default();
        Self(Arc::new(Inner { service, health, settings, domains, requests, metrics }))
    }

    /// How many requests run, and how many may.
    pub fn requests(&self) -> (usize, usize) {
        let limit = self.0.settings.max_requests;
        (limit.saturating_sub(self.0.requests.available_permits()), limit)
    }

    /// Answers a request. What is logged meanwhile carries its id.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let target = self.target(&request);
        let request = match target.place() {
            Place::Service => rewrite_double_root(request),
            Place::Bucket | Place::Object => request,
        };
        let version = request.version();
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        let record = RequestRecord::new(request.method().clone(), target).from_peer(peer);
        let span = traced::begin(&self.0.settings.tracer, request.headers(), &record);
        let logged = OfRequest::new(Arc::clone(&record.id), span.context());
        let parent = span.parent();
        let work = pin!(async {
            let answer = self.answer(request, Arc::new(record), span).await;
            answer.map(|body| AnswerBody::new(body, version, &self.0.settings.pressure))
        });
        logged.within(trace::within(parent, work)).await
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        record: Arc<RequestRecord>,
        span: Span,
    ) -> Response<LoggedBody>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let probed = self.0.health.answer(&request);
        if let Some(answer) = probed.filter(|_| !self.names_bucket(&request)) {
            let _ = record.operation.set(Operation::named(HEALTH));
            span.discard();
            let kept = self.kept(Fate::default(), None, Span::none());
            return LoggedBody::wrap(response::complete(answer, &record).await, record, kept);
        }
        let permit = self.0.requests.clone().try_acquire_owned().ok();
        let (fate, version) = (Fate::default(), request.version());
        if request.body().is_end_stream() {
            fate.set_read();
        }
        let answer = if permit.is_some() {
            self.serve(request, &record, &fate).await
        } else {
            self.0.settings.pressure.ask();
            Err(Refusal::slow_down())
        };
        let mut answer = answer.unwrap_or_else(Refusal::into_response);
        close_unless_read(&mut answer, version, &fate);
        let kept = self.kept(fate, permit, span);
        LoggedBody::wrap(response::complete(answer, &record).await, record, kept)
    }

    /// Notes a request that the HTTP parser refused: it never was one, and nothing is known of it
    /// but what was answered.
    pub fn note_refused(&self, status: StatusCode, peer: SocketAddr) {
        self.0.metrics.count(&Answered {
            operation: Operation::named("none"),
            status,
            error_code: None,
            elapsed: Duration::ZERO,
            first_byte: Duration::ZERO,
            received_bytes: 0,
            sent_bytes: 0,
            is_whole: true,
        });
        tracing::info!(
            target: "sixfold::access",
            client = %peer,
            op = "none",
            status = status.as_u16(),
            outcome = "no HTTP",
            "request"
        );
    }

    fn kept(&self, fate: Fate, permit: Option<OwnedSemaphorePermit>, span: Span) -> Kept {
        let (metrics, slow_after) = (Arc::clone(&self.0.metrics), self.0.settings.slow_after);
        Kept { metrics, fate, slow_after, permit, span }
    }

    /// Checks the head, prepares the body, and calls s3s.
    async fn serve<B>(
        &self,
        mut request: Request<B>,
        record: &Arc<RequestRecord>,
        fate: &Fate,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let head = Head {
            method: request.method(),
            version: request.version(),
            target: &record.target,
            query: checks::parse_query(request.uri().query()),
            headers: request.headers(),
            region: &self.0.settings.region,
        };
        checks::check(&head)?;
        let expected = head
            .document()
            .map(|kind| Expected::from_headers(request.headers(), kind))
            .transpose()?;
        if expected.is_some() && is_too_long(content_length(request.headers())) {
            return Err(too_long());
        }
        if !head.is_upload() && expected.is_none() {
            let hash = head.header("x-amz-content-sha256").and_then(unused::parse_hash);
            let body =
                IdleLimited::new(request.body_mut(), self.0.settings.body_idle, fate.clone());
            unused::check(body, hash, fate).await?;
        }
        let framing = Framing::announced(request.headers());
        if framing.is_some() && request.body().is_end_stream() {
            return Err(incomplete());
        }
        let mut request = request.map(|body| self.prepare_body(body, expected, framing, fate));
        request.extensions_mut().insert(Arc::clone(record));
        let answer = self.0.service.call(request).await;
        let Ok(answer) = answer else {
            return Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "We encountered an internal error. Please try again.",
            ));
        };
        match fate.get() {
            Some(refusal) if !answer.status().is_success() => Err(refusal),
            _ => Ok(answer),
        }
    }

    fn prepare_body<B>(
        &self,
        body: B,
        expected: Option<Expected>,
        framing: Option<Framing>,
        fate: &Fate,
    ) -> Body
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        if body.is_end_stream() && expected.is_none() {
            return Body::empty();
        }
        let settings = &self.0.settings;
        let body = IdleLimited::new(body, settings.body_idle, fate.clone())
            .giving_way(settings.pressure.clone());
        match (expected, framing) {
            (Some(expected), _) => {
                Body::http_body_unsync(Document::new(body, expected, fate.clone()))
            }
            (None, Some(framing)) if framing.may_have_large_frames() => {
                let body = LargeFrames::new(body);
                Body::http_body_unsync(Framed::new(body, framing, fate.clone()))
            }
            (None, Some(framing)) => {
                Body::http_body_unsync(Framed::new(body, framing, fate.clone()))
            }
            (None, None) => Body::http_body_unsync(body),
        }
    }

    /// Whether the host does: every path is a key then, that of a probe as well.
    fn names_bucket<B>(&self, request: &Request<B>) -> bool {
        host(request).is_some_and(|host| self.0.domains.bucket(host).is_some())
    }

    fn target<B>(&self, request: &Request<B>) -> Target {
        Target::of(host(request), request.uri().path(), &self.0.domains)
    }
}

fn host<B>(request: &Request<B>) -> Option<&str> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    host.or(request.uri().authority().map(http::uri::Authority::as_str))
}

/// A refusal that came before the body was read ends the connection, and says so: a client that
/// took it for reusable would lose its next request.
fn close_unless_read(answer: &mut Response<Body>, version: Version, fate: &Fate) {
    if version <= Version::HTTP_11 && !answer.status().is_success() && !fate.is_read() {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// `GET //` is what clients send whose endpoint ends with a slash: the service.
fn rewrite_double_root<B>(mut request: Request<B>) -> Request<B> {
    if request.uri().path() != "//" {
        return request;
    }
    let path = match request.uri().query() {
        Some(query) => format!("/?{query}"),
        None => "/".to_owned(),
    };
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
