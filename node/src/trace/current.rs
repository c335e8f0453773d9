//! The span that a task works for, if its request is sampled.

use super::context::{SpanId, TraceContext};
use super::span::{Part, Span, Trace};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

tokio::task_local! {
    static CURRENT: Parent;
}

/// What spans are begun below.
#[derive(Clone, Debug)]
pub struct Parent {
    pub(super) trace: Arc<Trace>,
    pub(super) span: SpanId,
}

impl Parent {
    /// As other processes know it.
    pub fn context(&self) -> TraceContext {
        TraceContext { trace: self.trace.id, span: self.span, is_sampled: true }
    }

    /// Does something that begins spans or tasks.
    pub fn enter<T>(parent: Option<Self>, work: impl FnOnce() -> T) -> T {
        match parent {
            Some(parent) => CURRENT.sync_scope(parent, work),
            None => work(),
        }
    }
}

/// What this task works for.
pub fn current() -> Option<Parent> {
    CURRENT.try_with(Parent::clone).ok()
}

/// What this task works for, as other processes know it.
pub fn context() -> Option<TraceContext> {
    CURRENT.try_with(Parent::context).ok()
}

/// Begins a span below it; [`Span::none`] where nothing is recorded.
pub fn span(part: Part, name: &'static str) -> Span {
    CURRENT.try_with(|parent| Span::below(parent, part, name)).unwrap_or_default()
}

/// Does work below a span. Without one, below what the task works for already.
pub fn within<F: Future + Unpin>(parent: Option<Parent>, work: F) -> Within<F> {
    Within { parent, work }
}

/// Work below a span.
#[derive(Debug)]
pub struct Within<F> {
    parent: Option<Parent>,
    work: F,
}

impl<F: Future + Unpin> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { parent, work } = &mut *self;
        Parent::enter(parent.clone(), || Pin::new(work).poll(context))
    }
}
