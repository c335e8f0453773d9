//! The request that a task works for: its id is in every line that is logged meanwhile (see
//! [`super::line`]), and is handed on to nodes; the id of its trace as well, when it is sampled.
//!
//! A span of `tracing` would say the same, and take part in every poll of every request.

use crate::trace::{TraceContext, TraceId};
use std::future::Future;
use std::sync::Arc;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: OfRequest;
}

/// What lines say of the request.
#[derive(Clone, Debug)]
pub struct OfRequest {
    /// Its id.
    pub id: Arc<str>,
    /// The id of its trace, when it is sampled.
    pub trace: Option<TraceId>,
}

impl OfRequest {
    /// The request with this id, in this trace.
    pub fn new(id: Arc<str>, trace: Option<TraceContext>) -> Self {
        Self { id, trace: trace.map(|context| context.trace) }
    }

    /// Does work for it.
    pub fn within<F: Future>(self, work: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, work)
    }

    /// The one that this task works for.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }
}
