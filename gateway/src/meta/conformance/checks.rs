//! What is asked of checks, how they go on, what they find, and whose it is.

use super::fixture::Fixture;
use crate::meta::Meta;
use crate::meta::checks::{Checks, NAMES_PER_FINDING};
use crate::meta::types::{
    BodyId, BodySource, Checked, ChunkSet, Finding, FoundName, NameCursor, Named, Outcome,
    VersionId,
};
use sixfold_proto::name::{ExtentId, LeaseId, NodeNumber};
use std::collections::BTreeSet;

fn finding(extent: ExtentId) -> Finding {
    Finding {
        extent,
        absent: ChunkSet(0b101),
        known: ChunkSet(0b10),
        is_crowded: true,
        is_lost: true,
        placement: [1, 2, 3, 4, 5, 5].map(NodeNumber),
        outcome: Outcome::Open,
    }
}

fn finding_of(low: u64) -> Finding {
    finding(ExtentId::new(LeaseId(9), low))
}

/// A check that has found extents.
async fn found<M: Checks>(meta: &M, findings: &[Finding]) -> i64 {
    let run = meta.ask_check(false).await.unwrap().unwrap();
    let row = meta.check(run).await.unwrap().unwrap();
    assert!(meta.step_check(&row, "{}", false, findings).await.unwrap());
    run
}

pub(super) async fn does_one_after_the_other<M: Meta + Checks>(meta: &M) {
    assert_eq!(meta.next_check().await.unwrap(), None);
    let first = meta.ask_check(true).await.unwrap().unwrap();
    let second = meta.ask_check(false).await.unwrap().unwrap();
    let row = meta.next_check().await.unwrap().unwrap();
    assert_eq!((row.id, row.heals, row.step, row.is_done), (first, true, 0, false));
    assert_eq!(row.state, "{}");
    assert!(meta.step_check(&row, "{\"x\":1}", false, &[]).await.unwrap());
    assert!(!meta.step_check(&row, "{\"x\":2}", true, &[finding_of(1)]).await.unwrap(), "late");
    let row = meta.next_check().await.unwrap().unwrap();
    assert_eq!((row.id, row.step, &*row.state), (first, 1, "{\"x\":1}"));
    assert_eq!(meta.findings(first, false, None, 9).await.unwrap(), []);
    assert!(meta.step_check(&row, "{}", true, &[]).await.unwrap());
    let row = meta.check(first).await.unwrap().unwrap();
    assert!(row.is_done && !meta.step_check(&row, "{}", true, &[]).await.unwrap());
    assert_eq!(meta.next_check().await.unwrap().unwrap().id, second);
    meta.withdraw_check(first).await.unwrap();
    meta.withdraw_check(second).await.unwrap();
    assert_eq!(meta.next_check().await.unwrap(), None);
    assert!(meta.check(first).await.unwrap().is_some(), "what was begun stays");
    assert_eq!(meta.check(second).await.unwrap(), None);
}

pub(super) async fn keeps_a_bounded_number<M: Meta + Checks>(meta: &M) {
    let mut asked = Vec::new();
    while let Some(run) = meta.ask_check(false).await.unwrap() {
        asked.push(run);
    }
    assert_eq!(asked.len(), 16);
    for run in &asked {
        let row = meta.check(*run).await.unwrap().unwrap();
        assert!(meta.step_check(&row, "{}", true, &[finding_of(1)]).await.unwrap());
    }
    meta.ask_check(false).await.unwrap().unwrap();
    assert_eq!(meta.check(asked[0]).await.unwrap(), None, "the oldest");
    assert_eq!(meta.findings(asked[0], false, None, 9).await.unwrap(), []);
    assert!(meta.check(asked[1]).await.unwrap().is_some());
    assert_eq!(meta.findings(asked[1], false, None, 9).await.unwrap().len(), 1);
}

pub(super) async fn walks_by_extent<M: Meta + Checks>(meta: &M) {
    let fixture = Fixture::new(meta).await;
    let (_, freed) = fixture.put("freed", "e").await;
    let (_, kept) = fixture.put("kept", "e").await;
    meta.delete(&fixture.bucket, "freed", None, None).await.unwrap();
    let all = meta.extents_by_id(None, 9).await.unwrap();
    assert!(all.is_sorted_by_key(|row| row.extent.id));
    let bodies = all.iter().map(|row| (row.body, row.is_freed)).collect::<BTreeSet<_>>();
    assert_eq!(bodies, BTreeSet::from([(freed, true), (kept, false)]));
    let first = meta.extents_by_id(None, 1).await.unwrap();
    let second = meta.extents_by_id(Some(first[0].extent.id), 1).await.unwrap();
    assert_eq!([first, second].concat(), all);
    let last = &all[1];
    assert_eq!(meta.extents_by_id(Some(last.extent.id), 9).await.unwrap(), []);
    let asked = [last.extent.id, ExtentId(7)];
    assert_eq!(meta.extents_of(&asked).await.unwrap(), std::slice::from_ref(last));
    meta.extent_count().await.unwrap();
}

pub(super) async fn keeps_findings<M: Meta + Checks>(meta: &M) {
    let all = [1, 2, 3].map(finding_of);
    let run = found(meta, &all).await;
    let other = found(meta, &[finding_of(2)]).await;
    assert_eq!(meta.findings(run, false, None, 9).await.unwrap(), all);
    let behind = meta.findings(run, false, Some(all[0].extent), 1).await.unwrap();
    assert_eq!(behind, [all[1]]);
    let settled = [(all[0].extent, Outcome::Healed), (all[2].extent, Outcome::Waits)];
    meta.settle_findings(run, &settled).await.unwrap();
    meta.settle_findings(run, &[]).await.unwrap();
    assert_eq!(meta.findings(run, true, None, 9).await.unwrap(), [all[1]]);
    let outcomes = meta.findings(run, false, None, 9).await.unwrap();
    let outcomes = outcomes.iter().map(|finding| finding.outcome).collect::<Vec<_>>();
    assert_eq!(outcomes, [Outcome::Healed, Outcome::Open, Outcome::Waits]);
    assert_eq!(meta.findings(other, true, None, 9).await.unwrap().len(), 1);
    // A unit of work that is done again finds the same once.
    let row = meta.check(run).await.unwrap().unwrap();
    assert!(meta.step_check(&row, "{}", false, &all).await.unwrap());
    assert_eq!(meta.findings(run, false, None, 9).await.unwrap().len(), 3);
}

async fn extents_of_body<M: Checks>(meta: &M, body: BodyId) -> Vec<ExtentId> {
    let all = meta.extents_by_id(None, 1000).await.unwrap().into_iter();
    all.filter(|row: &Checked| row.body == body).map(|row| row.extent.id).collect()
}

/// Names everything, so many names at a time.
async fn name_all<M: Checks>(meta: &M, run: i64, limit: usize) {
    let mut next = Some(NameCursor::start());
    while let Some(after) = next {
        next = meta.name_findings(run, &after, limit).await.unwrap();
    }
}

pub(super) async fn names_what_it_found<M: Meta + Checks>(meta: &M) {
    let fixture = Fixture::versioned(meta).await;
    let (old, old_body) = fixture.put("a", "e").await;
    let (middle, middle_body) = fixture.put("a", "e").await;
    let (new, new_body) = fixture.put("a", "e").await;
    fixture.put("whole", "e").await;
    let mut copy = fixture.commit("copy", "e");
    copy.body = BodySource::Shared(old_body);
    let copied = super::fixture::done(meta.commit(copy).await.unwrap());
    let upload = fixture.start_upload("u").await;
    let part = fixture.put_part(upload, 7, "e", &[5]).await.unwrap();
    let mut extents = Vec::new();
    for body in [old_body, middle_body, new_body, part] {
        extents.push(extents_of_body(meta, body).await[0]);
    }
    for limit in [1, 2, 100] {
        let run = found(meta, &extents.iter().map(|e| finding(*e)).collect::<Vec<_>>()).await;
        name_all(meta, run, limit).await;
        name_all(meta, run, limit).await;
        let names = meta.finding_names(run, &extents).await.unwrap();
        assert!(names.is_sorted_by_key(|(extent, _)| *extent));
        let name = |extent: usize, key: &str, what: Named| {
            let (bucket, key) = ("bucket".to_owned(), key.to_owned());
            (extents[extent], FoundName { bucket, key, what })
        };
        let expected = [
            name(0, "a", Named::Noncurrent(old)),
            name(0, "copy", Named::Current(copied)),
            name(1, "a", Named::Noncurrent(middle)),
            name(2, "a", Named::Current(new)),
            name(3, "u", Named::Part(upload, 7)),
        ];
        assert_eq!(names.len(), expected.len(), "{limit} at a time: {names:?}");
        assert!(expected.iter().all(|name| names.contains(name)), "{limit} at a time: {names:?}");
    }
}

pub(super) async fn names_a_bounded_number<M: Meta + Checks>(meta: &M) {
    let fixture = Fixture::new(meta).await;
    let (_, shared) = fixture.put("a", "e").await;
    for number in 0..=NAMES_PER_FINDING {
        let mut copy = fixture.commit(&number.to_string(), "e");
        copy.body = BodySource::Shared(shared);
        meta.commit(copy).await.unwrap();
    }
    let extents = extents_of_body(meta, shared).await;
    let run = found(meta, &[finding(extents[0])]).await;
    name_all(meta, run, 1000).await;
    let names = meta.finding_names(run, &extents).await.unwrap();
    assert_eq!(names.len(), NAMES_PER_FINDING);
}

/// Completing an upload gives the extents of its parts to another body.
pub(super) async fn names_what_was_completed_since<M: Meta + Checks>(meta: &M) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("u").await;
    let part = fixture.put_part(upload, 1, "e", &[5]).await.unwrap();
    let extents = extents_of_body(meta, part).await;
    let run = found(meta, &[finding(extents[0])]).await;
    meta.complete(fixture.completion(upload, "u", &[(1, "e")], 5)).await.unwrap();
    name_all(meta, run, 1000).await;
    let names = meta.finding_names(run, &extents).await.unwrap();
    let what = Named::Current(VersionId::Null);
    let name = FoundName { bucket: "bucket".to_owned(), key: "u".to_owned(), what };
    assert_eq!(names, [(extents[0], name)]);
    meta.delete(&fixture.bucket, "u", None, None).await.unwrap();
    assert!(meta.extents_of(&extents).await.unwrap()[0].is_freed);
}
