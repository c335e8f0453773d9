//! Storing a chunk: cells are gathered in memory until it is known whether the chunk is small;
//! a large one then goes to its file as it comes.

use super::file::FileWriter;
use super::format::Geometry;
use super::index::{Claim, Located};
use super::read::{Body, compare};
use super::record::{CellOrder, Record, entry};
use super::segment::queue::Request;
use super::threads::Threads;
use super::{CELLS_PER_RUN, Inner, SMALL_CHUNK_BYTES, blocking, lock};
use futures::StreamExt;
use futures::stream::BoxStream;
use sixfold_proto::chunks::{Cell, ChunkEntry, NodeError, PutItem};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use std::sync::Arc;

/// Stores one chunk.
pub(super) async fn put(
    inner: &Arc<Inner>,
    threads: &Threads,
    name: ChunkName,
    writer: LeaseId,
    mut items: BoxStream<'static, PutItem>,
) -> Result<CopyNumber, NodeError> {
    // In this order: what is not counted yet when the node says that it is empty is refused.
    let claim = Claim::take(&inner.index, name)?;
    inner.refuse_when_not_writable().await?;
    inner.note_activity();
    let mut order = CellOrder::default();
    let mut cells = Vec::new();
    loop {
        match items.next().await {
            None => return Err(abandoned()),
            Some(PutItem::End) => break,
            Some(PutItem::Cell(cell)) => {
                order.accept(&cell)?;
                cells.push(cell);
                if order.data_bytes() > SMALL_CHUNK_BYTES {
                    return Large { inner, name, writer, claim }.put(cells, order, items).await;
                }
            }
        }
    }
    let geometry = order.geometry()?;
    let record = Record::new(cells);
    let old = lock(&inner.index).get(name);
    let (record, kept) = match old {
        None => (record, None),
        Some(old) => compare_small(inner, old, geometry, record).await?,
    };
    if let Some(kept) = kept.filter(|kept| kept.writer == writer) {
        return Ok(kept.copy);
    }
    let copy = inner.take_copy()?;
    let entry = entry(name, writer, copy, geometry);
    let record = record.close(name, writer, copy, geometry);
    threads.ask(Request::Put { record, entry, claim }).await?;
    inner.count(|metrics| metrics.written.increment(entry.size_bytes));
    Ok(copy)
}

/// Compares a small chunk with what stands under its name; answers the entry of the same bytes.
async fn compare_small(
    inner: &Arc<Inner>,
    old: Located,
    geometry: Geometry,
    record: Record,
) -> Result<(Record, Option<ChunkEntry>), NodeError> {
    let inner = Arc::clone(inner);
    blocking(move || {
        // Compaction may have moved it; the claim keeps everything else away.
        let old = lock(&inner.index).get(old.entry.name).unwrap_or(old);
        let same = compare(&inner, &old, geometry, &Body::Memory(&record.body()))?.is_same();
        Ok((record, same.then_some(old.entry)))
    })
    .await
}

/// A chunk that has turned out to be large.
struct Large<'a> {
    inner: &'a Arc<Inner>,
    name: ChunkName,
    writer: LeaseId,
    claim: Claim,
}

impl Large<'_> {
    async fn put(
        self,
        first: Vec<Cell>,
        mut order: CellOrder,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let Self { name, writer, claim, .. } = self;
        let inner = Arc::clone(self.inner);
        let cell_bytes = order.cell_bytes();
        let creating = Arc::clone(&inner);
        let create = move || FileWriter::create(&creating, name, writer, cell_bytes, &first);
        let mut file = blocking(create).await?;
        // Cells that are there already are written together.
        let mut runs = items.ready_chunks(CELLS_PER_RUN as usize);
        loop {
            let run = runs.next().await.ok_or_else(abandoned)?;
            inner.note_activity();
            let (cells, ended) = accept_run(&mut order, run)?;
            if ended {
                let geometry = order.geometry()?;
                let data_bytes = order.data_bytes() as u64;
                let put = blocking(move || {
                    let _claim = claim;
                    file.append(&cells)?;
                    file.publish(geometry)
                });
                let copy = put.await?;
                inner.count(|metrics| metrics.written.increment(data_bytes));
                return Ok(copy);
            }
            file = blocking(move || file.append(&cells).map(|()| file)).await?;
        }
    }
}

/// The cells of a run, and whether the end stands behind them.
fn accept_run(order: &mut CellOrder, run: Vec<PutItem>) -> Result<(Vec<Cell>, bool), NodeError> {
    let mut cells = Vec::with_capacity(run.len());
    for item in run {
        match item {
            PutItem::End => return Ok((cells, true)),
            PutItem::Cell(cell) => {
                order.accept(&cell)?;
                cells.push(cell);
            }
        }
    }
    Ok((cells, false))
}

fn abandoned() -> NodeError {
    NodeError::Invalid("the chunk was abandoned before its end".to_owned())
}
