//! Tasks that work for the request of the one that starts them: what they log carries its id, and
//! their spans are part of its trace.

use sixfold_node::log::OfRequest;
use sixfold_node::trace;
use std::future::Future;

/// Starts a task that works for the same request, below the same span.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    let Some(request) = OfRequest::current() else { return tokio::spawn(work) };
    let work = request.within(work);
    match trace::current() {
        None => tokio::spawn(work),
        parent => tokio::spawn(trace::within(parent, Box::pin(work))),
    }
}

#[cfg(test)]
mod tests {
    use super::{OfRequest, spawn};

    #[tokio::test]
    async fn tasks_go_on_under_the_id() {
        let id = || OfRequest::current().map(|request| request.id);
        assert_eq!(id(), None);
        let request = OfRequest::new("7".into(), None);
        let seen = request.within(async { spawn(async move { id() }).await.unwrap() }).await;
        assert_eq!(seen.as_deref(), Some("7"));
        assert_eq!(spawn(async move { id() }).await.unwrap(), None);
    }
}
