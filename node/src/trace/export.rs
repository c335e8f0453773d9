//! From ended spans to the collector, without ever being waited for.

use super::context::{TraceContext, TraceId};
use super::sample::Sampler;
use super::settings::TraceSettings;
use super::span::{Attributes, Part, Span};
use crate::metrics::counter;
use metrics::Counter;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use sixfold_proto::metrics::TRACE_SPANS;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// Spans that wait; what comes beyond is dropped. At about a KiB each, this bounds the memory.
pub(super) const QUEUE_SPANS: usize = 4096;

/// Spans of one message.
const BATCH_SPANS: usize = 512;

/// How long the first span of a message waits for company.
const GATHER: Duration = Duration::from_secs(1);

/// How long a message may take; its spans are dropped then. Trying again is left out: while the
/// collector is away, the newest spans are worth more than the oldest.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// How long the stop of a process waits for the last spans to be sent.
pub const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What became of spans, as the metric has it.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Sent,
    QueueFull,
    Undelivered,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Sent, Self::QueueFull, Self::Undelivered];

    fn counter(self) -> Counter {
        let name = match self {
            Self::Sent => "sent",
            Self::QueueFull => "queue_full",
            Self::Undelivered => "undelivered",
        };
        counter(&TRACE_SPANS, &[("outcome", name.to_owned())])
    }
}

/// Shows the metric with 0, also where nothing is traced.
pub(crate) fn show() {
    Outcome::ALL.into_iter().for_each(|outcome| drop(outcome.counter()));
}

/// Begins the spans of a process and sends them; or does nothing. Clones share everything.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Running>>);

struct Running {
    sampler: Sampler,
    queue: Queue,
    stop: CancellationToken,
    sending: Mutex<Option<JoinHandle<()>>>,
}

/// Where ended spans go.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<otlp::Span>,
    full: Counter,
}

impl Queue {
    pub(super) fn push(&self, span: otlp::Span) {
        if self.sender.try_send(span).is_err() {
            self.full.increment(1);
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Queue({} free)", self.sender.capacity())
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Tracer(on: {})", self.is_on())
    }
}

impl Tracer {
    /// Records nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Starts to send where `settings` say, as the instance of that name; call it inside the runtime
    /// and when metrics are installed. The collector need not be there.
    pub fn start(
        settings: Option<&TraceSettings>,
        instance: &str,
    ) -> Result<Self, tonic::transport::Error> {
        let Some(settings) = settings else { return Ok(Self::off()) };
        let (sender, spans) = mpsc::channel(QUEUE_SPANS);
        let stop = CancellationToken::new();
        let sending = Sending::new(settings, instance)?;
        let sending = tokio::spawn(sending.run(Spans { spans, stop: stop.clone() }));
        tracing::info!(service = settings.service, "traces are sent to {}", settings.endpoint);
        Ok(Self::running(settings, sender, stop, Some(sending)))
    }

    /// One whose spans are handed to a test.
    #[cfg(any(test, feature = "conformance"))]
    pub fn received(settings: &TraceSettings) -> (Self, mpsc::Receiver<otlp::Span>) {
        let (sender, spans) = mpsc::channel(QUEUE_SPANS);
        (Self::running(settings, sender, CancellationToken::new(), None), spans)
    }

    fn running(
        settings: &TraceSettings,
        sender: mpsc::Sender<otlp::Span>,
        stop: CancellationToken,
        sending: Option<JoinHandle<()>>,
    ) -> Self {
        let sampler = Sampler::new(settings.sampling);
        let queue = Queue { sender, full: Outcome::QueueFull.counter() };
        Self(Some(Arc::new(Running { sampler, queue, stop, sending: Mutex::new(sending) })))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the trace of a request, or goes on with its caller's, if it is sampled. `fresh` is the
    /// trace's id when the caller has none.
    pub fn request(&self, caller: Option<&str>, fresh: TraceId) -> Span {
        let Some(running) = &self.0 else { return Span::none() };
        let caller = caller.and_then(TraceContext::parse);
        let Some(begun) = running.sampler.decide(caller, fresh) else { return Span::none() };
        Span::first(running.queue.clone(), begun.trace, begun.parent, Part::Request, "request")
    }

    /// Goes on with the trace of a caller that is trusted with its decision.
    pub fn served(&self, caller: Option<TraceContext>, name: &'static str) -> Span {
        let (Some(running), Some(caller)) = (&self.0, caller.filter(|caller| caller.is_sampled))
        else {
            return Span::none();
        };
        Span::first(running.queue.clone(), caller.trace, Some(caller.span), Part::Served, name)
    }

    /// Sends what is there, for [`STOP_LIMIT`] at most.
    pub async fn stop(&self) {
        let Some(running) = &self.0 else { return };
        running.stop.cancel();
        let sending = running.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = sending else { return };
        if tokio::time::timeout(STOP_LIMIT, &mut sending).await.is_err() {
            sending.abort();
            let limit = STOP_LIMIT.as_secs();
            tracing::warn!("the last spans could not be sent within {limit} s and are dropped");
        }
    }
}

/// The other end of the queue.
struct Spans {
    spans: mpsc::Receiver<otlp::Span>,
    stop: CancellationToken,
}

impl Spans {
    /// The spans of the next message; none after the last.
    async fn next(&mut self) -> Vec<otlp::Span> {
        let mut batch = Vec::new();
        let mut until = None;
        while batch.len() < BATCH_SPANS {
            let room = BATCH_SPANS - batch.len();
            let is_open = !self.spans.is_closed();
            tokio::select! {
                count = self.spans.recv_many(&mut batch, room) => match count {
                    0 => break,
                    _ => until = until.or(Some(Instant::now() + GATHER)),
                },
                () = self.stop.cancelled(), if is_open => self.spans.close(),
                () = sleep_until(until) => break,
            }
        }
        batch
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Sends messages, one at a time.
struct Sending {
    client: TraceServiceClient<Channel>,
    endpoint: String,
    resource: Resource,
    is_away: bool,
    sent: Counter,
    undelivered: Counter,
}

impl Sending {
    fn new(settings: &TraceSettings, instance: &str) -> Result<Self, tonic::transport::Error> {
        let mut endpoint =
            Endpoint::from_shared(settings.endpoint.clone())?.connect_timeout(EXPORT_LIMIT);
        if settings.endpoint.starts_with("https:") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        let mut attributes = Attributes::default();
        attributes.text("service.name", &settings.service);
        attributes.text("service.version", env!("CARGO_PKG_VERSION"));
        attributes.text("service.instance.id", instance);
        Ok(Self {
            client: TraceServiceClient::new(endpoint.connect_lazy()),
            endpoint: settings.endpoint.clone(),
            resource: Resource { attributes: attributes.0, ..Resource::default() },
            is_away: false,
            sent: Outcome::Sent.counter(),
            undelivered: Outcome::Undelivered.counter(),
        })
    }

    async fn run(mut self, mut spans: Spans) {
        loop {
            let batch = spans.next().await;
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&mut self, spans: Vec<otlp::Span>) {
        let count = spans.len() as u64;
        let message = self.message(spans);
        let answer = tokio::time::timeout(EXPORT_LIMIT, self.client.export(message)).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned());
        match answer.and_then(|answer| answer.map_err(|status| status.to_string())) {
            Ok(answer) => {
                let refused = answer.into_inner().partial_success;
                let refused = refused.map_or(0, |some| some.rejected_spans.max(0).unsigned_abs());
                self.undelivered.increment(refused.min(count));
                self.sent.increment(count.saturating_sub(refused));
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("{} takes spans again", self.endpoint);
                }
            }
            Err(error) => {
                self.undelivered.increment(count);
                if !std::mem::replace(&mut self.is_away, true) {
                    let endpoint = &self.endpoint;
                    tracing::warn!("{endpoint} takes no spans, they are dropped: {error}");
                }
            }
        }
    }

    fn message(&self, spans: Vec<otlp::Span>) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope { name: "sixfold".to_owned(), ..Default::default() };
        let spans = ScopeSpans { scope: Some(scope), spans, schema_url: String::new() };
        let resource = Some(self.resource.clone());
        let (scope_spans, schema_url) = (vec![spans], String::new());
        let of_process = ResourceSpans { resource, scope_spans, schema_url };
        ExportTraceServiceRequest { resource_spans: vec![of_process] }
    }
}
