//! The two threads of a store: one appends to segments, one compacts them. They end with the
//! store.

use super::Inner;
use super::segment::compact;
use super::segment::writer::{Active, Operation, QUEUE, Request, Writer};
use sixfold_proto::chunks::NodeError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// The way to the threads.
pub(super) struct Threads {
    /// `None` once the store is being dropped.
    operations: Option<mpsc::Sender<Operation>>,
    /// Wakes the compacting thread.
    wake: SyncSender<()>,
    /// Tells it that the store ends.
    ending: Arc<AtomicBool>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts both.
    pub(super) fn start(
        inner: &Arc<Inner>,
        active: Option<Active>,
        next_segment: u32,
    ) -> io::Result<Self> {
        let (operations, queue) = mpsc::channel(QUEUE);
        let (wake, woken) = sync_channel(1);
        let ending = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(Arc::clone(inner), active, next_segment, wake.clone());
        let writing =
            Builder::new().name("segments".to_owned()).spawn(move || writer.run(queue))?;
        let (inner, sender, ends) = (Arc::clone(inner), operations.clone(), Arc::clone(&ending));
        let compacting = Builder::new()
            .name("compaction".to_owned())
            .spawn(move || compact::run(&inner, &sender, &woken, &ends))?;
        let handles = vec![compacting, writing];
        Ok(Self { operations: Some(operations), wake, ending, handles })
    }

    /// Asks the appending thread and waits until the answer is durable.
    pub(super) async fn ask(&self, request: Request) -> Result<(), NodeError> {
        let closed = || NodeError::Unavailable("the store is being closed".to_owned());
        let operations = self.operations.as_ref().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        operations.send(Operation { request, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // Full means that it is awake already.
        let _ = self.wake.try_send(());
        self.operations = None;
        for handle in self.handles.drain(..) {
            if handle.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        }
    }
}
