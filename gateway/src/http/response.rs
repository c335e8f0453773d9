//! What every answer gets: ids, a whole error document, and its line in the access log when its
//! last byte is out.

use super::body::Fate;
use super::record::RequestRecord;
use super::refusal::push_element;
use super::traced;
use crate::metrics::{Answered, RequestMetrics};
use crate::s3::EntryOrder;
use crate::telemetry::trace::Span;
use crate::xml;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use s3s::{Body, StdError};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Error documents are short; a longer one is not ours to rewrite.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Completes a response: headers for all, the document for errors.
pub(super) async fn complete(mut response: Response<Body>, record: &RequestRecord) -> Completed {
    let mut error_code = None;
    if response.status().is_client_error() || response.status().is_server_error() {
        let (completed, code) = complete_error(response, record).await;
        response = completed;
        error_code = code;
    } else if record.operation_name() == "GetObjectAttributes" {
        response = unquote_etag(response).await;
    } else if let Some(order) = response.extensions_mut().remove::<EntryOrder>() {
        response = in_order(response, &order).await;
    } else if response.headers().contains_key(http::header::CONTENT_RANGE) {
        // s3s says 200 to a HEAD whatever part of the object it describes.
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    insert("x-amz-request-id", &record.id);
    insert("x-amz-id-2", &record.host_id);
    insert("server", "Sixfold");
    insert("x-content-type-options", "nosniff");
    Completed { response, error_code }
}

/// A response ready to be sent, and the code of its error for the log.
pub(super) struct Completed {
    pub(super) response: Response<Body>,
    pub(super) error_code: Option<String>,
}

/// Adds what s3s leaves out of an error document: message, resource and the ids.
async fn complete_error(
    response: Response<Body>,
    record: &RequestRecord,
) -> (Response<Body>, Option<String>) {
    let (mut parts, body) = response.into_parts();
    let is_short = body.size_hint().upper().is_some_and(|upper| upper <= MAX_ERROR_BYTES as u64);
    if !is_short {
        return (Response::from_parts(parts, body), None);
    }
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // A message of s3s may repeat what it was sent.
    let text = xml::carried(&String::from_utf8_lossy(&bytes));
    let code = between(&text, "<Code>", "</Code>").map(str::to_owned);
    if record.method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED {
        return (Response::from_parts(parts, Body::empty()), code);
    }
    let document = match text.strip_suffix("</Error>") {
        Some(document) => document.to_owned(),
        None if bytes.is_empty() => empty_error(parts.status),
        None => return (Response::from_parts(parts, Body::from(bytes.clone())), code),
    };
    let document = finish_document(document, record);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    parts.headers.remove(header::CONTENT_LENGTH);
    (Response::from_parts(parts, Body::from(document)), code)
}

/// The beginning of a document for an error that came without one.
fn empty_error(status: StatusCode) -> String {
    let mut document = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    let is_unknown = status == StatusCode::NOT_FOUND;
    let code = if is_unknown { "NoSuchKey" } else { "InternalError" };
    push_element(&mut document, "Code", code);
    push_element(&mut document, "Message", status.canonical_reason().unwrap_or("Error"));
    document
}

fn finish_document(mut document: String, record: &RequestRecord) -> String {
    if !document.contains("<Message>") {
        let message = between(&document, "<Code>", "</Code>").unwrap_or("Error").to_owned();
        push_element(&mut document, "Message", &message);
    }
    for (name, value) in [("BucketName", &record.target.bucket), ("Key", &record.target.key)] {
        if let Some(value) = value {
            push_element(&mut document, name, value);
        }
    }
    push_element(&mut document, "Resource", &record.target.resource());
    push_element(&mut document, "RequestId", &record.id);
    push_element(&mut document, "HostId", &record.host_id);
    document.push_str("</Error>");
    document
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

/// Puts the entries of a list into its order.
async fn in_order(response: Response<Body>, order: &EntryOrder) -> Response<Body> {
    rewritten(response, |document| order.apply(document)).await
}

/// `GetObjectAttributes` is the one answer whose ETag has no quotes; s3s writes them.
async fn unquote_etag(response: Response<Body>) -> Response<Body> {
    rewritten(response, |document| {
        let text = document.replace("<ETag>&quot;", "<ETag>").replace("&quot;</ETag>", "</ETag>");
        Some(text.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>"))
    })
    .await
}

/// An answer whose document is changed, unless there is nothing to change.
async fn rewritten(
    response: Response<Body>,
    change: impl FnOnce(&str) -> Option<String>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let changed = str::from_utf8(&bytes).ok().and_then(change);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(changed.map_or(bytes, Bytes::from)))
}

/// The rest of a document that ends in an error although its answer began with 200: what runs for
/// long is kept alive like that.
fn finish_late_error(data: &Bytes, record: &RequestRecord) -> Option<(Bytes, Option<String>)> {
    let text = std::str::from_utf8(data.strip_suffix(b"</Error>")?).ok()?;
    let code = between(text, "<Code>", "</Code>").map(str::to_owned);
    Some((finish_document(text.to_owned(), record).into(), code))
}

/// A response's body that counts its bytes and writes the access log's line when it is done,
/// whether sent whole or given up.
pub struct LoggedBody {
    inner: Body,
    record: Arc<RequestRecord>,
    status: StatusCode,
    error_code: Option<String>,
    sent_bytes: u64,
    /// From the head to the first byte.
    first_byte: Option<Duration>,
    is_whole: bool,
    /// Whether the body may say that the operation failed in the end.
    may_fail_late: bool,
    kept: Kept,
}

/// What is kept until the last byte of an answer is out.
pub(super) struct Kept {
    pub(super) metrics: Arc<RequestMetrics>,
    /// Knows how much the client sent.
    pub(super) fate: Fate,
    /// From here on a request has a line of its own as a slow one.
    pub(super) slow_after: Duration,
    /// The request's place among those that may run at once.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// Its trace.
    pub(super) span: Span,
}

impl LoggedBody {
    /// Wraps the body of a completed response.
    pub(super) fn wrap(
        completed: Completed,
        record: Arc<RequestRecord>,
        kept: Kept,
    ) -> Response<Self> {
        let Completed { response, error_code } = completed;
        let status = response.status();
        response.map(|inner| {
            let is_whole = inner.is_end_stream() || record.method == Method::HEAD;
            let may_fail_late = status == StatusCode::OK
                && record.operation_name() == "CompleteMultipartUpload"
                && inner.size_hint().exact().is_none();
            Self {
                inner,
                record,
                status,
                error_code,
                sent_bytes: 0,
                first_byte: None,
                is_whole,
                may_fail_late,
                kept,
            }
        })
    }
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = self.get_mut();
        let mut poll = Pin::new(&mut this.inner).poll_frame(cx);
        if this.may_fail_late
            && let Poll::Ready(Some(Ok(frame))) = &mut poll
            && let Some(data) = frame.data_ref()
            && let Some((document, code)) = finish_late_error(data, &this.record)
        {
            *frame = Frame::data(document);
            this.error_code = code;
        }
        match &poll {
            Poll::Ready(Some(Ok(frame))) => {
                this.first_byte.get_or_insert_with(|| this.record.started.elapsed());
                this.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.is_whole = this.inner.is_end_stream();
            }
            Poll::Ready(None) => this.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        let record = &self.record;
        let elapsed = record.started.elapsed();
        let operation = record.operation_name();
        let answered = Answered {
            operation: record.operation(),
            status: self.status,
            error_code: self.error_code.as_deref(),
            elapsed,
            first_byte: self.first_byte.unwrap_or(elapsed),
            received_bytes: self.kept.fate.received_bytes(),
            sent_bytes: self.sent_bytes,
            is_whole: self.is_whole,
        };
        self.kept.metrics.count(&answered);
        let trace_id = traced::end(&mut self.kept.span, record, &answered);
        // Given back when all is counted.
        drop(self.kept.permit.take());
        if operation == super::front::HEALTH {
            return;
        }
        let escape =
            |text: &Option<String>| text.as_deref().unwrap_or("-").escape_debug().to_string();
        tracing::info!(
            target: "sixfold::access",
            method = record.method.as_str(),
            request.id = &*record.id,
            trace_id,
            client = record.peer.map(tracing::field::display),
            op = operation,
            bucket = escape(&record.target.bucket),
            object.key = escape(&record.target.key),
            status = self.status.as_u16(),
            code = self.error_code.as_deref().unwrap_or("-"),
            sent_bytes = self.sent_bytes,
            duration_ms = milliseconds(elapsed),
            access_key = record.access_key.get().map_or("-", String::as_str),
            outcome = if self.is_whole { "sent" } else { "cut" },
            "request"
        );
        if elapsed >= self.kept.slow_after {
            tracing::warn!(
                target: "sixfold::slow",
                op = operation,
                request.id = &*record.id,
                trace_id,
                duration_ms = milliseconds(elapsed),
                first_byte_ms = milliseconds(self.first_byte.unwrap_or(elapsed)),
                received_bytes = self.kept.fate.received_bytes(),
                sent_bytes = self.sent_bytes,
                "a slow request"
            );
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Completed, Fate, Kept, LoggedBody, RequestRecord, Span};
    use crate::http::operation::Operation;
    use crate::http::target::Target;
    use bytes::Bytes;
    use futures::stream;
    use http::{Method, Response};
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};
    use s3s::{Body, StdError};
    use std::sync::Arc;

    /// A completion that ran for long has begun with 200; its error is as whole as any other.
    #[tokio::test]
    async fn an_error_that_comes_late_names_its_request() {
        let target = Target { bucket: Some("b".to_owned()), key: Some("k".to_owned()) };
        let record = Arc::new(RequestRecord::new(Method::POST, target));
        record.operation.set(Operation::named("CompleteMultipartUpload")).unwrap();
        let pieces = ["<?xml version=\"1.0\"?>", " ", "<Error><Code>InvalidPart</Code></Error>"];
        let frames = pieces.map(|piece| Ok::<_, StdError>(Frame::data(Bytes::from(piece))));
        let body = Body::http_body_unsync(StreamBody::new(stream::iter(frames)));
        let completed = Completed { response: Response::new(body), error_code: None };
        let kept = Kept {
            metrics: Arc::default(),
            fate: Fate::default(),
            slow_after: std::time::Duration::MAX,
            permit: None,
            span: Span::none(),
        };
        let answer = LoggedBody::wrap(completed, Arc::clone(&record), kept);
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(
            text.starts_with("<?xml version=\"1.0\"?> <Error><Code>InvalidPart</Code>"),
            "{text}"
        );
        let id = format!("<RequestId>{}</RequestId>", record.id);
        assert!(text.contains("<Resource>/b/k</Resource>") && text.contains(&id), "{text}");
        assert!(text.ends_with("</HostId></Error>"), "{text}");
    }
}
