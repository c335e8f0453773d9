//! What a node's steps cost one by one: the checksum of a cell, puts and gets of chunks on a drive
//! that syncs. `make bench-micro` runs them.
#![allow(missing_docs, clippy::unwrap_used)] // Criterion's macros; a failure ends the program.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use sixfold_node::{Store, StoreOptions};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, Chunks as _, MAX_CELL_BYTES, PutItem};
use sixfold_proto::name::{ChunkIndex, ChunkName, ExtentId, LeaseId};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;
use uuid::Uuid;

const LEASE: LeaseId = LeaseId(7);

/// Numbers of the extents so far.
static EXTENTS: AtomicU64 = AtomicU64::new(0);

fn checksum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("XXH3 of a cell");
    for size in [1 << 10, MAX_CELL_BYTES] {
        let (key, cell) = (CellKey::new(Uuid::nil(), new_name()), vec![7; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size}"), |bencher| {
            bencher.iter(|| key.checksum(3, &cell));
        });
    }
    group.finish();
}

fn store(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    let mut group = criterion.benchmark_group("chunk store");
    // Each waits for the drive: fewer samples tell as much, and fill it less.
    group.sample_size(20);
    for (what, cell_size, cells, crowd) in [
        ("put of 1 KiB", 1 << 10, 1, 1),
        ("32 puts of 1 KiB at once", 1 << 10, 1, 32),
        ("put of 4 MiB", MAX_CELL_BYTES, 16, 1),
    ] {
        group.throughput(Throughput::Bytes((cell_size * cells * crowd) as u64));
        group.bench_function(what, |bencher| {
            bencher
                .to_async(&runtime)
                .iter(|| join_all((0..crowd).map(|_| put(&store, new_name(), cell_size, cells))));
        });
    }
    for (what, cell_size, cells) in
        [("get of 1 KiB", 1 << 10, 1), ("get of 4 MiB", MAX_CELL_BYTES, 16)]
    {
        let name = new_name();
        runtime.block_on(put(&store, name, cell_size, cells));
        group.throughput(Throughput::Bytes((cell_size * cells) as u64));
        group.bench_function(what, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let found = store.get(name, 0..cells as u32).await.unwrap();
                found.map(|cell| cell.unwrap().data.len()).collect::<Vec<_>>().await
            });
        });
    }
    group.finish();
}

async fn put(store: &Store, name: ChunkName, cell_size: usize, cells: usize) {
    let key = CellKey::new(Uuid::nil(), name);
    let data = Bytes::from(vec![7; cell_size]);
    let cell = move |stripe| {
        PutItem::Cell(Cell {
            checksum: key.checksum(stripe, &data),
            data: data.clone(),
            is_verified: false,
        })
    };
    let items = (0..cells as u32).map(cell).chain([PutItem::End]);
    store.put(name, LEASE, stream::iter(items).boxed()).await.unwrap();
}

fn new_name() -> ChunkName {
    let number = EXTENTS.fetch_add(1, Ordering::Relaxed);
    ChunkName { extent: ExtentId::new(LEASE, number), index: ChunkIndex::ALL[0] }
}

criterion_group!(all, checksum, store);
criterion_main!(all);
