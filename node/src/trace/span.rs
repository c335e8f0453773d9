//! One span, from its beginning to its end; and what it may say.

use super::context::{SpanId, TraceContext, TraceId};
use super::current::Parent;
use super::export::Queue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A longer text is cut: what a stranger's request names must not fill the queue.
const MAX_TEXT_BYTES: usize = 256;

/// The flag of a recorded trace.
const SAMPLED_FLAG: u32 = 1;

/// What a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A request of a client.
    Request,
    /// A call that a node serves.
    Served,
    /// A call of the database.
    Database,
    /// A call of a node.
    Call,
    /// An extent of a body.
    Extent,
    /// A stripe of an extent.
    Stripe,
}

impl Part {
    fn kind(self) -> SpanKind {
        match self {
            Self::Request | Self::Served => SpanKind::Server,
            Self::Database | Self::Call => SpanKind::Client,
            Self::Extent | Self::Stripe => SpanKind::Internal,
        }
    }

    /// Spans of a trace in one process beyond which none of this part is begun. A body of gigabytes
    /// has thousands of stripes; its first ones, all its extents and the commit are what is looked for.
    fn until(self) -> u32 {
        match self {
            Self::Stripe => 100,
            Self::Call | Self::Extent => 500,
            Self::Request | Self::Served | Self::Database => 600,
        }
    }

    /// Whether somebody answers: then one that ends without an answer was given up.
    fn has_answer(self) -> bool {
        matches!(self, Self::Request | Self::Served | Self::Database | Self::Call)
    }
}

/// A sampled request in this process.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) id: TraceId,
    queue: Queue,
    begun: AtomicU32,
    left_out: AtomicU32,
}

/// A span that ends when it is dropped, or nothing.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    trace: Arc<Trace>,
    id: SpanId,
    parent: Option<SpanId>,
    part: Part,
    name: &'static str,
    begun: SystemTime,
    clock: Instant,
    attributes: Attributes,
    is_answered: bool,
    has_failed: bool,
}

impl Span {
    /// Nothing; costs nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The first span of a trace in this process.
    pub(super) fn first(
        queue: Queue,
        trace: TraceId,
        parent: Option<SpanId>,
        part: Part,
        name: &'static str,
    ) -> Self {
        let (begun, left_out) = (AtomicU32::new(1), AtomicU32::new(0));
        let trace = Arc::new(Trace { id: trace, queue, begun, left_out });
        Self::open(trace, parent, part, name)
    }

    pub(super) fn below(parent: &Parent, part: Part, name: &'static str) -> Self {
        let trace = &parent.trace;
        if trace.begun.fetch_add(1, Ordering::Relaxed) >= part.until() {
            trace.begun.fetch_sub(1, Ordering::Relaxed);
            trace.left_out.fetch_add(1, Ordering::Relaxed);
            return Self::none();
        }
        Self::open(Arc::clone(trace), Some(parent.span), part, name)
    }

    fn open(trace: Arc<Trace>, parent: Option<SpanId>, part: Part, name: &'static str) -> Self {
        Self(Some(Box::new(Open {
            trace,
            id: rand::random(),
            parent,
            part,
            name,
            begun: SystemTime::now(),
            clock: Instant::now(),
            attributes: Attributes::default(),
            is_answered: false,
            has_failed: false,
        })))
    }

    /// Whether there is anything to note.
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// What is begun below it.
    pub fn parent(&self) -> Option<Parent> {
        let open = self.0.as_ref()?;
        Some(Parent { trace: Arc::clone(&open.trace), span: open.id })
    }

    /// Where it stands.
    pub fn context(&self) -> Option<TraceContext> {
        self.parent().map(|parent| parent.context())
    }

    /// Adds what is known, if it is recorded.
    pub fn note(&mut self, attributes: impl FnOnce(&mut Attributes)) {
        if let Some(open) = &mut self.0 {
            attributes(&mut open.attributes);
        }
    }

    /// The same, when it begins.
    #[must_use]
    pub fn with(mut self, attributes: impl FnOnce(&mut Attributes)) -> Self {
        self.note(attributes);
        self
    }

    /// Gives it the name that it turned out to have.
    pub fn rename(&mut self, name: &'static str) {
        if let Some(open) = &mut self.0 {
            open.name = name;
        }
    }

    /// It was answered.
    pub fn answered(&mut self) {
        if let Some(open) = &mut self.0 {
            open.is_answered = true;
        }
    }

    /// It failed, for a reason out of a closed set: texts of errors may hold what must not leave.
    pub fn failed(&mut self, reason: &'static str) {
        if let Some(open) = &mut self.0 {
            open.is_answered = true;
            open.has_failed = true;
            open.attributes.text("error.type", reason);
        }
    }

    /// Forgets it.
    pub fn discard(mut self) {
        self.0 = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let queue = open.trace.queue.clone();
            queue.push(open.ended());
        }
    }
}

impl Open {
    fn ended(mut self) -> otlp::Span {
        if self.part.has_answer() && !self.is_answered {
            self.attributes.flag("sixfold.given_up");
        }
        let left_out = self.trace.left_out.load(Ordering::Relaxed);
        if self.part == Part::Request && left_out > 0 {
            self.attributes.number("sixfold.spans_left_out", left_out);
        }
        let begun = self.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
        let failure = || otlp::Status { code: StatusCode::Error.into(), message: String::new() };
        otlp::Span {
            trace_id: self.trace.id.to_vec(),
            span_id: self.id.to_vec(),
            parent_span_id: self.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
            flags: SAMPLED_FLAG,
            name: self.name.to_owned(),
            kind: self.part.kind().into(),
            start_time_unix_nano: nanoseconds(begun),
            end_time_unix_nano: nanoseconds(begun + self.clock.elapsed()),
            attributes: self.attributes.0,
            status: self.has_failed.then(failure),
            ..otlp::Span::default()
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a span says about its work.
#[derive(Debug, Default)]
pub struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    /// A text, cut where it is long.
    pub fn text(&mut self, key: &'static str, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        self.push(key, Value::StringValue(text));
    }

    /// A number.
    pub fn number(&mut self, key: &'static str, number: impl TryInto<i64>) {
        self.push(key, Value::IntValue(number.try_into().unwrap_or(i64::MAX)));
    }

    /// Something that is so.
    pub fn flag(&mut self, key: &'static str) {
        self.push(key, Value::BoolValue(true));
    }

    fn push(&mut self, key: &'static str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
    }
}
