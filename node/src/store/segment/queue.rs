//! The queue of operations on a drive's segments, and the one thread that serves it. It takes
//! whatever waits, writes it with one call and syncs it with another: writers that come while a
//! sync runs share the next one.

use super::writer::Writer;
use crate::store::format::HEADER_BYTES;
use crate::store::index::{Claim, Located};
use crate::store::lock;
use crate::store::record::ClosedRecord;
use sixfold_proto::chunks::{ChunkEntry, NodeError};
use std::sync::Mutex;
use tokio::sync::{mpsc, oneshot};

/// Operations that wait for the thread; more wait for their turn in `send`.
pub(in crate::store) const QUEUE: usize = 1024;

/// A batch is closed at this many bytes: at most this much is unsynced at any time.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What the thread is asked to do.
pub(in crate::store) enum Request {
    /// Append a new chunk, which takes the place of what has its name.
    Put { record: ClosedRecord, entry: ChunkEntry, claim: Claim },
    /// Delete the current chunk of this name.
    Delete { entry: ChunkEntry, claim: Claim },
    /// Append chunks at a new place, and tombstones; in a batch of their own, so that no
    /// deletion in the same batch can mean the old place.
    Move { chunks: Vec<(Located, ClosedRecord)>, tombstones: Vec<ClosedRecord> },
    /// Seal the segment that is written.
    Seal,
    /// Write the tombstones that wait.
    Bury,
}

/// A request and who waits for it.
pub(in crate::store) struct Operation {
    pub(in crate::store) request: Request,
    pub(in crate::store) reply: oneshot::Sender<Result<(), NodeError>>,
}

impl Request {
    /// Whether it is served in a batch of its own.
    fn stands_alone(&self) -> bool {
        matches!(self, Self::Move { .. } | Self::Seal)
    }

    /// Bytes that it adds to a batch.
    pub(in crate::store) fn weight(&self) -> usize {
        match self {
            Self::Put { record, .. } => record.size(),
            _ => HEADER_BYTES,
        }
    }
}

/// What an operation came to: who waits, and its claim until it is over.
pub(in crate::store) struct Answer {
    pub(super) reply: oneshot::Sender<Result<(), NodeError>>,
    pub(super) result: Result<(), NodeError>,
    pub(super) claim: Option<Claim>,
}

impl Answer {
    pub(in crate::store) fn send(self) {
        // Before the answer: its receiver may write the same name at once.
        drop(self.claim);
        // Whoever has gone away does not want to know.
        let _ = self.reply.send(self.result);
    }
}

/// Serves until every sender is gone.
pub(in crate::store) fn run(writer: &Mutex<Writer>, mut operations: mpsc::Receiver<Operation>) {
    let mut held_over = None;
    while let Some(first) = held_over.take().or_else(|| operations.blocking_recv()) {
        let mut batch = vec![first];
        let mut bytes = batch[0].request.weight();
        while !batch[0].request.stands_alone() && bytes < BATCH_BYTES {
            match operations.try_recv() {
                Ok(next) if next.request.stands_alone() => {
                    held_over = Some(next);
                    break;
                }
                Ok(next) => {
                    bytes += next.request.weight();
                    batch.push(next);
                }
                Err(_) => break,
            }
        }
        let answers = {
            let mut writer = lock(writer);
            let written = writer.begin(batch);
            let durable = writer.sync(&written);
            writer.finish(written, durable)
        };
        answers.into_iter().for_each(Answer::send);
    }
}
