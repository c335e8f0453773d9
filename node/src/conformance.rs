//! What every [`Chunks`] must do, embedded or remote: run over the store here, over gRPC in
//! `rpc`, and by the gateway's tests over its own client (feature `conformance`).
// Bytes that follow from a number need no more of it.
#![allow(clippy::cast_possible_truncation)]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{
    Cell, ChunkEntry, Chunks, DriveState, Health, MAX_CELL_BYTES, MAX_CELLS_PER_CHUNK, NodeError,
    PutItem,
};
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The cluster whose keys the cells of these tests have.
pub const CLUSTER: Uuid = Uuid::from_u128(0x51f0_1d00);

/// A chunk's name.
pub fn name(lease: u64, random: u64, index: u8) -> ChunkName {
    let extent = ExtentId::new(LeaseId(lease), random);
    ChunkName { extent, index: ChunkIndex::new(index).unwrap() }
}

/// Cells of a chunk of `data_bytes` whose bytes follow from its name and `salt`.
pub fn cells(name: ChunkName, cell_bytes: usize, data_bytes: usize, salt: u8) -> Vec<Cell> {
    let key = CellKey::new(CLUSTER, name);
    let seed = name.extent.random().wrapping_add(u64::from(name.index.get()) << 8);
    let data: Vec<u8> = (0..data_bytes as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9).wrapping_add(seed) >> 7) as u8 ^ salt)
        .collect();
    data.chunks(cell_bytes)
        .zip(0..)
        .map(|(data, stripe)| Cell {
            data: Bytes::copy_from_slice(data),
            checksum: key.checksum(stripe, data),
            is_verified: false,
        })
        .collect()
}

/// Puts a chunk as its extent's writer.
pub async fn put(
    chunks: &dyn Chunks,
    name: ChunkName,
    cells: &[Cell],
) -> Result<CopyNumber, NodeError> {
    put_as(chunks, name, name.extent.lease(), cells).await
}

/// Puts a chunk as any writer.
pub async fn put_as(
    chunks: &dyn Chunks,
    name: ChunkName,
    writer: LeaseId,
    cells: &[Cell],
) -> Result<CopyNumber, NodeError> {
    let items = cells.iter().cloned().map(PutItem::Cell).chain([PutItem::End]);
    chunks.put(name, writer, stream::iter(items.collect::<Vec<_>>()).boxed()).await
}

/// Reads some cells of a chunk.
pub async fn get(
    chunks: &dyn Chunks,
    name: ChunkName,
    cells: std::ops::Range<u32>,
) -> Result<Vec<Cell>, NodeError> {
    chunks.get(name, cells).await?.try_collect().await
}

/// Reads and compares a whole chunk.
pub async fn check_stored(chunks: &dyn Chunks, name: ChunkName, cells: &[Cell]) {
    let count = u32::try_from(cells.len()).unwrap();
    assert_eq!(get(chunks, name, 0..count).await.unwrap(), cells, "{name}");
}

/// Puts and gets chunks of one cell by [`Chunks::put_cell`] and [`Chunks::get_cell`], so that the
/// requirements can be run over these too.
pub struct ByCell(pub Arc<dyn Chunks>);

#[async_trait::async_trait]
impl Chunks for ByCell {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        mut items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let first = items.next().await;
        if let Some(PutItem::Cell(cell)) = first.clone() {
            let second = items.next().await;
            if matches!(second, Some(PutItem::End)) {
                return self.0.put_cell(name, writer, cell).await;
            }
            items = stream::iter(second).chain(items).boxed();
        }
        self.0.put(name, writer, stream::iter(first).chain(items).boxed()).await
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: std::ops::Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        if cells.len() != 1 {
            return self.0.get(name, cells).await;
        }
        let cell = self.0.get_cell(name, cells.start).await?;
        Ok(stream::iter([Ok(cell)]).boxed())
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        self.0.delete(name, copy).await
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        self.0.list(after, limit).await
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        self.0.stat(name).await
    }

    async fn health(&self) -> Result<Health, NodeError> {
        self.0.health().await
    }
}

/// All requirements, on a store that may hold other chunks already.
pub async fn all(chunks: Arc<dyn Chunks>) {
    let chunks = &*chunks;
    every_size_comes_back(chunks).await;
    ranges_are_those_asked_for(chunks).await;
    the_same_again_is_acknowledged_and_other_bytes_are_not(chunks).await;
    another_writer_makes_a_new_copy(chunks).await;
    what_breaks_the_protocol_is_refused(chunks).await;
    an_abandoned_chunk_is_not_there(chunks).await;
    deleting_names_a_copy(chunks).await;
    lists_are_in_order(chunks).await;
    puts_run_side_by_side(chunks).await;
    health_counts(chunks).await;
}

async fn every_size_comes_back(chunks: &dyn Chunks) {
    let sizes = [
        (1, 1),
        (7, 20),
        (1024, 1024),
        (MAX_CELL_BYTES, MAX_CELL_BYTES),
        (MAX_CELL_BYTES, MAX_CELL_BYTES + 1),
        (1000, 100_003),
        (MAX_CELL_BYTES, 9 * MAX_CELL_BYTES + 5),
        (3000, 3000 * MAX_CELLS_PER_CHUNK as usize),
    ];
    for (number, (cell_bytes, data_bytes)) in (0..).zip(sizes) {
        let name = name(1, number, 0);
        let cells = cells(name, cell_bytes, data_bytes, 0);
        let copy = put(chunks, name, &cells).await.unwrap();
        check_stored(chunks, name, &cells).await;
        let cell_count = u32::try_from(cells.len()).unwrap();
        let size_bytes = data_bytes as u64;
        let entry = ChunkEntry { name, copy, writer: LeaseId(1), size_bytes, cell_count };
        assert_eq!(chunks.stat(name).await, Ok(entry));
    }
}

async fn ranges_are_those_asked_for(chunks: &dyn Chunks) {
    for (number, cell_bytes) in [(0, 100), (1, 60_000)] {
        let name = name(2, number, 1);
        let cells = cells(name, cell_bytes, cell_bytes * 10 + 1, 0);
        put(chunks, name, &cells).await.unwrap();
        for (from, to) in [(0, 1), (3, 7), (10, 11), (0, 11), (9, 11)] {
            let expected = &cells[from as usize..to as usize];
            assert_eq!(get(chunks, name, from..to).await.unwrap(), expected, "{from}..{to}");
        }
        assert!(matches!(get(chunks, name, 10..12).await, Err(NodeError::Damaged(_))));
        assert!(matches!(get(chunks, name, 4..4).await, Err(NodeError::Invalid(_))));
        assert!(matches!(get(chunks, name, 0..u32::MAX).await, Err(NodeError::Invalid(_))));
    }
    assert_eq!(get(chunks, name(2, 99, 1), 0..1).await, Err(NodeError::NotFound));
}

async fn the_same_again_is_acknowledged_and_other_bytes_are_not(chunks: &dyn Chunks) {
    for (number, size) in [(0, 500), (1, MAX_CELL_BYTES * 2)] {
        let name = name(3, number, 2);
        let right = cells(name, size.min(MAX_CELL_BYTES), size, 0);
        let copy = put(chunks, name, &right).await.unwrap();
        assert_eq!(put(chunks, name, &right).await, Ok(copy));
        let mut others = vec![
            cells(name, size.min(MAX_CELL_BYTES), size, 1),
            cells(name, size.min(MAX_CELL_BYTES), size - 1, 0),
            cells(name, size / 4, size, 0),
        ];
        let mut wrong_checksum = right.clone();
        wrong_checksum[0].checksum ^= 1;
        others.push(wrong_checksum);
        for other in others {
            assert_eq!(put(chunks, name, &other).await, Err(NodeError::Conflict));
            assert_eq!(put_as(chunks, name, LeaseId(9), &other).await, Err(NodeError::Conflict));
        }
        check_stored(chunks, name, &right).await;
        assert_eq!(chunks.stat(name).await.unwrap().copy, copy);
    }
}

async fn another_writer_makes_a_new_copy(chunks: &dyn Chunks) {
    for (number, size) in [(0, 500), (1, MAX_CELL_BYTES * 2)] {
        let name = name(4, number, 3);
        let cells = cells(name, size.min(MAX_CELL_BYTES), size, 0);
        let old = put(chunks, name, &cells).await.unwrap();
        let new = put_as(chunks, name, LeaseId(77), &cells).await.unwrap();
        assert!(new > old);
        let entry = chunks.stat(name).await.unwrap();
        assert_eq!((entry.copy, entry.writer), (new, LeaseId(77)));
        assert_eq!(chunks.delete(name, old).await, Err(NodeError::OtherCopy));
        check_stored(chunks, name, &cells).await;
        chunks.delete(name, new).await.unwrap();
        assert_eq!(chunks.stat(name).await, Err(NodeError::NotFound));
    }
}

async fn what_breaks_the_protocol_is_refused(chunks: &dyn Chunks) {
    let name = name(5, 0, 0);
    let cell =
        |size: usize| Cell { data: Bytes::from(vec![0; size]), checksum: 0, is_verified: false };
    let broken = [
        vec![],
        vec![cell(0)],
        vec![cell(MAX_CELL_BYTES + 1)],
        vec![cell(10), cell(11)],
        vec![cell(10), cell(9), cell(10)],
        vec![cell(10), cell(9), cell(9)],
        vec![cell(1); MAX_CELLS_PER_CHUNK as usize + 1],
        [vec![cell(MAX_CELL_BYTES); 2], vec![cell(MAX_CELL_BYTES + 1)]].concat(),
    ];
    for cells in broken {
        let refused = put(chunks, name, &cells).await;
        assert!(matches!(refused, Err(NodeError::Invalid(_))), "{refused:?}");
        assert_eq!(chunks.stat(name).await, Err(NodeError::NotFound));
    }
}

async fn an_abandoned_chunk_is_not_there(chunks: &dyn Chunks) {
    for size in [100, 3 * MAX_CELL_BYTES] {
        let name = name(6, size as u64, 0);
        let cells = cells(name, size.min(MAX_CELL_BYTES), size, 0);
        let items: Vec<_> = cells.iter().cloned().map(PutItem::Cell).collect();
        let put_result = chunks.put(name, LeaseId(6), stream::iter(items.clone()).boxed()).await;
        assert!(matches!(put_result, Err(NodeError::Invalid(_))), "{put_result:?}");
        let endless = stream::iter(items).chain(stream::pending()).boxed();
        let dropped = chunks.put(name, LeaseId(6), endless);
        let wait = std::time::Duration::from_millis(200);
        assert!(tokio::time::timeout(wait, dropped).await.is_err());
        assert_eq!(chunks.stat(name).await, Err(NodeError::NotFound));
        // The name is free again, at the latest when the cancelled call has been noticed.
        let mut stored = put(chunks, name, &cells).await;
        for _ in 0..3000 {
            if !matches!(stored, Err(NodeError::Unavailable(_))) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            stored = put(chunks, name, &cells).await;
        }
        stored.unwrap();
        check_stored(chunks, name, &cells).await;
    }
}

async fn deleting_names_a_copy(chunks: &dyn Chunks) {
    for (number, size) in [(0, 500), (1, MAX_CELL_BYTES * 2)] {
        let name = name(7, number, 5);
        let cells = cells(name, size.min(MAX_CELL_BYTES), size, 0);
        assert_eq!(chunks.delete(name, CopyNumber(1)).await, Err(NodeError::NotFound));
        let first = put(chunks, name, &cells).await.unwrap();
        let other = CopyNumber(first.0 + 1);
        assert_eq!(chunks.delete(name, other).await, Err(NodeError::OtherCopy));
        chunks.delete(name, first).await.unwrap();
        assert_eq!(get(chunks, name, 0..1).await, Err(NodeError::NotFound));
        assert_eq!(chunks.delete(name, first).await, Err(NodeError::NotFound));
        let second = put(chunks, name, &cells).await.unwrap();
        assert!(second > first);
        assert_eq!(chunks.delete(name, first).await, Err(NodeError::OtherCopy));
        check_stored(chunks, name, &cells).await;
    }
}

async fn lists_are_in_order(chunks: &dyn Chunks) {
    let names: Vec<_> = (0..23).map(|n| name(8, (n * 7) % 23, (n % 6) as u8)).collect();
    for (number, name) in names.iter().enumerate() {
        let size = if number % 5 == 0 { 2 * MAX_CELL_BYTES } else { 300 };
        put(chunks, *name, &cells(*name, size.min(MAX_CELL_BYTES), size, 0)).await.unwrap();
    }
    let mut sorted = names;
    sorted.sort_unstable();
    let mut after = Some(name(7, u64::MAX, 5));
    let mut found = Vec::new();
    loop {
        let page = chunks.list(after, 5).await.unwrap();
        let ours = page.iter().filter(|entry| entry.name.extent.lease() == LeaseId(8));
        found.extend(ours.map(|entry| entry.name));
        after = page.last().map(|entry| entry.name);
        if page.len() < 5 {
            break;
        }
    }
    assert_eq!(found, sorted);
}

async fn puts_run_side_by_side(chunks: &dyn Chunks) {
    let all: BTreeMap<_, _> = (0..60)
        .map(|number| {
            let name = name(9, number, 0);
            let size = if number % 10 == 0 { 400_000 } else { 1 + number as usize * 97 };
            (name, cells(name, size.min(100_000), size, 0))
        })
        .collect();
    let copies =
        futures::future::join_all(all.iter().map(|(name, cells)| put(chunks, *name, cells)));
    let mut copies: Vec<_> = copies.await.into_iter().map(Result::unwrap).collect();
    copies.sort_unstable();
    copies.dedup();
    assert_eq!(copies.len(), all.len(), "copy numbers differ");
    for (name, cells) in &all {
        check_stored(chunks, *name, cells).await;
    }
    let deletes = all.keys().map(|name| async {
        let copy = chunks.stat(*name).await?.copy;
        chunks.delete(*name, copy).await
    });
    assert!(futures::future::join_all(deletes).await.iter().all(Result::is_ok));
}

async fn health_counts(chunks: &dyn Chunks) {
    let before = chunks.health().await.unwrap();
    assert_eq!(before.state, DriveState::Ok);
    assert!(before.capacity_bytes >= before.free_bytes && before.free_bytes > 0);
    let name = name(10, 0, 0);
    put(chunks, name, &cells(name, 10, 10, 0)).await.unwrap();
    assert_eq!(chunks.health().await.unwrap().chunk_count, before.chunk_count + 1);
}
