//! The two threads of a store: one appends to segments, one compacts them. They end with the
//! store.

use super::Inner;
use super::journal::{Journal, Member};
use super::segment::compact;
use super::segment::queue::{self, Operation, QUEUE, Request};
use super::segment::writer::{Active, Writer};
use sixfold_proto::chunks::NodeError;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// How long a thread may take to end, and how often it is looked whether it has.
const END_LIMIT: Duration = Duration::from_secs(30);
const END_LOOK: Duration = Duration::from_millis(1);

/// The way to the threads.
pub(super) struct Threads {
    /// `None` once the store is being dropped.
    operations: Option<mpsc::Sender<Operation>>,
    /// Where small operations go instead, and who this store is there.
    journaled: Option<(Arc<Journal>, Arc<Member>)>,
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
        journal: Option<(Arc<Journal>, Uuid)>,
    ) -> io::Result<Self> {
        let (operations, queue) = mpsc::channel(QUEUE);
        let (wake, woken) = sync_channel(1);
        let ending = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(Arc::clone(inner), active, next_segment, wake.clone());
        let writer = Arc::new(Mutex::new(writer));
        let journaled =
            journal.map(|(journal, id)| (journal, Member::new(id, Arc::clone(&writer))));
        let leaving = journaled.clone();
        let writing = Builder::new().name("segments".to_owned()).spawn(move || {
            queue::run(&writer, queue);
            if let Some((journal, member)) = leaving {
                journal.leave_blocking(member);
            }
        })?;
        let (inner, sender, ends) = (Arc::clone(inner), operations.clone(), Arc::clone(&ending));
        let compacting = Builder::new()
            .name("compaction".to_owned())
            .spawn(move || compact::run(&inner, &sender, &woken, &ends))?;
        let handles = vec![compacting, writing];
        Ok(Self { operations: Some(operations), journaled, wake, ending, handles })
    }

    /// Makes the drive whole by itself, without its journal.
    pub(super) async fn leave_journal(&self) {
        if let Some((journal, member)) = &self.journaled {
            journal.leave(Arc::clone(member)).await;
        }
    }

    /// Asks the appending thread, or the journal's, and waits until the answer is durable.
    pub(super) async fn ask(&self, request: Request) -> Result<(), NodeError> {
        let closed = || NodeError::Unavailable("the store is being closed".to_owned());
        let operations = self.operations.as_ref().ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        let operation = Operation { request, reply };
        match &self.journaled {
            Some((journal, member)) if Journal::takes(&operation.request) => {
                journal.serve(member, operation).await.then_some(()).ok_or_else(closed)?;
            }
            _ => operations.send(operation).await.map_err(|_| closed())?,
        }
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
            join_in_time(handle);
        }
    }
}

/// Waits for a thread to end, but not for a drive that hangs: its thread is left to the end of the
/// process, and the next start completes what it had not done.
pub(super) fn join_in_time(thread: JoinHandle<()>) {
    join_within(thread, END_LIMIT);
}

// Whoever drops a store blocks until its threads have ended; there is no join with a limit.
#[expect(clippy::disallowed_methods)]
pub(super) fn join_within(thread: JoinHandle<()>, limit: Duration) {
    let until = Instant::now() + limit;
    while !thread.is_finished() {
        if until <= Instant::now() {
            tracing::error!(
                thread = thread.thread().name(),
                "a drive hangs, its thread is left behind after {} s",
                limit.as_secs()
            );
            return;
        }
        std::thread::sleep(END_LOOK);
    }
    if thread.join().is_err() {
        tracing::error!("a thread of the store had panicked");
    }
}
