//! The id of the request that work is done for: in every line that is logged meanwhile, and handed
//! on to nodes.

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

/// Runs `work` under this id.
pub fn within<F: Future>(id: Arc<str>, work: F) -> OfRequest<F> {
    let span = tracing::info_span!("request", request.id = &*id);
    CURRENT.scope(id, work.instrument(span))
}

/// The id that this task works under.
pub fn current() -> Option<Arc<str>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Starts a task that works under the id of the one that starts it.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    match current() {
        Some(id) => tokio::spawn(CURRENT.scope(id, work.in_current_span())),
        None => tokio::spawn(work),
    }
}

#[cfg(test)]
mod tests {
    use super::{current, spawn, within};

    #[tokio::test]
    async fn tasks_go_on_under_the_id() {
        assert_eq!(current(), None);
        let seen = within("7".into(), async { spawn(async { current() }).await.unwrap() }).await;
        assert_eq!(seen.as_deref(), Some("7"));
        assert_eq!(spawn(async { current() }).await.unwrap(), None);
    }
}
