//! Traces: where the time of one request goes, over all processes. Sent over OTLP to a collector, when
//! one is named; otherwise nothing here is ever created.
//!
//! ```text
//! request ─┬─ database calls                    a gateway's spans
//!          ├─ extents ─┬─ stripes
//!          │           └─ calls to nodes ─── a node's spans
//! ```
//!
//! Spans are begun by name, in few places: what no line of code says can't leave the process. No span
//! has a query, a header, a key or a parameter of a statement. (A layer over all of `tracing`'s spans
//! would send those of every library, and cost every request, sampled or not.)
//!
//! A request that is not sampled has no parent for spans, and [`span`] answers [`Span::none`] after
//! one look at a task's local value: no clock, no allocation. What is recorded goes into a bounded
//! queue; a collector that is away or hangs costs spans, which are counted, and nothing else.

mod context;
mod current;
mod export;
mod sample;
mod settings;
mod span;
#[cfg(test)]
mod tests;

pub use context::{SpanId, TraceContext, TraceId};
pub use current::{Parent, Within, context, current, span, within};
pub(crate) use export::show;
pub use export::{STOP_LIMIT, Tracer};
pub use sample::Sampling;
pub use settings::{TraceArguments, TraceSettings, endpoint, protocol, ratio};
pub use span::{Attributes, Part, Span};
