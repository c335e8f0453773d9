//! The calls of a store, each counted.

use super::index::{Claim, Place};
use super::read::{self, OpenChunk};
use super::segment::queue::Request;
use super::{CELLS_PER_RUN, Inner, Store, blocking, file, lock, put};
use crate::metrics::DriveMetrics;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sixfold_proto::chunks::{
    Cell, ChunkEntry, Chunks, Health, MAX_CELLS_PER_CHUNK, MAX_LIST_ENTRIES, NodeError, PutItem,
};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

#[async_trait::async_trait]
impl Chunks for Store {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let begun = Instant::now();
        let put = put::put(&self.inner, &self.threads, name, writer, items).await;
        self.inner.count(|metrics| metrics.put(begun, put.is_ok()));
        put
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        let begun = Instant::now();
        let got = self.read(name, cells).await;
        self.inner.count(|metrics| metrics.get(begun, got.is_ok()));
        got
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        let begun = Instant::now();
        let deleted = self.remove(name, copy).await;
        self.inner.count(|metrics| metrics.delete(begun, deleted.is_ok()));
        deleted
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        Ok(lock(&self.inner.index).list(after, limit.min(MAX_LIST_ENTRIES)))
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        let found = lock(&self.inner.index).get(name);
        found.map(|located| located.entry).ok_or(NodeError::NotFound)
    }

    async fn health(&self) -> Result<Health, NodeError> {
        self.ask_health().await
    }
}

impl Store {
    async fn read(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        if cells.is_empty() || cells.end > MAX_CELLS_PER_CHUNK {
            return Err(NodeError::Invalid(format!("no chunk has the cells {cells:?}")));
        }
        self.inner.note_activity();
        let found = lock(&self.inner.index).get(name).ok_or(NodeError::NotFound)?;
        if let Some(cells) = read::cached_cells(&self.inner, &found, &cells) {
            self.inner.count_read(&cells);
            return Ok(stream::iter(cells.into_iter().map(Ok)).boxed());
        }
        let inner = Arc::clone(&self.inner);
        let first_end = cells.end.min(cells.start + CELLS_PER_RUN);
        let (chunk, first) = blocking(move || {
            let chunk = OpenChunk::find(&inner, name)?;
            if chunk.cell_count() < cells.end {
                let text = format!("chunk {name}: it has {} cells only", chunk.cell_count());
                return Err(NodeError::Damaged(text));
            }
            let first = chunk.cells(cells.start..first_end)?;
            Ok((chunk, first))
        })
        .await?;
        self.inner.count_read(&first);
        let first = stream::iter(first.into_iter().map(Ok));
        let following = following_cells(Arc::clone(&self.inner), chunk, first_end..cells.end);
        Ok(first.chain(following).boxed())
    }

    async fn remove(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        self.inner.refuse_when_fenced()?;
        let claim = Claim::take(&self.inner.index, name)?;
        let found = lock(&self.inner.index).get(name).ok_or(NodeError::NotFound)?;
        if found.entry.copy != copy {
            return Err(NodeError::OtherCopy);
        }
        if found.place != Place::File {
            return self.threads.ask(Request::Delete { entry: found.entry, claim }).await;
        }
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _claim = claim;
            file::delete(&inner, &found)
        })
        .await
    }
}

/// The cells behind the first run, a run at a time, read when they are asked for.
fn following_cells(
    inner: Arc<Inner>,
    chunk: OpenChunk,
    cells: Range<u32>,
) -> impl futures::Stream<Item = Result<Cell, NodeError>> + Send {
    let chunk = Arc::new(chunk);
    stream::unfold(cells, move |cells| {
        let (inner, chunk) = (Arc::clone(&inner), Arc::clone(&chunk));
        async move {
            if cells.is_empty() {
                return None;
            }
            inner.note_activity();
            let end = cells.end.min(cells.start + CELLS_PER_RUN);
            let run = blocking(move || chunk.cells(cells.start..end)).await;
            // After a failed run nothing follows: its reader has lost its place.
            let (items, next) = match run {
                Ok(run) => {
                    inner.count_read(&run);
                    (run.into_iter().map(Ok).collect(), end)
                }
                Err(error) => (vec![Err(error)], cells.end),
            };
            Some((stream::iter(items), next..cells.end))
        }
    })
    .flatten()
}

impl Inner {
    /// Counts, once the node has a number.
    pub(super) fn count(&self, count: impl FnOnce(&DriveMetrics)) {
        if let Some(metrics) = self.metrics.get() {
            count(metrics);
        }
    }

    fn count_read(&self, cells: &[Cell]) {
        self.count(|metrics| {
            metrics.read.increment(cells.iter().map(|cell| cell.data.len() as u64).sum());
        });
    }
}
