//! What a call does is logged under the id of the S3 request that it is made for, when it carries
//! one, and is part of the request's trace, when that is sampled. Short calls share a stream, and
//! carry only the latter.

use crate::log::OfRequest;
use crate::trace::{self, TraceContext, Tracer};
use sixfold_proto::chunks::NodeError;
use sixfold_proto::node_v1::node_server::SERVICE_NAME;
use sixfold_proto::status::error_name;
use sixfold_proto::{REQUEST_ID_METADATA_KEY, TRACEPARENT_METADATA_KEY};
use std::future::Future;
use std::pin::pin;
use tonic::metadata::MetadataMap;

/// The most characters of an id: whoever calls knows the secret, and lines stay lines.
const MAX_ID_CHARS: usize = 64;

/// Runs a call and says how it ended.
pub(super) async fn logged<T>(
    name: &'static str,
    metadata: &MetadataMap,
    span: &mut trace::Span,
    call: impl Future<Output = Result<T, NodeError>>,
) -> Result<T, NodeError> {
    let request = request(metadata, span.context());
    let call = traced(span, call);
    let call = async {
        let answer = call.await;
        match &answer {
            Ok(_) => tracing::debug!(call = name, "answered"),
            Err(error) => tracing::debug!(call = name, %error, "refused or failed: {error}"),
        }
        answer
    };
    match request {
        Some(request) => request.within(call).await,
        None => call.await,
    }
}

/// A call's span, where its metadata name the one that makes it.
pub(super) fn served(tracer: &Tracer, name: &'static str, metadata: &MetadataMap) -> trace::Span {
    if !tracer.is_on() {
        return trace::Span::none();
    }
    let caller = metadata.get(TRACEPARENT_METADATA_KEY).and_then(|header| header.to_str().ok());
    of_caller(tracer, name, caller.and_then(TraceContext::parse))
}

/// The span of a short call, which carries that itself.
pub(super) fn served_short(tracer: &Tracer, name: &'static str, caller: &[u8]) -> trace::Span {
    if caller.is_empty() {
        return trace::Span::none();
    }
    of_caller(tracer, name, TraceContext::of_short(caller))
}

fn of_caller(tracer: &Tracer, name: &'static str, caller: Option<TraceContext>) -> trace::Span {
    tracer.served(caller, name).with(|note| {
        note.text("rpc.system", "grpc");
        note.text("rpc.service", SERVICE_NAME);
        note.text("rpc.method", name);
    })
}

/// Runs a call below its span.
pub(super) async fn traced<T>(
    span: &mut trace::Span,
    call: impl Future<Output = Result<T, NodeError>>,
) -> Result<T, NodeError> {
    let answer = trace::within(span.parent(), pin!(call)).await;
    match &answer {
        Ok(_) => span.answered(),
        Err(error) => span.failed(error_name(error)),
    }
    answer
}

/// What stands in every line.
fn request(metadata: &MetadataMap, trace: Option<TraceContext>) -> Option<OfRequest> {
    let id = metadata.get(REQUEST_ID_METADATA_KEY)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_id = id.len() <= MAX_ID_CHARS && id.bytes().all(is_plain);
    is_id.then(|| OfRequest::new(id.into(), trace))
}
