//! Leases, chunks, users and nodes: what they promise, on PostgreSQL and on the model; and the
//! races that only PostgreSQL can show, with two connections.

use super::migrate::migrate;
use super::pg::Pg;
use super::types::{
    BodyId, BodySource, Bucket, ChunkSet, Claimant, Commit, CommitOutcome, Content, Extent, Lost,
    Move, NewBody, NodeCondition, NodeRow, NodeState, Placed, Removal, RiskCursor, UserId,
    WriteCondition,
};
use super::{Meta, MetaError};
use crate::erasure::Scheme;
use crate::postgres::testing;
use futures::StreamExt;
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Runs a case on both.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod model {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&crate::meta::model::Model::new()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&crate::meta::cluster_tests::pg().await.0).await;
            })*
        }
    };
}

// Behind the macro, which they use.
mod background;
mod moves;
mod races;
mod removal;

const NOW: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);

async fn pg() -> (Pg, String) {
    let url = testing::database().await;
    let pg = Pg::open(&url, 4).unwrap();
    migrate(pg.pool()).await.unwrap();
    (pg, url)
}

on_both!(
    users_own_keys,
    nodes_keep_their_numbers,
    operators_decide_and_nodes_learn,
    changes_of_the_registry_are_told,
    a_job_has_one_claimant,
    extents_are_found_by_where_they_are,
    what_moved_away_is_kept_for_reads,
    what_a_deleted_extent_left_behind_need_not_wait,
    a_lease_ends_once,
    silent_leases_are_ended,
    missing_chunks_are_queued_by_risk,
    chunks_on_nodes_that_are_gone_are_missing,
    chunks_that_can_not_wait_are_missing_first,
    chunks_move_if_nobody_else_moved_them,
    freed_bodies_wait_for_reads,
    freed_bodies_wait_for_reads_that_were_published_late,
    only_unwanted_copies_of_ended_writers_are_condemned,
    chunks_that_no_row_places_there_are_told_apart,
);

fn content(size: u64) -> Content {
    Content {
        size,
        etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        storage_class: "STANDARD".to_owned(),
        headers: super::types::Headers::default(),
        checksum: None,
        tags: std::collections::BTreeMap::new(),
        parts: Vec::new(),
    }
}

fn extent(lease: LeaseId, scheme: Scheme) -> Extent {
    Extent {
        id: ExtentId::new(lease, rand::random()),
        start: 0,
        size: 10,
        scheme,
        placement: [1, 2, 3, 4, 5, 6].map(NodeNumber),
        missing: ChunkSet(0),
    }
}

async fn bucket(meta: &dyn Meta) -> Arc<Bucket> {
    Arc::new(meta.create_bucket("bucket", UserId(Uuid::new_v4())).await.unwrap())
}

fn commit_of(lease: LeaseId, bucket: &Arc<Bucket>, key: &str, extent: Extent) -> Commit {
    Commit {
        lease,
        bucket: bucket.clone(),
        key: key.to_owned(),
        content: content(10),
        body: BodySource::New(NewBody { id: BodyId(Uuid::new_v4()), extents: vec![extent] }),
        condition: WriteCondition::default(),
    }
}

/// Commits an object of one extent.
async fn put(meta: &dyn Meta, lease: LeaseId, bucket: &Arc<Bucket>, key: &str) -> Extent {
    let extent = extent(lease, Scheme::FourTwo);
    let outcome = meta.commit(commit_of(lease, bucket, key, extent.clone())).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Done { .. }), "{outcome:?}");
    extent
}

fn chunk(extent: &Extent, index: u8) -> ChunkName {
    ChunkName { extent: extent.id, index: ChunkIndex::new(index).unwrap() }
}

async fn users_own_keys(meta: &dyn Meta) {
    let alt = meta.create_user("alt").await.unwrap();
    assert!(matches!(meta.create_user("alt").await, Err(MetaError::Exists(_))));
    assert_eq!(meta.user("alt").await.unwrap(), Some(alt.clone()));
    assert_eq!(meta.user("nobody").await.unwrap(), None);
    let aaa = meta.create_user("aaa").await.unwrap();
    meta.create_key(alt.id, "SX1", b"one").await.unwrap();
    meta.create_key(aaa.id, "SX2", b"two").await.unwrap();
    assert!(matches!(meta.create_key(aaa.id, "SX1", b"x").await, Err(MetaError::Exists(_))));
    let key = meta.key("SX1").await.unwrap().unwrap();
    assert_eq!((key.user, key.sealed_secret), (alt, b"one".to_vec()));
    let order: Vec<_> = meta.keys().await.unwrap().into_iter().map(|key| key.access_key).collect();
    assert_eq!(order, ["SX2", "SX1"], "by user name");
    assert!(meta.delete_key("SX1").await.unwrap());
    assert!(!meta.delete_key("SX1").await.unwrap());
    assert!(meta.key("SX1").await.unwrap().is_none());
}

async fn nodes_keep_their_numbers(meta: &dyn Meta) {
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let first = meta.register_node(one, Some("10.0.0.1:9100"), "a", 1.0).await.unwrap();
    let second = meta.register_node(two, None, "b", 2.0).await.unwrap();
    assert_eq!((first.number, second.number), (NodeNumber(1), NodeNumber(2)));
    let again = meta.register_node(one, Some("10.0.0.9:9100"), "c", 1.5).await.unwrap();
    assert_eq!((again.number, again.zone.as_str(), again.weight), (first.number, "c", 1.5));
    assert!(again.registration > first.registration);

    let beat = |registration, state| meta.heartbeat(first.number, registration, is(state, 9));
    let older = beat(first.registration, NodeState::Active).await.unwrap();
    assert_eq!(older, None, "the older is fenced");
    assert_eq!(beat(again.registration, NodeState::Full).await.unwrap(), Some(NodeState::Full));
    assert!(beat(again.registration, NodeState::Removed).await.is_err());
    let nobody = meta.heartbeat(NodeNumber(9), 1, is(NodeState::Active, 0)).await.unwrap();
    assert_eq!(nobody, None);
    let rows = meta.nodes().await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.state).collect::<Vec<_>>(),
        [NodeState::Full, NodeState::Active]
    );
    assert!(rows[0].silent_for < 60.0);
    // A wiped drive at the first one's address, which then comes back elsewhere.
    let wiped = meta.register_node(Uuid::new_v4(), Some("10.0.0.9:9100"), "c", 1.0).await.unwrap();
    assert_eq!((wiped.number, wiped.address.as_deref()), (NodeNumber(3), Some("10.0.0.9:9100")));
    let addresses = meta.nodes().await.unwrap().into_iter().map(|row| row.address);
    let expected = [Some(String::new()), None, wiped.address];
    assert_eq!(addresses.collect::<Vec<_>>(), expected);
    let back = meta.register_node(one, Some("10.0.0.2:9100"), "c", 1.0).await.unwrap();
    assert_eq!(back.address.as_deref(), Some("10.0.0.2:9100"));
    assert_eq!(meta.cluster_id().await.unwrap(), meta.cluster_id().await.unwrap());
}

fn is(state: NodeState, chunk_count: u64) -> NodeCondition {
    NodeCondition { state, capacity_bytes: 100, free_bytes: 50, chunk_count }
}

async fn node(meta: &dyn Meta, number: u16) -> NodeRow {
    let rows = meta.nodes().await.unwrap();
    rows.into_iter().find(|row| row.number == NodeNumber(number)).unwrap()
}

async fn operators_decide_and_nodes_learn(meta: &dyn Meta) {
    let row = meta.register_node(Uuid::new_v4(), Some("10.0.0.1:1"), "a", 1.0).await.unwrap();
    let (number, registration) = (row.number, row.registration);
    let beat = |state, chunks| meta.heartbeat(number, registration, is(state, chunks));
    beat(NodeState::Active, 0).await.unwrap();
    assert_eq!(node(meta, 1).await.chunk_count, Some(0));
    assert!(meta.set_node_state(number, NodeState::Draining).await.unwrap());
    assert!(meta.set_node_state(number, NodeState::Draining).await.unwrap(), "twice");
    // Empty, but it does not know yet that it takes no more.
    let learned = beat(NodeState::Active, 0).await.unwrap();
    assert_eq!(learned, Some(NodeState::Draining));
    assert!(!node(meta, 1).await.is_drained());
    beat(NodeState::Draining, 2).await.unwrap();
    assert_eq!(node(meta, 1).await.chunk_count, Some(2));
    assert!(!node(meta, 1).await.is_drained());
    beat(NodeState::Draining, 0).await.unwrap();
    assert!(node(meta, 1).await.is_drained());
    assert!(meta.set_node_state(number, NodeState::Active).await.unwrap());
    assert_eq!(beat(NodeState::Draining, 0).await.unwrap(), Some(NodeState::Active));

    assert!(meta.set_node_weight(number, 2.5).await.unwrap());
    let again = meta.register_node(row.drive, Some("10.0.0.1:1"), "a", 1.0).await.unwrap();
    assert_eq!((again.weight, again.seat), (2.5, number), "the operator's weight stays");
    for state in [NodeState::Full, NodeState::Fenced, NodeState::Removed] {
        assert!(meta.set_node_state(number, state).await.is_err(), "{state:?}");
    }
    assert_eq!(removal::remove(meta, 1).await, Removal::Done);
    for state in [NodeState::Active, NodeState::Draining] {
        assert!(!meta.set_node_state(number, state).await.unwrap(), "removed is final");
    }
    assert_eq!(removal::remove(meta, 1).await, Removal::Absent);
    assert!(!meta.set_node_weight(number, 1.0).await.unwrap());
    assert!(!meta.set_node_state(NodeNumber(9), NodeState::Draining).await.unwrap());
    assert!(!meta.set_node_weight(NodeNumber(9), 1.0).await.unwrap());
    assert_eq!(node(meta, 1).await.state, NodeState::Removed);
}

async fn changes_of_the_registry_are_told(meta: &dyn Meta) {
    let mut changes = meta.registry_changes();
    let patience = Duration::from_secs(20);
    let mut next = async || tokio::time::timeout(patience, changes.next()).await.unwrap().unwrap();
    next().await;
    let row = meta.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
    next().await;
    meta.set_node_weight(row.number, 2.0).await.unwrap();
    next().await;
    meta.set_node_state(row.number, NodeState::Draining).await.unwrap();
    next().await;
    removal::replace(meta, row.number.0, None).await;
    next().await;
}

async fn a_job_has_one_claimant(meta: &dyn Meta) {
    let (one, two) = (meta.begin_lease("1").await.unwrap(), meta.begin_lease("2").await.unwrap());
    let one = Claimant { id: u64::MAX, lease: one };
    let two = Claimant { id: 2, lease: two };
    assert!(meta.claim_job("rebalance", one, "a", HOUR).await.unwrap());
    assert!(!meta.claim_job("rebalance", two, "b", HOUR).await.unwrap());
    assert!(meta.claim_job("other", two, "d", HOUR).await.unwrap());
    assert!(meta.claim_job("rebalance", one, "c", HOUR).await.unwrap());
    let jobs = meta.jobs().await.unwrap();
    let doing: Vec<_> = jobs.iter().map(|job| (job.name.as_str(), job.doing.as_str())).collect();
    assert_eq!(doing, [("other", "d"), ("rebalance", "c")]);
    meta.end_lease(one.lease).await.unwrap();
    assert!(meta.claim_job("rebalance", two, "b", HOUR).await.unwrap(), "its lease has ended");
    assert!(!meta.claim_job("rebalance", one, "a", HOUR).await.unwrap());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(meta.claim_job("rebalance", one, "a", Duration::from_millis(1)).await.unwrap());
}

async fn extents_are_found_by_where_they_are(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let mut all = Vec::new();
    for (key, nodes) in
        [("a", [1, 2, 3, 4, 5, 6]), ("b", [7, 2, 3, 4, 5, 2]), ("c", [6, 5, 4, 3, 2, 7])]
    {
        let placement = nodes.map(NodeNumber);
        let extent = Extent { placement, ..extent(lease, Scheme::FourTwo) };
        meta.commit(commit_of(lease, &bucket, key, extent.clone())).await.unwrap();
        all.push(extent.id);
    }
    let ids = async |placed, after, limit| {
        let page = meta.placed_extents(placed, after, limit).await.unwrap();
        let last = page.last().map(|(cursor, _)| *cursor);
        let mut ids = page.into_iter().map(|(_, extent)| extent.id).collect::<Vec<_>>();
        ids.sort_unstable();
        (ids, last)
    };
    let sorted = |indexes: &[usize]| {
        let mut ids = indexes.iter().map(|index| all[*index]).collect::<Vec<_>>();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(Placed::On(&[NodeNumber(7)]), None, 10).await.0, sorted(&[1, 2]));
    let two = [1, 7].map(NodeNumber);
    assert_eq!(ids(Placed::On(&two), None, 10).await.0, sorted(&[0, 1, 2]));
    assert_eq!(ids(Placed::On(&[]), None, 10).await.0, []);
    assert_eq!(ids(Placed::Crowded, None, 10).await.0, sorted(&[1]));
    let (mut walked, mut after) = (Vec::new(), None);
    for _ in 0..3 {
        let (page, last) = ids(Placed::Anywhere, after, 1).await;
        walked.extend(page);
        after = last;
    }
    walked.sort_unstable();
    assert_eq!(walked, sorted(&[0, 1, 2]));
    assert_eq!(ids(Placed::Anywhere, after, 1).await, (vec![], None));
    assert_eq!(ids(Placed::Crowded, after, 1).await.0, []);
}

/// Moves the first chunk of an extent from node 1 to node 7, under a mover's lease.
async fn move_first(meta: &dyn Meta, extent: &Extent) {
    let lease = meta.begin_lease("mover").await.unwrap();
    let (from, to) = (extent.placement, [7, 2, 3, 4, 5, 6].map(NodeNumber));
    let moved = Move { lease, extent: extent.id, from, to, healed: ChunkSet(0) };
    assert!(meta.move_chunks(moved).await.unwrap());
    meta.end_lease(lease).await.unwrap();
}

async fn what_moved_away_is_kept_for_reads(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let extent = put(meta, lease, &bucket, "key").await;
    let copies = [(chunk(&extent, 0), lease, CopyNumber(1))];
    let condemned = async |kept| meta.condemned(NodeNumber(1), &copies, kept).await.unwrap().len();
    assert_eq!(condemned(NOW).await, 0, "placed");
    move_first(meta, &extent).await;
    assert_eq!(condemned(NOW).await, 0, "not renewed since: a read may have begun before");
    meta.renew_lease(lease, Some(HOUR)).await.unwrap();
    assert_eq!(condemned(NOW).await, 0, "an old read runs");
    meta.renew_lease(lease, None).await.unwrap();
    assert_eq!(condemned(HOUR).await, 0, "too young");
    assert_eq!(condemned(NOW).await, 1);
}

/// Its writer lives for hours, and a node that is drained would have to wait for it.
async fn what_a_deleted_extent_left_behind_need_not_wait(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let moved = put(meta, lease, &bucket, "key").await;
    let stayed = put(meta, lease, &bucket, "other").await;
    move_first(meta, &moved).await;
    for key in ["key", "other"] {
        meta.delete(&bucket, key, None, None).await.unwrap();
    }
    meta.renew_lease(lease, None).await.unwrap();
    let freed = meta.freed_bodies(NOW, 10).await.unwrap();
    let ids = freed.iter().map(|body| body.id).collect::<Vec<_>>();
    meta.forget_bodies(&ids).await.unwrap();
    let copies = [&moved, &stayed].map(|extent| (chunk(extent, 0), lease, CopyNumber(1)));
    let condemned = meta.condemned(NodeNumber(1), &copies, NOW).await.unwrap();
    assert_eq!(condemned, [(chunk(&moved, 0), CopyNumber(1))]);
    let aborted = [(chunk(&extent(lease, Scheme::FourTwo), 0), lease, CopyNumber(1))];
    assert_eq!(meta.condemned(NodeNumber(1), &aborted, NOW).await.unwrap(), [], "may be committed");
}

async fn a_lease_ends_once(meta: &dyn Meta) {
    let bucket = bucket(meta).await;
    let lease = meta.begin_lease("test").await.unwrap();
    meta.renew_lease(lease, Some(HOUR)).await.unwrap();
    put(meta, lease, &bucket, "before").await;
    meta.end_lease(lease).await.unwrap();
    meta.end_lease(lease).await.unwrap();
    assert!(matches!(meta.renew_lease(lease, None).await, Err(MetaError::LeaseEnded)));
    let late = commit_of(lease, &bucket, "after", extent(lease, Scheme::FourTwo));
    assert!(matches!(meta.commit(late).await, Err(MetaError::LeaseEnded)));
    assert!(meta.find("bucket", "after", None).await.unwrap().version.is_none());
}

async fn silent_leases_are_ended(meta: &dyn Meta) {
    let silent = meta.begin_lease("silent").await.unwrap();
    // Far apart, so that a busy machine does not make the live one look silent.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let live = meta.begin_lease("live").await.unwrap();
    let limit = Duration::from_secs(2);
    assert_eq!(meta.end_expired_leases(limit, 10).await.unwrap(), [silent]);
    meta.renew_lease(live, None).await.unwrap();
}

async fn missing_chunks_are_queued_by_risk(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let spare = put(meta, lease, &bucket, "one to spare").await;
    let at_risk = put(meta, lease, &bucket, "none to spare").await;
    put(meta, lease, &bucket, "whole").await;
    meta.mark_missing(spare.id, ChunkSet(0b00_0001)).await.unwrap();
    meta.mark_missing(at_risk.id, ChunkSet(0b00_0010)).await.unwrap();
    meta.mark_missing(at_risk.id, ChunkSet(0b10_0010)).await.unwrap();
    meta.mark_missing(ExtentId(7), ChunkSet(1)).await.unwrap();
    let queue = meta.degraded_extents(None, 10).await.unwrap();
    let queue: Vec<_> = queue.iter().map(|extent| (extent.id, extent.missing.0)).collect();
    assert_eq!(queue, [(at_risk.id, 0b10_0010), (spare.id, 0b00_0001)]);
    assert_eq!(meta.degraded_extents(None, 1).await.unwrap().len(), 1);
}

async fn chunks_on_nodes_that_are_gone_are_missing(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    for key in ["a", "b", "c"] {
        put(meta, lease, &bucket, key).await;
    }
    let lost = [NodeNumber(6), NodeNumber(2)];
    assert_eq!(meta.lose_chunks_on(&[NodeNumber(7)], Lost::Every, None, 10).await.unwrap(), None);
    assert!(meta.degraded_extents(None, 10).await.unwrap().is_empty());
    let first = meta.lose_chunks_on(&lost, Lost::Every, None, 2).await.unwrap();
    assert!(first.is_some());
    assert_eq!(meta.degraded_extents(None, 10).await.unwrap().len(), 2);
    assert_eq!(meta.lose_chunks_on(&lost, Lost::Every, first, 2).await.unwrap(), None);
    let all = meta.degraded_extents(None, 10).await.unwrap();
    assert_eq!(all.iter().map(|extent| extent.missing.0).collect::<Vec<_>>(), [0b10_0010; 3]);
    let behind = Some(RiskCursor::of(&all[0]));
    assert_eq!(meta.degraded_extents(behind, 10).await.unwrap(), all[1..]);
}

async fn chunks_that_can_not_wait_are_missing_first(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let waits = put(meta, lease, &bucket, "a").await;
    let hurt = put(meta, lease, &bucket, "b").await;
    meta.mark_missing(hurt.id, ChunkSet(0b1)).await.unwrap();
    for (scheme, key) in [(Scheme::FiveOne, "c"), (Scheme::SixZero, "d")] {
        let outcome = meta.commit(commit_of(lease, &bucket, key, extent(lease, scheme))).await;
        assert!(matches!(outcome.unwrap(), CommitOutcome::Done { .. }));
    }
    let missing = async || {
        let all = meta.degraded_extents(None, 10).await.unwrap();
        let mut all = all.iter().map(|e| (e.scheme.number(), e.missing.0)).collect::<Vec<_>>();
        all.sort_unstable();
        all
    };
    let walked = meta.lose_chunks_on(&[NodeNumber(2)], Lost::AtRisk, None, 10).await.unwrap();
    assert_eq!(walked, None);
    assert_eq!(missing().await, [(1, 0b11), (2, 0b10)], "the scratch data can't be made anew");
    let two = [NodeNumber(5), NodeNumber(6)];
    meta.lose_chunks_on(&two, Lost::AtRisk, None, 10).await.unwrap();
    assert_eq!(missing().await, [(1, 0b11), (1, 0b11_0000), (2, 0b10)]);
    assert_eq!(waits.missing, ChunkSet(0));
}

async fn chunks_move_if_nobody_else_moved_them(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let extent = put(meta, lease, &bucket, "key").await;
    meta.mark_missing(extent.id, ChunkSet(0b11)).await.unwrap();
    let from = extent.placement;
    let to = [7, 2, 3, 4, 5, 6].map(NodeNumber);
    let moved = Move { lease, extent: extent.id, from, to, healed: ChunkSet(0b01) };
    assert!(meta.move_chunks(moved).await.unwrap());
    let found = meta.find("bucket", "key", None).await.unwrap().extents;
    assert_eq!((found[0].placement, found[0].missing), (to, ChunkSet(0b10)));
    assert!(!meta.move_chunks(moved).await.unwrap(), "the second one");
    assert!(!meta.move_chunks(Move { extent: ExtentId(7), ..moved }).await.unwrap(), "no extent");
    meta.end_lease(lease).await.unwrap();
    let late = Move { from: to, to: from, ..moved };
    assert!(matches!(meta.move_chunks(late).await, Err(MetaError::LeaseEnded)));
    // What is placed there now is wanted, what is left where it was before is not.
    let copies = [(chunk(&extent, 0), lease, CopyNumber(1))];
    assert_eq!(meta.condemned(NodeNumber(7), &copies, NOW).await.unwrap(), []);
    assert_eq!(meta.condemned(NodeNumber(1), &copies, NOW).await.unwrap().len(), 1);
}

async fn freed_bodies_wait_for_reads(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let old = put(meta, lease, &bucket, "key").await;
    put(meta, lease, &bucket, "key").await;
    assert!(meta.freed_bodies(NOW, 10).await.unwrap().is_empty(), "not renewed since");
    meta.renew_lease(lease, Some(HOUR)).await.unwrap();
    assert!(meta.freed_bodies(NOW, 10).await.unwrap().is_empty(), "an old read runs");
    meta.renew_lease(lease, None).await.unwrap();
    assert!(meta.freed_bodies(HOUR, 10).await.unwrap().is_empty(), "too young");
    let freed = meta.freed_bodies(NOW, 10).await.unwrap();
    assert_eq!(freed.len(), 1);
    assert_eq!(freed[0].extents, [old]);
    meta.forget_bodies(&[freed[0].id]).await.unwrap();
    assert!(meta.freed_bodies(NOW, 10).await.unwrap().is_empty());
    assert!(meta.extents(freed[0].id, 0).await.unwrap().is_empty());
    let live = meta.find("bucket", "key", None).await.unwrap();
    meta.forget_bodies(&[live.version.unwrap().body.unwrap()]).await.unwrap();
    assert_eq!(meta.find("bucket", "key", None).await.unwrap().extents.len(), 1, "in use");
}

/// A read looks its body up, then the body is freed, and only then the read is noted as running.
async fn freed_bodies_wait_for_reads_that_were_published_late(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let at_least = Duration::from_secs(1);
    put(meta, lease, &bucket, "key").await;
    put(meta, lease, &bucket, "key").await;
    let noted = std::time::Instant::now();
    tokio::time::sleep(at_least + Duration::from_millis(100)).await;
    meta.renew_lease(lease, Some(noted.elapsed())).await.unwrap();
    assert!(meta.freed_bodies(at_least, 10).await.unwrap().is_empty(), "that read runs");
    meta.renew_lease(lease, None).await.unwrap();
    assert_eq!(meta.freed_bodies(at_least, 10).await.unwrap().len(), 1);
}

async fn only_unwanted_copies_of_ended_writers_are_condemned(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let kept = put(meta, lease, &bucket, "key").await;
    let aborted = extent(lease, Scheme::FourTwo);
    let mover = meta.begin_lease("mover").await.unwrap();
    let copies = [
        (chunk(&kept, 0), lease, CopyNumber(1)),
        (chunk(&kept, 1), lease, CopyNumber(2)),
        (chunk(&aborted, 0), lease, CopyNumber(3)),
    ];
    let on_first = NodeNumber(1);
    // The commit of the kept one is over; the other's may still come.
    let condemned = meta.condemned(on_first, &copies, NOW).await.unwrap();
    assert_eq!(condemned, [(chunk(&kept, 1), CopyNumber(2))], "the writer lives");
    let moving = [(chunk(&kept, 1), mover, CopyNumber(2))];
    assert_eq!(meta.condemned(on_first, &moving, NOW).await.unwrap(), [], "the mover lives");
    meta.end_lease(mover).await.unwrap();
    assert_eq!(meta.condemned(on_first, &moving, NOW).await.unwrap().len(), 1);
    meta.end_lease(lease).await.unwrap();
    let condemned = meta.condemned(on_first, &copies, NOW).await.unwrap();
    // Chunk 1 of the kept extent is placed on node 2: here it is a copy moved away.
    assert_eq!(condemned, [(chunk(&kept, 1), CopyNumber(2)), (chunk(&aborted, 0), CopyNumber(3)),]);
    assert_eq!(meta.condemned(on_first, &[], NOW).await.unwrap(), []);
}

async fn chunks_that_no_row_places_there_are_told_apart(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let kept = put(meta, lease, &bucket, "key").await;
    let chunks = [chunk(&extent(lease, Scheme::FourTwo), 0), chunk(&kept, 0), chunk(&kept, 1)];
    let unplaced = meta.unplaced(NodeNumber(1), &chunks).await.unwrap();
    assert_eq!(unplaced, [chunks[0], chunks[2]], "whether or not the writer lives");
    assert_eq!(meta.unplaced(NodeNumber(1), &[]).await.unwrap(), []);
}
