//! The walk of a PUT: source, stripes, codec, spread.
//!
//! While one stripe arrives, the one before is encoded, those before it are on their way to the
//! nodes, and the checksums of the whole follow one stripe behind. When an extent is full, its
//! chunks are made durable while the next extent begins. A body of one stripe takes a short
//! way: it is encoded where it is and put to six nodes at once.

use super::copies::{Copies, Ledger, Unfinished};
use super::hashing::Hashing;
use super::lanes::{Encoded, Target};
use super::spread::{Spread, SpreadError, encode, spread_single};
use super::stripes::{Piece, Stripes};
use super::task::{Task, background, compute, extent_span};
use super::{Digests, Finished, Shared, WriteError};
use crate::chance;
use crate::erasure::{Scheme, max_stripes};
use crate::meta::types::{BodyId, Extent, NewBody};
use crate::points::crash_point;
use crate::telemetry::trace::{self, Part, Span};
use bytes::Bytes;
use futures::{Stream, TryFutureExt};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ExtentId, LeaseId};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// A body whose chunks are durable and that waits for its commit.
#[derive(Debug)]
pub struct Written {
    /// The body; `None` when the source had no bytes.
    pub body: Option<NewBody>,
    /// Its size in bytes.
    pub size: u64,
    /// The checksums asked for.
    pub digests: Finished,
    /// The lease under which the chunks were written; the commit names it.
    pub lease: LeaseId,
    /// The chunk copies, to be discarded when the commit certainly did not happen. Dropping
    /// this keeps them; the sweep finds what no row wants.
    pub copies: Copies,
}

impl<E> From<SpreadError> for WriteError<E> {
    fn from(error: SpreadError) -> Self {
        match error {
            SpreadError::Full => Self::Full,
            SpreadError::TooFewNodes(why) => Self::TooFewNodes(why),
            SpreadError::SlowDown { waited_ms } => Self::SlowDown { waited_ms },
        }
    }
}

pub(super) async fn write<S, E>(
    shared: &Arc<Shared>,
    scheme: Scheme,
    source: S,
    digests: &Digests,
) -> Result<Written, WriteError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Send,
{
    let source = pin!(source);
    let (unfinished, ledger) = Unfinished::new(&shared.directory);
    let lease = shared.lease.current();
    let (last_byte, trouble) = (Notify::new(), Arc::new(Notify::new()));
    let stripes = Stripes::new(shared, scheme, source, &last_byte);
    let mut hashing = Hashing::new(digests, &shared.md5);
    let writer = Writer::new(shared, scheme, lease, ledger, &trouble);
    let (size, extents) = tokio::select! {
        biased;
        stored = store(stripes, writer, &mut hashing) => stored?,
        error = overdue(&last_byte, &trouble, shared.limits.last_wait) => return Err(error.into()),
    };
    crash_point!("put.durable");
    let body = (size > 0).then(|| NewBody { id: BodyId(chance::uuid()), extents });
    let digests = hashing.finish().await;
    Ok(Written { body, size, digests, lease, copies: unfinished.keep() })
}

/// Ends when a write in trouble has taken too long since its last byte came: one bound around
/// everything that may be waited for and tried again meanwhile. Drives that are slow together have
/// longer ([`super::DataLimits::spread_wait`]).
async fn overdue(last_byte: &Notify, trouble: &Notify, wait: Duration) -> SpreadError {
    last_byte.notified().await;
    // What is tried at the last moment has a moment, too.
    let late = async {
        trouble.notified().await;
        sleep(wait / 8).await;
    };
    tokio::join!(sleep(wait), late);
    SpreadError::TooFewNodes(format!("not stored within {} ms of the last byte", wait.as_millis()))
}

/// Makes all stripes durable, and answers how many bytes they are, and where.
async fn store<S, E>(
    mut stripes: Stripes<'_, S>,
    mut writer: Writer,
    hashing: &mut Hashing,
) -> Result<(u64, Vec<Extent>), WriteError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Send,
{
    loop {
        // What is encoded goes on while the next stripe arrives: whoever waits for room must not
        // hold any that others wait for.
        let sent = writer.send_encoded().map_err(WriteError::from);
        let received = async {
            let _span = trace::span(Part::Stripe, "receive stripe");
            stripes.next().await
        };
        let (piece, ()) = futures::try_join!(received, sent)?;
        let Some(piece) = piece else { break };
        hashing.update(piece.bytes.clone()).await;
        writer.push(piece).await?;
    }
    let size = writer.size;
    let extents = writer.finish().await?;
    Ok((size, extents))
}

/// A body in the making.
struct Writer {
    shared: Arc<Shared>,
    scheme: Scheme,
    lease: LeaseId,
    ledger: Ledger,
    /// Told when nodes hold up others, and when chunks are tried again.
    trouble: Arc<Notify>,
    /// Bytes taken so far.
    size: u64,
    done: Vec<Extent>,
    /// The extent whose stripes are arriving.
    open: Option<Open>,
    /// The extent before it, on its way to be durable.
    finishing: Option<Task<Result<Extent, SpreadError>>>,
}

/// An extent whose stripes are arriving.
struct Open {
    target: Target,
    spread: Spread,
    stripe_count: u32,
    /// The last stripe and its size, being encoded.
    encoding: Option<(Task<Encoded>, u64)>,
}

impl Writer {
    fn new(
        shared: &Arc<Shared>,
        scheme: Scheme,
        lease: LeaseId,
        ledger: Ledger,
        trouble: &Arc<Notify>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            scheme,
            lease,
            ledger,
            trouble: Arc::clone(trouble),
            size: 0,
            done: Vec::new(),
            open: None,
            finishing: None,
        }
    }

    async fn push(&mut self, piece: Piece) -> Result<(), SpreadError> {
        let start = self.size;
        self.size += piece.bytes.len() as u64;
        if piece.is_last && self.open.is_none() {
            return self.push_single(piece, start).await;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin_extent(start)?,
        };
        open.push(piece);
        let most = max_stripes(self.scheme).min(self.shared.limits.stripes_per_extent);
        if open.stripe_count < most {
            self.open = Some(open);
            return Ok(());
        }
        self.finish_last().await?;
        self.finishing = Some(Task::spawn(open.finish()));
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<Extent>, SpreadError> {
        self.finish_last().await?;
        if let Some(open) = self.open.take() {
            self.done.push(open.finish().await?);
        }
        Ok(self.done)
    }

    /// Sends on what has been encoded since.
    async fn send_encoded(&mut self) -> Result<(), SpreadError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.send_encoded().await
    }

    /// A new extent's target: a random id under the lease and the nodes it hashes to.
    fn new_target(&self) -> Result<Target, SpreadError> {
        let extent = ExtentId::new(self.lease, chance::number());
        Ok(Target {
            shared: Arc::clone(&self.shared),
            lease: self.lease,
            ledger: self.ledger.clone(),
            extent,
            scheme: self.scheme,
            placement: self.shared.directory.place(extent, self.scheme)?,
            kept: [false; CHUNKS_PER_EXTENT],
            trouble: Arc::clone(&self.trouble),
        })
    }

    fn begin_extent(&self, start: u64) -> Result<Open, SpreadError> {
        let target = self.new_target()?;
        let spread = Spread::new(target.clone(), start);
        Ok(Open { target, spread, stripe_count: 0, encoding: None })
    }

    /// The short way of an extent that has one stripe.
    async fn push_single(&mut self, piece: Piece, start: u64) -> Result<(), SpreadError> {
        let target = self.new_target()?;
        crash_point!("put.placed");
        let size = piece.bytes.len() as u64;
        let span = target.span();
        let extent = pin!(async {
            let encoded = compute(piece.bytes.len(), target.encoding(0, piece)).await;
            spread_single(target, start, size, encoded).await
        });
        let extent = trace::within(span.parent(), extent).await?;
        self.finish_last().await?;
        self.done.push(extent);
        Ok(())
    }

    async fn finish_last(&mut self) -> Result<(), SpreadError> {
        if let Some(finishing) = self.finishing.take() {
            self.done.push(finishing.await?);
            crash_point!("put.extent_durable");
        }
        Ok(())
    }
}

impl Open {
    /// Starts to encode a stripe; the one before has been sent on.
    fn push(&mut self, piece: Piece) {
        let size = piece.bytes.len() as u64;
        let encoding = background(self.target.encoding(self.stripe_count, piece));
        self.stripe_count += 1;
        self.encoding = Some((encoding, size));
    }

    async fn send_encoded(&mut self) -> Result<(), SpreadError> {
        let Some((encoding, size)) = self.encoding.take() else { return Ok(()) };
        let encoded = encoding.await;
        self.spread.push(&encoded, size).await
    }

    async fn finish(mut self) -> Result<Extent, SpreadError> {
        self.send_encoded().await?;
        self.spread.finish().await
    }
}

impl Target {
    /// The span of the extent.
    pub(super) fn span(&self) -> Span {
        extent_span("write extent", self.extent, self.scheme)
    }

    /// The work of encoding a stripe.
    fn encoding(&self, number: u32, piece: Piece) -> impl FnOnce() -> Encoded + Send + 'static {
        let cluster = self.shared.directory.cluster();
        let (extent, scheme) = (self.extent, self.scheme);
        let span = trace::span(Part::Stripe, "encode stripe");
        move || {
            let _span = span;
            let cells = encode(cluster, extent, scheme, number, &piece.bytes);
            Encoded { cells, room: piece.room }
        }
    }
}
