//! The walk of a GET: extents, stripes, bytes.
//!
//! A body of one stripe is read by the caller itself. For a longer one a task reads ahead, a
//! fixed number of stripes, and waits when the client does.

use super::gather::Gather;
use super::memory::{Room, SMALL_BYTES};
use super::running::RunningRead;
use super::task::Task;
use super::{ReadError, Shared};
use crate::meta::types::{BodyId, Extent};
use crate::points::crash_point;
use bytes::Bytes;
use futures::Stream;
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// The wanted bytes of one stripe, and their room.
struct Batch {
    bytes: VecDeque<Bytes>,
    _room: Option<Room>,
    place: Option<OwnedSemaphorePermit>,
}

impl Batch {
    fn none() -> Self {
        Self { bytes: VecDeque::new(), _room: None, place: None }
    }
}

/// How many batches of one read may be before the client, the one in its hands among them.
struct Places {
    free: Arc<Semaphore>,
    all: u32,
}

impl Places {
    fn new(read_ahead: usize) -> Self {
        let all = u32::try_from(read_ahead).unwrap_or(u32::MAX / 2).saturating_add(1);
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits for a place. While room is scarce, the client has to take all that was read for it
    /// before, so that those who read slowly leave room for others.
    async fn take(&self, is_scarce: bool) -> Option<OwnedSemaphorePermit> {
        let count = if is_scarce { self.all } else { 1 };
        let mut places = Arc::clone(&self.free).acquire_many_owned(count).await.ok()?;
        places.split(1)
    }
}

/// Batches that are read ahead, and the task that reads them.
type Ahead = (mpsc::Receiver<Result<Batch, ReadError>>, Task<()>);

/// The bytes of a body or of a range of it, in order. It ends early only with an error.
pub struct BodyStream {
    remaining: u64,
    batch: Batch,
    /// The stripes after the first, and the task that reads them.
    ahead: Option<Ahead>,
}

impl BodyStream {
    /// Exactly how many bytes are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn finish(&mut self, error: Option<ReadError>) -> Poll<Option<Result<Bytes, ReadError>>> {
        self.ahead = None;
        self.batch = Batch::none();
        self.remaining = 0;
        Poll::Ready(error.map(Err))
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.batch.bytes.pop_front() {
                self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.remaining == 0 {
                return self.finish(None);
            }
            // Its room and place are wanted for the next one.
            self.batch = Batch::none();
            let Some((batches, _)) = &mut self.ahead else {
                return self.finish(Some(ReadError::Cut));
            };
            match ready!(batches.poll_recv(cx)) {
                Some(Ok(batch)) => self.batch = batch,
                Some(Err(error)) => return self.finish(Some(error)),
                // The task ends without a word only when the read took too long.
                None => return self.finish(Some(ReadError::Cut)),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.remaining > 0), None)
    }
}

pub(super) async fn read(
    shared: &Arc<Shared>,
    body: BodyId,
    extents: Vec<Extent>,
    range: Range<u64>,
) -> Result<BodyStream, ReadError> {
    let remaining = range.end.saturating_sub(range.start);
    if remaining == 0 {
        return Ok(BodyStream { remaining, batch: Batch::none(), ahead: None });
    }
    let running = shared.running.begin();
    let mut walk =
        Walk { shared: Arc::clone(shared), body, extents: extents.into(), range, gather: None };
    let room = first_room(shared, &walk.extents).await?;
    let mut batch = walk.next(room, shared.limits.first_stripe_wait()).await?;
    crash_point!("get.first_stripe");
    let places = Places::new(shared.limits.stripes_read_ahead);
    let first_size = batch.bytes.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
    let ahead = (first_size < remaining).then(|| {
        let (sender, batches) = mpsc::channel(shared.limits.stripes_read_ahead + 1);
        batch.place = Arc::clone(&places.free).try_acquire_owned().ok();
        (batches, Task::spawn(read_ahead(walk, places, sender, running)))
    });
    Ok(BodyStream { remaining, batch, ahead })
}

/// The room of the first stripe; none where the extent is small.
async fn first_room(
    shared: &Shared,
    extents: &VecDeque<Extent>,
) -> Result<Option<Room>, ReadError> {
    if extents.front().is_some_and(|extent| extent.size <= SMALL_BYTES as u64) {
        return Ok(None);
    }
    let room = shared.memory.room(shared.limits.stripe_wait).await;
    room.map(Some).map_err(|full| ReadError::SlowDown { waited_ms: full.waited_ms })
}

/// Reads the stripes after the first until the end, an error, or the longest time a read may
/// take.
async fn read_ahead(
    mut walk: Walk,
    places: Places,
    sender: mpsc::Sender<Result<Batch, ReadError>>,
    running: RunningRead,
) {
    let cut = Instant::now() + walk.shared.limits.read_cut;
    let reading = async {
        while !walk.range.is_empty() {
            // A place first, then room: what is read is soon passed on.
            let is_scarce = walk.shared.memory.is_scarce();
            let Some(place) = places.take(is_scarce).await else { return };
            let room = walk.shared.memory.room(walk.shared.limits.read_cut).await;
            let Ok(room) = room else { return };
            let batch = walk.next(Some(room), walk.shared.limits.later_stripe_wait()).await;
            let batch = batch.map(|batch| Batch { place: Some(place), ..batch });
            crash_point!("get.stripe");
            let has_failed = batch.is_err();
            if sender.send(batch).await.is_err() || has_failed {
                return;
            }
        }
    };
    // Over the time the channel just closes; the client's end knows what that means.
    let _ = tokio::time::timeout_at(cut, reading).await;
    drop(running);
}

/// Where a read stands.
struct Walk {
    shared: Arc<Shared>,
    body: BodyId,
    /// The extents known and not yet begun.
    extents: VecDeque<Extent>,
    /// The bytes of the body that are still to come.
    range: Range<u64>,
    /// The extent under way and its stripes to come.
    gather: Option<(Gather, Range<u32>)>,
}

impl Walk {
    /// The next stripe, waited for no longer than `patience`; only while there are bytes to come.
    async fn next(&mut self, room: Option<Room>, patience: Duration) -> Result<Batch, ReadError> {
        loop {
            let Some((gather, stripes)) = &mut self.gather else {
                self.begin_extent().await?;
                continue;
            };
            let Some(number) = stripes.next() else {
                self.gather = None;
                continue;
            };
            let bytes = VecDeque::from(gather.bytes(number, patience).await?);
            self.range.start += bytes.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            return Ok(Batch { bytes, _room: room, place: None });
        }
    }

    async fn begin_extent(&mut self) -> Result<(), ReadError> {
        let start = self.range.start;
        while self.extents.front().is_some_and(|extent| extent.start + extent.size <= start) {
            self.extents.pop_front();
        }
        if self.extents.is_empty() {
            self.extents = self.shared.meta.extents(self.body, start).await?.into();
        }
        let holds = |extent: &Extent| extent.start <= start && start < extent.start + extent.size;
        let extent = self.extents.pop_front().filter(holds).ok_or(ReadError::Gone)?;
        let end = (self.range.end - extent.start).min(extent.size);
        let range = start - extent.start..end;
        let gather = Gather::new(&self.shared, Some(self.body), extent, range);
        let stripes = gather.stripes();
        self.gather = Some((gather, stripes));
        Ok(())
    }
}
