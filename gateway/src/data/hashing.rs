//! Computes checksums beside the encoding: one stripe at a time, off the async threads.

use super::digests::{Checksums, Digests, Finished, Hashers};
use super::md5::{Md5, Member, Queue};
use super::task::{Task, background, is_small};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Stripes up to this size are hashed at once; more is left to another thread.
const INLINE_BYTES: usize = 16 * 1024;

/// The hashers of one body.
pub(super) struct Hashing {
    /// At rest, or at work on the last stripe; `None` when nothing is to be computed.
    work: Option<Work>,
    /// Brings stripes whose MD5 is computed beside that of other uploads.
    member: Option<Member>,
    queue: Arc<Queue>,
}

enum Work {
    Idle(Hashers),
    Busy {
        md5: Option<oneshot::Receiver<Md5>>,
        checksums: Task<Checksums>,
    },
    /// The CRCs are done, MD5 is not.
    Hashed {
        md5: oneshot::Receiver<Md5>,
        checksums: Checksums,
    },
}

impl Hashing {
    pub(super) fn new(digests: &Digests, queue: &Arc<Queue>) -> Self {
        let work = Hashers::new(digests).map(Work::Idle);
        Self { work, member: None, queue: Arc::clone(queue) }
    }

    /// Takes the next bytes, after those of before are done: at most one stripe waits here.
    pub(super) async fn update(&mut self, bytes: Bytes) {
        let Some(mut hashers) = self.take().await else { return };
        self.work = Some(if is_small(bytes.len(), INLINE_BYTES) {
            hashers.update(&bytes);
            Work::Idle(hashers)
        } else {
            self.begin(hashers, bytes)
        });
    }

    pub(super) async fn finish(mut self) -> Finished {
        self.take().await.map(Hashers::finish).unwrap_or_default()
    }

    fn begin(&mut self, hashers: Hashers, bytes: Bytes) -> Work {
        let Hashers { md5, mut checksums } = hashers;
        let member = self.member.get_or_insert_with(|| Member::join(&self.queue));
        let md5 = md5.map(|md5| member.update(md5, bytes.clone()));
        match md5 {
            // Over bytes that have just come and are in the cache, a CRC takes no longer than
            // asking another thread for it.
            Some(md5) if checksums.are_cheap() => {
                checksums.update(&bytes);
                Work::Hashed { md5, checksums }
            }
            md5 => {
                let checksums = background(move || {
                    checksums.update(&bytes);
                    checksums
                });
                Work::Busy { md5, checksums }
            }
        }
    }

    async fn take(&mut self) -> Option<Hashers> {
        let (md5, checksums) = match self.work.take()? {
            Work::Idle(hashers) => return Some(hashers),
            Work::Busy { md5, checksums } => (md5, checksums.await),
            Work::Hashed { md5, checksums } => (Some(md5), checksums),
        };
        let md5 = match md5 {
            Some(md5) => {
                self.member.iter().for_each(Member::hurry);
                Some(hashed(md5).await)
            }
            None => None,
        };
        Some(Hashers { md5, checksums })
    }
}

async fn hashed(md5: oneshot::Receiver<Md5>) -> Md5 {
    match md5.await {
        Ok(md5) => md5,
        // Only a runtime that shuts down ends the thread, and then nothing waits here for long.
        Err(_) => std::future::pending().await,
    }
}
