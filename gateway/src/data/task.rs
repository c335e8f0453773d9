//! Work beside a request that ends with it.

use crate::erasure::Scheme;
use crate::points::{in_process, is_simulated};
use crate::telemetry::request;
use crate::telemetry::trace::{self, Part, Span};
use sixfold_proto::name::ExtentId;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// A task that is aborted when its handle is dropped.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(request::spawn(in_process(work)))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that shuts down cancels it, and then nothing waits here for long.
            Err(_) => Poll::Pending,
        }
    }
}

/// Up to this many bytes are hashed or coded where they are: moving so little work to another
/// thread costs more than it gains.
const INLINE_BYTES: usize = 64 * 1024;

/// Runs a computation over `size` bytes, off the async threads when it is a large one.
pub(super) async fn compute<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if is_small(size, INLINE_BYTES) { work() } else { background(work).await }
}

/// Whether so little is to be computed that it is done where it is; in a simulation it always is.
pub(super) fn is_small(size: usize, limit: usize) -> bool {
    size <= limit || is_simulated()
}

/// Starts a computation off the async threads.
pub(super) fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    // The order in which threads end is none that could be repeated.
    if is_simulated() {
        return Task::spawn(async move { work() });
    }
    Task(tokio::task::spawn_blocking(work))
}

/// The span of what is done for an extent.
pub(super) fn extent_span(name: &'static str, extent: ExtentId, scheme: Scheme) -> Span {
    trace::span(Part::Extent, name).with(|note| {
        note.text("sixfold.extent", extent.to_string());
        note.number("sixfold.data_chunks", scheme.data_count());
    })
}
