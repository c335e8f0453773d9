//! What the steps of a request cost one by one: the codec, MD5, the ring, the commit.
//! `make bench-micro` runs them.
#![allow(missing_docs, clippy::unwrap_used)] // Criterion's macros; a failure ends the program.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use sixfold::data::md5_of_all;
use sixfold::erasure::{Cells, Scheme, Stripe, encode, reconstruct_data};
use sixfold::meta::Meta;
use sixfold::meta::testing::fresh_database;
use sixfold::meta::types::{
    BodyId, BodySource, Bucket, ChunkSet, Commit, Content, Extent, Headers, NewBody, UserId,
    WriteCondition,
};
use sixfold::placement::{Member, Ring, place};
use sixfold_proto::name::{ExtentId, LeaseId, NodeNumber};
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Tokens of a node by default.
const TOKENS: u32 = 150;

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec 4+2");
    for size in [4 << 10, 1 << 20] {
        let stripe = Stripe::new(Scheme::FourTwo, 0, size as u64);
        let bytes = Bytes::from(vec![7; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("encode {size}"), |bencher| {
            bencher.iter(|| encode(Scheme::FourTwo, &stripe, &bytes));
        });
        let cells = encode(Scheme::FourTwo, &stripe, &bytes);
        let mut lossy: Cells = std::array::from_fn(|index| Some(cells[index].clone()));
        lossy[0] = None;
        lossy[3] = None;
        group.bench_function(format!("two data cells back {size}"), |bencher| {
            bencher.iter_batched(
                || lossy.clone(),
                |mut cells| reconstruct_data(Scheme::FourTwo, &mut cells).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn md5(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("MD5");
    for uploads in [1, 8] {
        let stripes = vec![Bytes::from(vec![7; 1 << 20]); uploads];
        group.throughput(Throughput::Bytes((uploads << 20) as u64));
        group.bench_function(format!("{uploads} side by side"), |bencher| {
            bencher.iter(|| md5_of_all(black_box(&stripes)));
        });
    }
    group.finish();
}

fn ring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    for nodes in [6, 100] {
        let member = |number| Member {
            node: NodeNumber(number),
            seat: NodeNumber(number),
            zone: format!("zone {}", number % 6),
            weight: 1.0,
        };
        let members: Vec<Member> = (1..=nodes).map(member).collect();
        group.bench_function(format!("made of {nodes} nodes"), |bencher| {
            bencher.iter(|| Ring::new(&members, TOKENS));
        });
        let ring = Ring::new(&members, TOKENS);
        let mut extent = 0;
        group.bench_function(format!("placement on {nodes} nodes"), |bencher| {
            bencher.iter(|| {
                extent += 0x9e37_79b9_7f4a_7c15_u128;
                place(&ring, ExtentId(extent), Scheme::FourTwo, |_| true).unwrap()
            });
        });
    }
    group.finish();
}

/// A round trip to PostgreSQL, which doesn't sync here; alone, and in a crowd that shares calls.
fn commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (meta, lease, bucket) = runtime.block_on(async {
        let meta = fresh_database().await.pg;
        let lease = meta.begin_lease("micro").await.unwrap();
        let bucket = meta.create_bucket("micro", UserId(Uuid::from_u128(7))).await.unwrap();
        (meta, lease, Arc::new(bucket))
    });
    let mut group = criterion.benchmark_group("commit");
    for crowd in [1, 32] {
        group.throughput(Throughput::Elements(crowd));
        group.bench_function(format!("{crowd} at once"), |bencher| {
            bencher.to_async(&runtime).iter_batched(
                || (0..crowd).map(|_| new_commit(lease, &bucket)).collect::<Vec<_>>(),
                |commits| async {
                    join_all(commits.into_iter().map(|commit| meta.commit(commit))).await
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A new object of one extent under a new key.
fn new_commit(lease: LeaseId, bucket: &Arc<Bucket>) -> Commit {
    let extent = Extent {
        id: ExtentId::new(lease, rand::random()),
        start: 0,
        size: 4096,
        scheme: Scheme::FourTwo,
        placement: [1, 2, 3, 4, 5, 6].map(NodeNumber),
        missing: ChunkSet(0),
    };
    let content = Content {
        size: 4096,
        etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        storage_class: "STANDARD".to_owned(),
        headers: Headers::default(),
        checksum: None,
        tags: std::collections::BTreeMap::new(),
        parts: Vec::new(),
    };
    Commit {
        lease,
        bucket: Arc::clone(bucket),
        key: format!("{:016x}", rand::random::<u64>()),
        content,
        body: BodySource::New(NewBody { id: BodyId(Uuid::new_v4()), extents: vec![extent] }),
        condition: WriteCondition::default(),
    }
}

criterion_group!(all, codec, md5, ring, commit);
criterion_main!(all);
