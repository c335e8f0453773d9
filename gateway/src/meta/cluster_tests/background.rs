//! How jobs are, and what nodes found rotten.

use super::{bucket, chunk, put};
use crate::meta::Meta;
use crate::meta::conformance::fixture::Fixture;
use crate::meta::types::{Backlogs, ChunkSet};
use sixfold_proto::history::Mark;
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{CopyNumber, ExtentId, NodeNumber};
use std::time::Duration;

on_both!(
    jobs_are_told_and_forgotten,
    rotten_chunks_are_missing_where_they_are_placed,
    what_waits_is_counted,
    marks_are_known_to_their_history_only,
    what_nodes_keep_is_listed_and_given_up,
);

fn report(name: &str, things: u64) -> JobReport {
    JobReport { name: name.to_owned(), things, every_s: 5.0, ..JobReport::default() }
}

async fn jobs_are_told_and_forgotten(meta: &dyn Meta) {
    assert_eq!(meta.job_standings().await.unwrap(), []);
    meta.report_jobs("b:9000", &[report("heal", 1), report("collect", 2)]).await.unwrap();
    meta.report_jobs("node 1", &[report("scrub", 3)]).await.unwrap();
    meta.report_jobs("b:9000", &[report("heal", 4)]).await.unwrap();
    let rows = meta.job_standings().await.unwrap();
    let told =
        rows.iter().map(|row| (row.process.as_str(), row.report.clone())).collect::<Vec<_>>();
    let expected = [
        ("b:9000", report("collect", 2)),
        ("b:9000", report("heal", 4)),
        ("node 1", report("scrub", 3)),
    ];
    assert_eq!(told, expected);
    assert!(rows.iter().all(|row| (0.0..60.0).contains(&row.silent_for)));
    meta.forget_jobs(Duration::from_secs(60)).await.unwrap();
    assert_eq!(meta.job_standings().await.unwrap().len(), 3);
    meta.forget_jobs(Duration::ZERO).await.unwrap();
    assert_eq!(meta.job_standings().await.unwrap(), []);
}

async fn rotten_chunks_are_missing_where_they_are_placed(meta: &dyn Meta) {
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let extent = put(meta, lease, &bucket, "key").await;
    let unknown = ExtentId(7);
    let on_second = [chunk(&extent, 1), chunk(&extent, 2), chunk(&extent, 1)];
    meta.mark_rotten(NodeNumber(9), &on_second).await.unwrap();
    assert!(meta.degraded_extents(None, 10).await.unwrap().is_empty(), "placed elsewhere");
    let mut found = on_second.to_vec();
    found.push(sixfold_proto::name::ChunkName { extent: unknown, ..found[0] });
    for _ in 0..2 {
        meta.mark_rotten(NodeNumber(2), &found).await.unwrap();
        let degraded = meta.degraded_extents(None, 10).await.unwrap();
        assert_eq!(degraded.iter().map(|e| e.missing.0).collect::<Vec<_>>(), [0b00_0010]);
    }
    meta.mark_rotten(NodeNumber(6), &[chunk(&extent, 5)]).await.unwrap();
    assert_eq!(meta.degraded_extents(None, 10).await.unwrap()[0].missing.0, 0b10_0010);
    meta.mark_rotten(NodeNumber(6), &[]).await.unwrap();
}

async fn what_waits_is_counted(meta: &dyn Meta) {
    let counted = |it: &Backlogs| (it.degraded, it.at_risk, it.unrecoverable);
    assert_eq!(meta.backlogs().await.unwrap(), Backlogs::default());
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let [first, second, third, _] = [
        put(meta, lease, &bucket, "1").await,
        put(meta, lease, &bucket, "2").await,
        put(meta, lease, &bucket, "3").await,
        put(meta, lease, &bucket, "4").await,
    ];
    for (extent, missing) in [(first, 0b1), (second, 0b11), (third, 0b111)] {
        meta.mark_missing(extent.id, ChunkSet(missing)).await.unwrap();
    }
    let found = meta.backlogs().await.unwrap();
    assert_eq!(counted(&found), (1, 1, 1));
    assert_eq!((found.freed_bodies, found.uploads, found.leases), (0, 0, 1));
    meta.delete(&bucket, "4", None, None).await.unwrap();
    meta.delete(&bucket, "3", None, None).await.unwrap();
    Fixture { meta, lease, bucket }.start_upload("5").await;
    let found = meta.backlogs().await.unwrap();
    assert_eq!((found.freed_bodies, found.uploads), (2, 1));
    assert!((0.0..60.0).contains(&found.freed_s_ago), "{found:?}");
    assert!((0.0..60.0).contains(&found.upload_s_ago), "{found:?}");
    // What is freed counts until it is forgotten.
    assert_eq!(counted(&found), (1, 1, 1));
}

const NODE: NodeNumber = NodeNumber(3);
const NOTHING: CopyNumber = CopyNumber(0);

async fn marks_are_known_to_their_history_only(meta: &dyn Meta) {
    let first = meta.witness(NODE, &[], NOTHING, true).await.unwrap();
    assert_eq!((first.mark.number, first.known, first.released), (1, vec![], NOTHING));
    let again = meta.witness(NODE, &[first.mark], NOTHING, false).await.unwrap();
    assert_eq!((again.mark, again.known), (first.mark, vec![first.mark]));
    let next = meta.witness(NODE, &[first.mark], NOTHING, true).await.unwrap();
    assert_eq!((next.mark.number, next.known), (2, vec![first.mark]));
    let strange = Mark { tag: uuid::Uuid::new_v4(), ..first.mark };
    let asked = [strange, next.mark, Mark { number: 7, ..first.mark }, first.mark];
    let answer = meta.witness(NODE, &asked, NOTHING, false).await.unwrap();
    assert_eq!(answer.known, [next.mark, first.mark]);
    assert!(meta.is_recent(first.mark).await.unwrap());
    assert!(!meta.is_recent(strange).await.unwrap());
}

/// Whatever was committed since the newest mark may be lost with a promotion, however short the time.
#[tokio::test]
async fn f14_marks_of_before_a_promotion_are_unknown() {
    let (pg, _) = super::pg().await;
    let before = pg.witness(NODE, &[], NOTHING, false).await.unwrap().mark;
    assert!(pg.is_recent(before).await.unwrap());
    // As if the database were promoted now.
    let promoted = "update mark set timeline = timeline - 1";
    sqlx::raw_sql(promoted).execute(pg.pool()).await.unwrap();
    assert!(!pg.is_recent(before).await.unwrap());
    let answer = pg.witness(NODE, &[before], NOTHING, false).await.unwrap();
    assert_eq!((answer.mark.number, answer.known), (before.number + 1, vec![]));
    let again = pg.witness(NODE, &[answer.mark, before], NOTHING, false).await.unwrap();
    assert_eq!((again.mark, again.known), (answer.mark, vec![answer.mark]));
}

async fn what_nodes_keep_is_listed_and_given_up(meta: &dyn Meta) {
    let told = |kept| meta.witness(NODE, &[], CopyNumber(kept), false);
    told(0).await.unwrap();
    assert_eq!(meta.quarantines().await.unwrap(), []);
    told(50).await.unwrap();
    meta.count_quarantine(NODE, CopyNumber(50), 7, 700).await.unwrap();
    meta.count_quarantine(NODE, CopyNumber(49), 0, 0).await.unwrap();
    meta.count_quarantine(NodeNumber(4), CopyNumber(50), 1, 1).await.unwrap();
    told(50).await.unwrap();
    let row = meta.quarantines().await.unwrap().remove(0);
    assert_eq!(
        (row.node, row.kept, row.chunks, row.bytes),
        (NODE, CopyNumber(50), Some(7), Some(700))
    );
    assert!((0.0..60.0).contains(&row.for_s));
    told(60).await.unwrap();
    assert_eq!(meta.quarantines().await.unwrap()[0].chunks, None, "to be counted anew");
    assert!(!meta.release_quarantine(NODE, CopyNumber(50)).await.unwrap(), "not what was seen");
    assert!(!meta.release_quarantine(NodeNumber(4), NOTHING).await.unwrap());
    assert!(meta.release_quarantine(NODE, CopyNumber(60)).await.unwrap());
    assert_eq!(told(60).await.unwrap().released, CopyNumber(60));
    told(0).await.unwrap();
    assert_eq!(meta.quarantines().await.unwrap(), []);
}
