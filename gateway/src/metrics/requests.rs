//! Requests as they are answered. The handles of an operation are taken with its first request;
//! from then on a request costs a few atomic additions, no lock and no allocation.

use crate::http::operation::Operation;
use http::StatusCode;
use metrics::{Counter, Histogram};
use sixfold_node::metrics::{counter, histogram};
use sixfold_proto::metrics as names;
use std::sync::OnceLock;
use std::time::Duration;

/// The longest code of an error that becomes a label.
const MAX_CODE_CHARS: usize = 64;

/// What is known of a request when its answer is over.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// What was answered.
    pub status: StatusCode,
    /// The code of an error that had a document.
    pub error_code: Option<&'a str>,
    /// From the head to the end.
    pub elapsed: Duration,
    /// From the head to the answer's first byte, or its end where it has none.
    pub first_byte: Duration,
    /// Bytes of the request's body.
    pub received_bytes: u64,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
    /// Whether the answer was sent to its end.
    pub is_whole: bool,
}

/// What requests count.
pub struct RequestMetrics {
    operations: Box<[OnceLock<OfOperation>]>,
}

struct OfOperation {
    /// By class of status: 2xx to 5xx.
    answers: [Counter; 4],
    cut: Counter,
    duration: Histogram,
    first_byte: Histogram,
    received: Counter,
    sent: Counter,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self { operations: (0..Operation::COUNT).map(|_| OnceLock::new()).collect() }
    }
}

impl RequestMetrics {
    /// Counts a request.
    pub fn count(&self, answered: &Answered<'_>) {
        let operation = answered.operation;
        let of = self.operations[operation.index()].get_or_init(|| OfOperation::new(operation));
        let class = usize::from(answered.status.as_u16() / 100).clamp(2, 5) - 2;
        of.answers[class].increment(1);
        of.duration.record(answered.elapsed);
        of.first_byte.record(answered.first_byte);
        of.received.increment(answered.received_bytes);
        of.sent.increment(answered.sent_bytes);
        if !answered.is_whole {
            of.cut.increment(1);
        }
        if answered.status.is_client_error() || answered.status.is_server_error() {
            let code = answered.error_code.map_or("none", closed);
            counter(&names::ERRORS, &[("error_code", code.to_owned())]).increment(1);
        }
    }
}

/// Codes come from our own documents; what does not look like one must not become a label.
fn closed(code: &str) -> &str {
    let is_code = code.len() <= MAX_CODE_CHARS && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_code { code } else { "other" }
}

impl OfOperation {
    fn new(operation: Operation) -> Self {
        let op = || ("op", operation.name().to_owned());
        let answers = ["2xx", "3xx", "4xx", "5xx"]
            .map(|class| counter(&names::REQUESTS, &[op(), ("status_class", class.to_owned())]));
        Self {
            answers,
            cut: counter(&names::CUT, &[op()]),
            duration: histogram(&names::DURATION, &[op()]),
            first_byte: histogram(&names::FIRST_BYTE, &[op()]),
            received: counter(&names::RECEIVED, &[op()]),
            sent: counter(&names::SENT, &[op()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::closed;

    #[test]
    fn a_label_is_never_what_a_client_sent() {
        assert_eq!(closed("NoSuchKey"), "NoSuchKey");
        assert_eq!(closed("a b"), "other");
        assert_eq!(closed(&"A".repeat(65)), "other");
    }
}
