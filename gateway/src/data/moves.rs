//! Copies a chunk from one node to another, cell by cell, each verified on its way. The copy left
//! behind is the sweep's: readers with the old placement may still want it.

use super::Shared;
use crate::erasure::Geometry;
use crate::meta::types::{ChunkSet, Extent, Move};
use crate::placement::Wish;
use crate::points::crash_point;
use futures::stream::{self, BoxStream, StreamExt};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, Chunks, NodeError, PutItem, next_cell};
use sixfold_proto::name::{ChunkIndex, ChunkName, LeaseId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one chunk of at most 32 MiB may take. Slower is no pace but an illness.
const MOVE_LIMIT: Duration = Duration::from_mins(2);

type CellStream = BoxStream<'static, Result<Cell, NodeError>>;

/// Why the cells came to an early end.
type Failure = Arc<Mutex<Option<NodeError>>>;

/// See [`super::Data::move_chunk`].
pub(super) async fn move_chunk(
    shared: &Arc<Shared>,
    extent: &Extent,
    wish: Wish,
    lease: LeaseId,
) -> Result<Move, NodeError> {
    shared.moves.wait(extent.size / extent.scheme.data_count() as u64).await;
    let name = ChunkName { extent: extent.id, index: ChunkIndex::ALL[wish.index] };
    let copied = tokio::time::timeout(MOVE_LIMIT, copy(shared, extent, wish, lease, name)).await;
    copied.unwrap_or_else(|_| {
        Err(NodeError::Unavailable(format!("not copied within {} s", MOVE_LIMIT.as_secs())))
    })?;
    crash_point!("move.copied");
    let (id, from) = (extent.id, extent.placement);
    Ok(Move { lease, extent: id, from, to: wish.placement(&from), healed: ChunkSet(0) })
}

async fn copy(
    shared: &Arc<Shared>,
    extent: &Extent,
    wish: Wish,
    lease: LeaseId,
    name: ChunkName,
) -> Result<(), NodeError> {
    let node = |number| {
        let gone = || NodeError::Unavailable(format!("node {number} can't be called"));
        shared.directory.node(number).ok_or_else(gone)
    };
    let (from, to) = (node(extent.placement[wish.index])?, node(wish.to)?);
    let stripes = Geometry::new(extent.scheme, extent.size).stripe_count();
    let failure = Failure::default();
    let cells = match from.get(name, 0..stripes).await {
        Ok(cells) => cells,
        Err(error) => return Err(unreadable(shared, name, error)),
    };
    let items = items(shared, name, stripes, cells, Arc::clone(&failure));
    let put = to.put(name, lease, items).await;
    let failed = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failed {
        Some(error) => Err(unreadable(shared, name, error)),
        None => put.map(drop),
    }
}

/// The next cell of a chunk, waited for no longer than `patience`, if it is what was stored.
pub(super) async fn next_whole(
    cells: &mut CellStream,
    key: CellKey,
    stripe: u32,
    patience: Duration,
) -> Result<Cell, NodeError> {
    let late = |_| Err(NodeError::Unavailable("no cell in time".to_owned()));
    let cell = tokio::time::timeout(patience, next_cell(cells)).await.unwrap_or_else(late)?;
    let rotten = || NodeError::Damaged(format!("cell {stripe} is rotten"));
    key.matches(stripe, &cell).then_some(cell).ok_or_else(rotten)
}

/// What is not there or rotten is heal's from here on.
fn unreadable(shared: &Shared, name: ChunkName, error: NodeError) -> NodeError {
    if matches!(error, NodeError::NotFound | NodeError::Damaged(_)) {
        shared.missing.report(name);
    }
    error
}

/// The cells as a put takes them. The end comes only after all of them: a put without it leaves
/// nothing behind.
fn items(
    shared: &Shared,
    name: ChunkName,
    stripes: u32,
    cells: CellStream,
    failure: Failure,
) -> BoxStream<'static, PutItem> {
    let key = CellKey::new(shared.directory.cluster(), name);
    let patience = shared.limits.cell_wait;
    let next = move |(stripe, mut cells): (u32, CellStream)| {
        let failure = Arc::clone(&failure);
        async move {
            if stripe == stripes {
                return Some((PutItem::End, (stripe + 1, cells)));
            }
            if stripe > stripes {
                return None;
            }
            match next_whole(&mut cells, key, stripe, patience).await {
                Ok(cell) => Some((PutItem::Cell(cell), (stripe + 1, cells))),
                Err(error) => {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    None
                }
            }
        }
    };
    stream::unfold((0, cells), next).boxed()
}
