//! The id of the request that work is done for: in every line that is logged meanwhile, and handed
//! on to nodes; that of its trace as well, when it is sampled.

use sixfold_node::trace::{self, TraceContext};
use std::future::Future;
use std::sync::Arc;
use tokio::task::futures::TaskLocalFuture;
use tracing::Instrument;
use tracing::instrument::Instrumented;

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// Work under the id of a request.
pub type OfRequest<F> = TaskLocalFuture<Arc<str>, Instrumented<F>>;

/// Runs `work` under this id, and in this trace.
pub fn within<F: Future>(id: Arc<str>, trace: Option<TraceContext>, work: F) -> OfRequest<F> {
    let span = match trace {
        None => tracing::info_span!("request", request.id = &*id),
        Some(trace) => {
            tracing::info_span!("request", request.id = &*id, trace_id = hex::encode(trace.trace))
        }
    };
    CURRENT.scope(id, work.instrument(span))
}

/// The id that this task works under.
pub fn current() -> Option<Arc<str>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Starts a task that works under the id and the span of the one that starts it.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    let Some(id) = current() else { return tokio::spawn(work) };
    let work = CURRENT.scope(id, work.in_current_span());
    match trace::current() {
        None => tokio::spawn(work),
        parent => tokio::spawn(trace::within(parent, Box::pin(work))),
    }
}

#[cfg(test)]
mod tests {
    use super::{current, spawn, within};

    #[tokio::test]
    async fn tasks_go_on_under_the_id() {
        assert_eq!(current(), None);
        let seen =
            within("7".into(), None, async { spawn(async { current() }).await.unwrap() }).await;
        assert_eq!(seen.as_deref(), Some("7"));
        assert_eq!(spawn(async { current() }).await.unwrap(), None);
    }
}
