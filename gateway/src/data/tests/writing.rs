//! What a write leaves on the nodes and says of it.

use super::{Body, Cluster, MIB, bytes, limits, write};
use crate::data::{DataLimits, Digests, WriteError};
use crate::erasure::Scheme;
use crate::meta::types::ChunkSet;
use crate::nodes::fake::Faults;
use bytes::Bytes;
use md5::{Digest, Md5};
use sixfold_proto::chunks::NodeError;
use sixfold_proto::name::{ChunkIndex, ChunkName};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long a whole write may wait for nodes that hang.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn sizes_around_every_boundary_come_back() {
    let cluster = Cluster::new(6).await;
    // A stripe of 4+2 is 1 MiB, an extent here two of them.
    let boundaries = [1, 8, MIB, 2 * MIB, 4 * MIB];
    let sizes = boundaries.into_iter().flat_map(|size| [size - 1, size, size + 1]);
    for size in sizes.filter(|size| *size > 0).collect::<HashSet<_>>() {
        let bytes = bytes(size);
        let written = cluster.write(&bytes).await.unwrap();
        assert_eq!(written.size, size as u64);
        assert_eq!(written.digests.md5.unwrap()[..], Md5::digest(&bytes)[..]);
        let extents = &written.body.as_ref().unwrap().extents;
        assert_eq!(extents.len(), size.div_ceil(2 * MIB));
        assert!(extents.iter().all(|extent| extent.missing == ChunkSet(0)));
        let body = cluster.commit(written, bytes).await;
        cluster.check(&body).await;
    }
    assert_eq!(cluster.data.stripes_in_memory(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scheme_reads_what_it_wrote() {
    let cluster = Cluster::new(6).await;
    for scheme in Scheme::ALL {
        for size in [1, 4096, 3 * MIB + 5] {
            let bytes = bytes(size);
            let written = write(&cluster.data, scheme, &bytes).await.unwrap();
            let body = cluster.commit(written, bytes).await;
            cluster.check(&body).await;
        }
    }
}

#[tokio::test]
async fn no_bytes_are_no_body() {
    let cluster = Cluster::new(6).await;
    let written = cluster.write(&Bytes::new()).await.unwrap();
    assert_eq!((written.size, written.body), (0, None));
    assert_eq!(written.digests.md5.unwrap()[..], Md5::digest(b"")[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_source_is_passed_on_and_leaves_nothing() {
    let cluster = Cluster::new(6).await;
    let frames = [Ok(bytes(2 * MIB)), Ok(bytes(2 * MIB)), Err("cut off")];
    let source = futures::stream::iter(frames);
    let outcome = cluster.data.write(Scheme::FourTwo, source, Digests::none()).await;
    assert!(matches!(outcome, Err(WriteError::Source("cut off"))));
    nothing_is_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_a_write_that_is_dropped_leaves_nothing() {
    let cluster = Cluster::new(6).await;
    let frames = futures::stream::iter([Ok::<_, ()>(bytes(5 * MIB))]);
    let source = futures::StreamExt::chain(frames, futures::stream::pending());
    let write = cluster.data.write(Scheme::FourTwo, source, Digests::md5());
    assert!(tokio::time::timeout(Duration::from_millis(800), write).await.is_err());
    nothing_is_left(&cluster).await;
}

/// Four nodes work, and the substitutes of the others fail like them: four chunks are not enough,
/// whichever way they came about.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_with_fewer_than_five_chunks() {
    for round in 0..40 {
        let cluster = Cluster::new(8).await;
        for node in &cluster.nodes[4..] {
            node.fail(Faults { put_dies_after: Some(0), ..Faults::default() });
        }
        let size = if round % 2 == 0 { 1000 } else { 2 * MIB };
        let Ok(written) = cluster.write(&bytes(size)).await else { continue };
        for extent in written.body.unwrap().extents {
            assert!(extent.missing.0.count_ones() <= 1, "{:06b}", extent.missing.0);
            for index in (0..6_u8).filter(|index| extent.missing.0 & 1 << index == 0) {
                let index = ChunkIndex::new(index).unwrap();
                let name = ChunkName { extent: extent.id, index };
                let node = cluster.node(extent.placement[index.as_usize()]);
                assert!(node.names().contains(&name), "{name} is not where its row says");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_written_body_can_be_discarded() {
    let cluster = Cluster::new(6).await;
    let written = cluster.write(&bytes(3 * MIB)).await.unwrap();
    assert!(cluster.nodes.iter().all(|node| node.chunk_count() == 2));
    written.copies.discard();
    nothing_is_left(&cluster).await;
}

/// No chunk and no stripe stays. A stripe that is being encoded when its write is given up keeps
/// its room until the codec is done with it.
async fn nothing_is_left(cluster: &Cluster) {
    let chunks = || cluster.nodes.iter().map(|node| node.chunk_count()).collect::<Vec<_>>();
    let stripes = || cluster.data.stripes_in_memory();
    for _ in 0..6000 {
        if stripes() == 0 && chunks().iter().all(|count| *count == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("chunks are left: {:?}; stripes in memory: {}", chunks(), stripes());
}

/// Writes with `faults` on the first `count` nodes of the placement that a body gets: all
/// nodes are broken in turn, so that each chunk index meets the fault.
async fn written_with(
    count: usize,
    node_count: u16,
    faults: &Faults,
    size: usize,
) -> (Cluster, Body) {
    // Far from the time after which a node is given up, also on a busy machine.
    let limits = DataLimits { spread_wait: PATIENCE, ..limits() };
    let cluster = Cluster::with_limits(node_count, limits).await;
    for node in &cluster.nodes[..count] {
        node.fail(faults.clone());
    }
    let bytes = bytes(size);
    let written = cluster.write(&bytes).await.unwrap();
    let body = cluster.commit(written, bytes).await;
    for node in &cluster.nodes {
        node.fail(Faults::default());
    }
    (cluster, body)
}

/// Every chunk that no row calls missing is where its row says.
fn assert_rows_are_true(cluster: &Cluster, body: &Body) {
    for extent in &body.extents {
        for index in 0..6 {
            let has = cluster.node(extent.placement[index]).names();
            let has = has.contains(&super::name(extent, index));
            assert!(has || extent.missing.contains(index));
        }
        assert!(extent.missing.0.count_ones() <= 1, "one may be missing at a commit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f02_nodes_that_die_in_a_spread_are_made_good() {
    for dies_after in [0, 1] {
        for count in [1, 2] {
            let faults = Faults { put_dies_after: Some(dies_after), ..Faults::default() };
            for size in [1000, 2 * MIB, 3 * MIB] {
                let (cluster, body) = written_with(count, 8, &faults, size).await;
                assert_rows_are_true(&cluster, &body);
                cluster.check(&body).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_nodes_that_hang_are_given_up_after_a_while() {
    for size in [1000, 6 * MIB] {
        let faults = Faults { put_stalls_after: Some(0), ..Faults::default() };
        let begun = Instant::now();
        let (cluster, body) = written_with(2, 8, &faults, size).await;
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        assert_rows_are_true(&cluster, &body);
        cluster.check(&body).await;
    }
}

/// There are no other nodes: the same ones are asked again, a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn f02_nodes_that_refuse_for_a_moment_are_asked_again() {
    let cluster = Cluster::new(6).await;
    for node in &cluster.nodes[..3] {
        node.refuse_puts(1);
    }
    let bytes = bytes(1000);
    let written = cluster.write(&bytes).await.unwrap();
    let body = cluster.commit(written, bytes).await;
    assert_rows_are_true(&cluster, &body);
    cluster.check(&body).await;
}

/// Nodes that hang count as usable until they are known, and others take their chunks: a crowd on
/// three nodes is not acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn f05_what_only_three_nodes_took_is_an_error() {
    let cluster = Cluster::with_limits(8, limits()).await;
    for node in &cluster.nodes[..5] {
        node.fail(Faults { put_stalls_after: Some(0), ..Faults::default() });
    }
    for size in [1000, 3 * MIB] {
        let outcome = cluster.write(&bytes(size)).await;
        assert!(matches!(outcome, Err(WriteError::TooFewNodes(_))), "{size}: {outcome:?}");
    }
    for node in &cluster.nodes {
        node.fail(Faults::default());
    }
}

/// Nodes hang, and so do all that could take their place: nothing is waited for longer than the
/// rest of a write may take, however often it was tried.
#[tokio::test(flavor = "multi_thread")]
async fn f05_a_write_whose_substitutes_hang_is_refused_in_time() {
    let last_wait = Duration::from_millis(800);
    let limits = DataLimits { spread_wait: PATIENCE, last_wait, ..limits() };
    for size in [1000, MIB, 2 * MIB, 3 * MIB] {
        // Nobody knows yet that five hang; one of an extent's six nodes does not.
        let cluster = Cluster::with_limits(8, limits.clone()).await;
        for node in &cluster.nodes[3..] {
            node.fail(Faults { put_stalls_after: Some(0), ..Faults::default() });
        }
        let bytes = bytes(size);
        let write = cluster.write(&bytes);
        let Ok(outcome) = tokio::time::timeout(PATIENCE / 2, write).await else {
            panic!("{size}: waited for nodes that hang");
        };
        assert!(matches!(outcome, Err(WriteError::TooFewNodes(_))), "{size}: {outcome:?}");
        for node in &cluster.nodes {
            node.fail(Faults::default());
        }
        nothing_is_left(&cluster).await;
    }
}

/// Drives that are slow and fail at nothing have longer than what is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn slow_nodes_are_waited_for_while_none_fails() {
    let last_wait = Duration::from_millis(100);
    let waits = DataLimits { stall_give_up: PATIENCE, spread_wait: PATIENCE, ..limits() };
    let cluster = Cluster::with_limits(6, DataLimits { last_wait, ..waits }).await;
    for node in &cluster.nodes {
        node.fail(Faults { put_delay: last_wait * 5, ..Faults::default() });
    }
    let whole = bytes(2 * MIB);
    let written = cluster.write(&whole).await.unwrap();
    cluster.check(&cluster.commit(written, whole).await).await;
}

/// The bound begins with the last byte: a client may take longer than it, and before.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_has_as_long_as_it_needs() {
    let last_wait = Duration::from_secs(5);
    let cluster = Cluster::with_limits(6, DataLimits { last_wait, ..limits() }).await;
    let whole = bytes(2 * MIB);
    let pieces = [whole.slice(..MIB), whole.slice(MIB..)];
    let slow = futures::StreamExt::then(futures::stream::iter(pieces), async |piece| {
        tokio::time::sleep(last_wait * 2 / 3).await;
        Ok::<_, ()>(piece)
    });
    let written = cluster.data.write(Scheme::FourTwo, slow, Digests::none()).await.unwrap();
    cluster.check(&cluster.commit(written, whole).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_six_that_refuse_are_an_error() {
    let cluster = Cluster::new(6).await;
    for node in &cluster.nodes[..3] {
        node.down();
    }
    for size in [1000, 3 * MIB] {
        let outcome = cluster.write(&bytes(size)).await;
        assert!(matches!(outcome, Err(WriteError::TooFewNodes(_))));
    }
    for node in &cluster.nodes {
        node.fail(Faults::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_full_nodes_are_passed_by_and_all_full_is_full() {
    let cluster = Cluster::new(8).await;
    let full = Faults { refuses_puts: Some(NodeError::Full), ..Faults::default() };
    for node in &cluster.nodes[..2] {
        node.fail(full.clone());
    }
    for _ in 0..4 {
        let body = cluster.committed(&bytes(1000)).await;
        assert_rows_are_true(&cluster, &body);
    }
    let body = cluster.committed(&bytes(1000)).await;
    assert!(body.extents[0].placement.iter().all(|node| node.0 > 2), "{:?}", body.extents);
    for node in &cluster.nodes {
        node.fail(full.clone());
    }
    for _ in 0..3 {
        assert!(matches!(cluster.write(&bytes(1000)).await, Err(WriteError::Full)));
    }
    cluster.check(&body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_more_writes_than_there_is_room_for_take_turns() {
    let limits = DataLimits {
        stripes_in_process: 3,
        stripe_wait: Duration::from_secs(20),
        spread_wait: Duration::from_secs(20),
        ..limits()
    };
    let cluster = Cluster::with_limits(6, limits).await;
    let bytes = bytes(4 * MIB);
    let writes = futures::future::join_all((0..9).map(|_| cluster.write(&bytes)));
    for written in writes.await {
        cluster.check(&cluster.commit(written.unwrap(), bytes.clone()).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_without_room_for_stripes_a_write_is_told_to_slow_down() {
    let limits = DataLimits { stripes_in_process: 1, ..limits() };
    let cluster = Cluster::with_limits(6, limits).await;
    let held = futures::stream::iter([Ok::<_, ()>(bytes(MIB / 2))]);
    let held = futures::StreamExt::chain(held, futures::stream::pending());
    let data = cluster.data.clone();
    let holder = tokio::spawn(async move {
        let _ = data.write(Scheme::FourTwo, held, Digests::none()).await;
    });
    while cluster.data.stripes_in_memory() == 0 {
        tokio::task::yield_now().await;
    }
    let outcome = cluster.write(&bytes(MIB)).await;
    assert!(matches!(outcome, Err(WriteError::SlowDown { .. })));
    // Small bodies need none.
    cluster.write(&bytes(1000)).await.unwrap();
    holder.abort();
}

/// Two nodes of eight refuse and a third one hangs, be it the extent's own or one that takes the
/// place of another: the write waits no longer than it has to.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_is_given_up_where_the_others_suffice() {
    let limits = DataLimits { spread_wait: PATIENCE, ..limits() };
    let write = async || {
        let cluster = Cluster::with_limits(8, limits.clone()).await;
        let refuses_puts = Some(NodeError::Unavailable("connection refused".to_owned()));
        for node in &cluster.nodes[..2] {
            node.fail(Faults { refuses_puts: refuses_puts.clone(), ..Faults::default() });
        }
        cluster.nodes[2].fail(Faults { put_stalls_after: Some(0), ..Faults::default() });
        tokio::time::timeout(PATIENCE / 2, cluster.write(&bytes(1000))).await
    };
    // Which nodes an extent takes is chance: many at once meet every case.
    let written = futures::future::join_all((0..60).map(|_| write())).await;
    assert!(written.iter().all(|written| matches!(written, Ok(Ok(_)))));
}
