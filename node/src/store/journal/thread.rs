//! The one thread that serves small operations of all drives that share a journal: it writes
//! whatever waits into the segments of each, and makes all of it durable with one sync.

use super::log::{Log, Piece, Refused};
use super::{Member, members};
use crate::store::lock;
use crate::store::segment::queue::{Answer, Operation};
use crate::store::segment::writer::{Writer, Written};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// How many operations make one batch: with the largest that are taken, half a half.
const BATCH_OPERATIONS: usize = 256;
const _: () =
    assert!((BATCH_OPERATIONS * super::MAX_OPERATION_BYTES) as u64 <= super::log::HALF_BYTES / 2);

/// What the thread is asked to do.
#[allow(clippy::large_enum_variant)] // Nearly every message is an operation.
pub(super) enum Message {
    /// Serve an operation of a drive.
    Serve(Arc<Member>, Operation),
    /// Let a drive go, which has no more operations.
    Leave(Arc<Member>, oneshot::Sender<()>),
}

/// The operations of one drive.
struct Group {
    member: Arc<Member>,
    operations: Vec<Operation>,
}

/// The thread's state.
pub(super) struct Journaling {
    pub(super) log: Log,
    pub(super) folder: PathBuf,
    pub(super) journal: Uuid,
}

impl Journaling {
    /// Serves until every sender is gone.
    pub(super) fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut taken = Vec::with_capacity(BATCH_OPERATIONS);
        while messages.blocking_recv_many(&mut taken, BATCH_OPERATIONS) > 0 {
            let mut groups: Vec<Group> = Vec::new();
            for message in taken.drain(..) {
                match message {
                    Message::Serve(member, operation) => add(&mut groups, member, operation),
                    Message::Leave(member, done) => {
                        self.serve(std::mem::take(&mut groups));
                        self.let_go(&member);
                        // Before the answer: the drive may be opened again at once.
                        drop(member);
                        let _ = done.send(());
                    }
                }
            }
            self.serve(groups);
        }
    }

    fn serve(&mut self, groups: Vec<Group>) {
        let (members, batches): (Vec<_>, Vec<_>) =
            groups.into_iter().map(|group| (group.member, group.operations)).unzip();
        // No other thread holds more than one of them.
        let mut writers: Vec<_> = members.iter().map(|member| lock(&member.writer)).collect();
        let begin = |(writer, batch): (&mut MutexGuard<'_, Writer>, _)| writer.begin(batch);
        let written: Vec<_> = writers.iter_mut().zip(batches).map(begin).collect();
        let appended = self.append(&members, &writers, &written);
        let mut answers = Vec::new();
        for ((member, writer), written) in members.iter().zip(&mut writers).zip(written) {
            let durable = match &appended {
                _ if member.has_left() => writer.sync(&written),
                Ok(()) => Ok(()),
                Err(Refused::NotTaken) => writer.sync(&written),
                Err(Refused::Failed(_)) if written.is_empty() => Ok(()),
                Err(Refused::Failed(error)) => Err(writer.inner().fence(error)),
            };
            answers.extend(writer.finish(written, durable));
        }
        drop(writers);
        // All at once: the six chunks of an object wake their caller together.
        answers.into_iter().for_each(Answer::send);
    }

    /// Puts into the journal what was written.
    fn append(
        &mut self,
        members: &[Arc<Member>],
        writers: &[MutexGuard<'_, Writer>],
        written: &[Written],
    ) -> Result<(), Refused> {
        let drives = || {
            let drives = members.iter().zip(writers).zip(written);
            let drives =
                drives.filter(|((member, _), written)| !member.has_left() && !written.is_empty());
            drives.filter_map(|((member, writer), written)| {
                Some((member, writer, writer.place()?, written))
            })
        };
        let pieces: Vec<_> = drives()
            .map(|(member, _, (segment, _, offset), written)| Piece {
                member: member.id,
                place: (segment, offset),
                slices: written.slices().collect(),
            })
            .collect();
        if pieces.is_empty() {
            return Ok(());
        }
        self.log.append(&pieces)?;
        for (_, writer, (_, file, _), _) in drives() {
            self.log.rely(writer.inner(), file);
        }
        Ok(())
    }

    /// Makes a drive independent of the journal.
    fn let_go(&mut self, member: &Member) {
        if member.left.swap(true, Ordering::Relaxed) {
            return;
        }
        let writer = lock(&member.writer);
        let inner = writer.inner();
        if !self.log.settle(inner) {
            tracing::warn!(
                path = %inner.drive.root().display(),
                "this drive still needs the journal: it is completed at the next start"
            );
            return;
        }
        match members::leave(&inner.drive, &inner.io) {
            Ok(()) => members::forget(&self.folder, self.journal, member.id, &inner.io),
            Err(error) => {
                let path = members::mark_of(&inner.drive);
                tracing::warn!(%error, path = %path.display(), "a drive's mark stays behind");
            }
        }
    }
}

impl Member {
    fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

fn add(groups: &mut Vec<Group>, member: Arc<Member>, operation: Operation) {
    match groups.iter_mut().find(|group| Arc::ptr_eq(&group.member, &member)) {
        Some(group) => group.operations.push(operation),
        None => groups.push(Group { member, operations: vec![operation] }),
    }
}
