//! A journal that the drives of one device share, in one process: small chunks of all of them
//! become durable with one write and one sync, and not with one each.
//!
//! A small operation is written into its drive's segment as ever, but not synced there. What was
//! written, and where, goes into the journal, is synced there, and then acknowledged. The
//! segments are synced later, many operations at a time, before the journal's room is used again.
//! After a crash a start writes once more into the segments what the journal has ([`members`]);
//! after a clean stop there is no journal, and a drive is whole by itself.
//!
//! Absent on purpose: anything that reads chunks from the journal, and any word on what an
//! operation means. It knows bytes and places.

mod format;
mod log;
mod members;
mod thread;

pub(super) use members::{Mark, restore};

use super::io::{Hook, Io};
use super::segment::queue::{Operation, QUEUE, Request};
use super::segment::writer::Writer;
use super::threads::join_in_time;
use super::{Inner, OpenError};
use log::Log;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use thread::{Journaling, Message};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// The largest operation that goes through a journal: what is larger costs more to write twice
/// than to sync. Chunks of objects up to 64 KiB are smaller.
const MAX_OPERATION_BYTES: usize = 32 * 1024;

/// The journal that drives share. It outlives them.
pub struct Journal {
    folder: PathBuf,
    device: u64,
    id: Uuid,
    io: Io,
    /// `None` once it is being dropped.
    messages: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

/// A drive that uses the journal.
pub(super) struct Member {
    /// What the journal calls it.
    id: Uuid,
    writer: Arc<Mutex<Writer>>,
    /// It syncs for itself from now on. Only the journal's thread sets and reads it.
    left: AtomicBool,
}

impl Journal {
    /// Begins a journal in `folder`, which has those of earlier starts, too, and belongs to this
    /// process alone. Blocks.
    pub fn begin(folder: &Path, hook: Option<Hook>) -> io::Result<Self> {
        Self::with_half(folder, hook, log::HALF_BYTES)
    }

    fn with_half(folder: &Path, hook: Option<Hook>, half_bytes: u64) -> io::Result<Self> {
        let (io, id) = (Io::new(hook), Uuid::new_v4());
        let home = members::home(folder, id);
        std::fs::create_dir_all(folder)?;
        members::remove_all_unneeded(folder, &io)?;
        std::fs::create_dir(&home)?;
        let file = io.create(&home.join(members::LOG))?;
        let device = file.metadata()?.dev();
        if let Some(above) = folder.parent() {
            io.sync_directory(&io.open_directory(above)?)?;
        }
        io.sync_directory(&io.open_directory(folder)?)?;
        io.sync_directory(&io.open_directory(&home)?)?;
        let log = Log::new(io.clone(), id, file, half_bytes);
        let journaling = Journaling { log, folder: folder.to_owned(), journal: id };
        let (messages, received) = mpsc::channel(QUEUE);
        let run = move || journaling.run(received);
        let thread = Builder::new().name("journal".to_owned()).spawn(run)?;
        let (messages, thread) = (Some(messages), Some(thread));
        Ok(Self { folder: folder.to_owned(), device, id, io, messages, thread })
    }

    /// Where the journals of its drives are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes in a drive whose segments lack nothing of the journal that its `mark` named; answers
    /// what this one calls it. A drive on another device syncs by itself. Blocks.
    pub(super) fn join(
        &self,
        inner: &Inner,
        mark: Option<&Mark>,
    ) -> Result<Option<Uuid>, OpenError> {
        let (drive, io) = (&inner.drive, &inner.io);
        let shares = drive.device() == self.device;
        let member = shares.then(|| members::join(drive, &self.folder, self.id, io)).transpose()?;
        if let Some(mark) = mark {
            if !shares {
                members::leave(drive, io).map_err(|error| OpenError::io(drive.root(), error))?;
            }
            mark.forget(&self.folder, io);
        }
        Ok(member)
    }

    /// Whether a request goes through the journal.
    pub(super) fn takes(request: &Request) -> bool {
        match request {
            Request::Put { .. } => request.weight() <= MAX_OPERATION_BYTES,
            Request::Delete { .. } => true,
            Request::Move { .. } | Request::Seal | Request::Bury => false,
        }
    }

    /// Serves an operation of a member; whether it is taken.
    pub(super) async fn serve(&self, member: &Arc<Member>, operation: Operation) -> bool {
        let Some(messages) = &self.messages else { return false };
        messages.send(Message::Serve(Arc::clone(member), operation)).await.is_ok()
    }

    /// What [`Journal::leave`] does, on a thread that may block.
    pub(super) fn leave_blocking(&self, member: Arc<Member>) {
        let Some(messages) = &self.messages else { return };
        let (done, left) = oneshot::channel();
        if messages.blocking_send(Message::Leave(member, done)).is_ok() {
            let _ = left.blocking_recv();
        }
    }

    /// Lets a drive go, once the operations before this are done: from then on it is whole by
    /// itself, and syncs by itself what still comes.
    pub(super) async fn leave(&self, member: Arc<Member>) {
        let Some(messages) = &self.messages else { return };
        let (done, left) = oneshot::channel();
        if messages.send(Message::Leave(member, done)).await.is_ok() {
            // An error is a thread that has panicked; the mark stays, and the next start mends.
            let _ = left.await;
        }
    }
}

impl Member {
    pub(super) fn new(id: Uuid, writer: Arc<Mutex<Writer>>) -> Arc<Self> {
        Arc::new(Self { id, writer, left: AtomicBool::new(false) })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.messages = None;
        self.thread.take().into_iter().for_each(join_in_time);
        let home = members::home(&self.folder, self.id);
        if let Err(error) = members::remove_unneeded(&home, &self.io) {
            tracing::warn!(%error, path = %home.display(), "a journal stays behind");
        }
    }
}

#[cfg(test)]
mod tests;
