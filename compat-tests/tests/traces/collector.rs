//! A collector of the tests' own: it keeps what it is sent, or never answers.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A bound against hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A span and the process that sent it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) span: otlp::Span,
}

impl Received {
    /// An attribute as text; empty when there is none.
    pub(crate) fn attribute(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is_so)) => is_so.to_string(),
        _ => String::new(),
    }
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    received: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    /// Starts one; answers its endpoint as well.
    pub(crate) async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let incoming = TcpIncoming::from(listener);
        tokio::spawn(async move { Server::builder().serve_with_incoming(service, incoming).await });
        (collector, endpoint)
    }

    /// All spans of one trace, once `is_whole` says so of them.
    pub(crate) async fn trace_of(
        &self,
        request_id: &str,
        is_whole: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        let until = Instant::now() + PATIENCE;
        loop {
            let trace = self.so_far(request_id);
            if is_whole(&trace) {
                return trace;
            }
            assert!(Instant::now() < until, "the trace of {request_id} is not whole: {trace:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn so_far(&self, request_id: &str) -> Vec<Received> {
        let received = self.received.lock().unwrap();
        let is_first = |one: &&Received| one.attribute("sixfold.request_id") == request_id;
        let Some(first) = received.iter().find(is_first) else { return Vec::new() };
        let is_of = |one: &&Received| one.span.trace_id == first.span.trace_id;
        received.iter().filter(is_of).cloned().collect()
    }

    /// Everything that was sent, as text.
    pub(crate) fn everything(&self) -> String {
        format!("{:?}", self.received.lock().unwrap())
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.received.lock().unwrap();
        for process in request.into_inner().resource_spans {
            let resource = process.resource.unwrap();
            let service = text(&resource.attributes, "service.name");
            let instance = text(&resource.attributes, "service.instance.id");
            let spans = process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            received.extend(spans.map(|span| Received {
                service: service.clone(),
                instance: instance.clone(),
                span,
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// An endpoint that takes connections and never says anything, as a collector that hangs. The
/// connections are kept until the listener is dropped.
pub(crate) async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    endpoint
}
