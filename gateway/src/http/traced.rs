//! A request's own span: what it says of the request, and what it never does.
//!
//! Neither the path nor the query nor a header is among it: a presigned URL is a secret, and a key
//! may be one. Whoever needs the key finds it in the access log, by the request's id.

use super::record::RequestRecord;
use crate::metrics::Answered;
use crate::telemetry::trace::{Span, Tracer};
use http::HeaderMap;

/// The header by which a caller names its own span (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// The longest bucket's name. What is longer is none, and may be anything.
const MAX_BUCKET_BYTES: usize = 63;

/// Begins it, if the request is sampled.
pub(super) fn begin(tracer: &Tracer, headers: &HeaderMap, record: &RequestRecord) -> Span {
    if !tracer.is_on() {
        return Span::none();
    }
    // Two of them are none.
    let mut callers = headers.get_all(TRACEPARENT).iter();
    let caller = callers.next().filter(|_| callers.next().is_none());
    let caller = caller.and_then(|caller| caller.to_str().ok());
    tracer.request(caller, record.fresh_trace).with(|note| {
        note.text("sixfold.request_id", &*record.id);
        note.text("http.request.method", record.method.as_str());
        if let Some(bucket) = record.target.bucket.as_deref().filter(|name| is_bucket(name)) {
            note.text("aws.s3.bucket", bucket);
        }
    })
}

/// Says how it ended. Answers the trace's id, for the log.
pub(super) fn end(
    span: &mut Span,
    record: &RequestRecord,
    answered: &Answered<'_>,
) -> Option<String> {
    let trace = span.context()?.trace;
    let operation = record.operation_name();
    span.rename(operation);
    span.answered();
    if answered.status.is_server_error() {
        span.failed("5xx");
    }
    span.note(|note| {
        note.text("sixfold.operation", operation);
        note.number("http.response.status_code", answered.status.as_u16());
        note.number("http.request.body.size", answered.received_bytes);
        note.number("http.response.body.size", answered.sent_bytes);
        note.number("sixfold.first_byte_us", answered.first_byte.as_micros());
        if let Some(code) = answered.error_code {
            note.text("sixfold.error_code", code);
        }
        if !answered.is_whole {
            note.flag("sixfold.cut");
        }
    });
    Some(hex::encode(trace))
}

/// Whether it could be one: those of others are not ours to pass on.
fn is_bucket(name: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    name.len() <= MAX_BUCKET_BYTES && name.bytes().all(is_plain)
}
