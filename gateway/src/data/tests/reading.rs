//! Ranges, what a read costs, and what bounds it.

use super::{Cluster, MIB, bytes, limits, whole};
use crate::data::{DataLimits, ReadError};
use crate::meta::Meta;
use crate::meta::types::BodyId;
use futures::StreamExt;
use proptest::prelude::{prop_assert, proptest};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

#[test]
fn any_range_is_what_the_bytes_say() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let size = 5 * MIB + 12_345;
    let (cluster, body) = runtime.block_on(async {
        let cluster = Cluster::new(6).await;
        let body = cluster.committed(&bytes(size)).await;
        (cluster, body)
    });
    proptest!(|(start in 0..size, length in proptest::prop_oneof![1..9_usize, 1..3 * MIB])| {
        let end = (start + length).min(size);
        let read = runtime.block_on(cluster.read(&body, start..end)).unwrap();
        prop_assert!(read == body.bytes.slice(start..end), "{start}..{end}");
    });
}

fn cells_read(cluster: &Cluster) -> u64 {
    cluster.nodes.iter().map(|node| node.cells_read()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_reads_only_the_cells_it_touches() {
    // On a busy machine any cell may be late; others are not asked for it here.
    let patient = DataLimits { cell_wait: Duration::from_mins(1), hedge_percent: 0, ..limits() };
    let cluster = Cluster::with_limits(6, patient).await;
    let body = cluster.committed(&bytes(3 * MIB + 1000)).await;
    let cell = MIB / 4;
    let cases = [
        (0..1, 1),
        (cell - 1..cell + 1, 2),
        (MIB - 1..MIB + 1, 2),
        (cell..MIB + cell, 4),
        (2 * MIB - 1..2 * MIB + 1, 2),
        (0..3 * MIB, 12),
        (3 * MIB..3 * MIB + 1000, 4),
    ];
    for (range, expected) in cases {
        let before = cells_read(&cluster);
        cluster.read(&body, range.clone()).await.unwrap();
        assert_eq!(cells_read(&cluster) - before, expected, "{range:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_cells_are_passed_on_without_a_copy() {
    let cluster = Cluster::new(6).await;
    let body = cluster.committed(&bytes(MIB)).await;
    let stream = cluster.data.read(body.id, body.extents.clone(), 0..MIB as u64).await.unwrap();
    let pieces = stream.map(|piece| piece.unwrap().len()).collect::<Vec<_>>().await;
    assert_eq!(pieces, [MIB / 4; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_a_slow_client_holds_a_few_stripes_and_no_more() {
    let cluster = Cluster::with_limits(6, DataLimits { stripes_per_extent: 8, ..limits() }).await;
    let body = cluster.committed(&bytes(40 * MIB)).await;
    let range = 0..40 * MIB as u64;
    let mut stream = cluster.data.read(body.id, body.extents.clone(), range).await.unwrap();
    let mut most = 0;
    for _ in 0..20 {
        stream.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        most = most.max(cluster.data.stripes_in_memory());
    }
    let limit = limits().stripes_read_ahead + 1;
    assert!((2..=limit).contains(&most), "{most} stripes in memory, {limit} allowed");
    drop(stream);
    while cluster.data.stripes_in_memory() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_without_room_for_stripes_a_read_is_told_to_slow_down() {
    let limits = DataLimits { stripes_in_process: 1, ..limits() };
    let cluster = Cluster::with_limits(6, limits).await;
    let small = cluster.committed(&bytes(1000)).await;
    let body = cluster.committed(&bytes(MIB)).await;
    let range = 0..MIB as u64;
    let held = cluster.data.read(body.id, body.extents.clone(), range.clone()).await.unwrap();
    let refused = cluster.data.read(body.id, body.extents.clone(), range).await;
    assert!(matches!(refused, Err(ReadError::SlowDown { .. })));
    // Small ones need none.
    cluster.check(&small).await;
    assert_eq!(whole(held).await.unwrap(), body.bytes);
    cluster.check(&body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_room_is_scarce_nobody_reads_far_ahead() {
    let limits = DataLimits { stripes_in_process: 8, ..limits() };
    let cluster = Cluster::with_limits(6, limits).await;
    let body = cluster.committed(&bytes(12 * MIB)).await;
    let range = 0..12 * MIB as u64;
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(cluster.data.read(body.id, body.extents.clone(), range.clone()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Three that read nothing leave room for a fourth, which gets everything.
    cluster.check(&body).await;
    for stream in slow {
        assert_eq!(whole(stream).await.unwrap(), body.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_running_read_is_known_and_cut_in_time() {
    let limits = DataLimits { read_cut: Duration::from_secs(3), ..limits() };
    let cluster = Cluster::with_limits(6, limits).await;
    let body = cluster.committed(&bytes(12 * MIB)).await;
    assert_eq!(cluster.data.oldest_read(), None);
    let range = 0..12 * MIB as u64;
    let stream = cluster.data.read(body.id, body.extents.clone(), range).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(cluster.data.oldest_read().unwrap() >= Duration::from_millis(50));
    // A read that was cut holds nothing back.
    while cluster.data.oldest_read().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(whole(stream).await, Err(ReadError::Cut)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_many_extents_is_read_page_by_page() {
    let limits = DataLimits { stripes_per_extent: 1, ..limits() };
    let cluster = Cluster::with_limits(6, limits).await;
    let body = cluster.committed(&bytes(70 * MIB + 5)).await;
    assert_eq!(cluster.model.extents(body.id, 0).await.unwrap().len(), 64);
    cluster.check(&body).await;
}

#[test]
fn a_body_stream_goes_into_any_response() {
    fn fits<T: Send + Sync + Unpin + 'static>() {}
    fits::<crate::data::BodyStream>();
}

#[tokio::test]
async fn a_body_that_is_gone_is_said_to_be_gone() {
    let cluster = Cluster::new(6).await;
    let gone = cluster.data.read(BodyId(Uuid::new_v4()), Vec::new(), 0..10).await;
    assert!(matches!(gone, Err(ReadError::Gone)));
    assert_eq!(Arc::strong_count(&cluster.bucket), 1);
}
