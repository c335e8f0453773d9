//! Every two transactions that can meet, on two connections. The first is held open after its
//! work; the second must wait for it, and then see what it did. Where both orders matter, both
//! are shown.

use super::super::conformance::fixture::{Fixture, body, done, if_none_match, part, query};
use super::super::testing::{TestDatabase, fresh_database};
use super::super::types::{
    BodySource, Bucket, Commit, CommitOutcome, CompleteOutcome, DeleteCondition, DeleteOutcome,
    PartOutcome, TagOutcome, Tags, UploadId, VersionId, Versioning,
};
use super::super::{Meta, MetaError};
use super::CALL_LIMIT;
use super::columns::{key_lock, lease_number};
use super::object::commit;
use super::resolve::has_committed;
use super::upload::{complete, part as upload_part};
use sixfold_proto::name::LeaseId;
use sqlx::{Executor, PgConnection, Postgres, Transaction};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Long enough for a statement that does not wait to be done.
const WAITS: Duration = Duration::from_millis(250);

async fn begin(database: &TestDatabase) -> Transaction<'static, Postgres> {
    database.pg.pool().begin().await.unwrap()
}

/// Starts the second transaction and makes sure that it waits for the first.
async fn waiting<F>(second: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let task = tokio::spawn(second);
    tokio::time::sleep(WAITS).await;
    assert!(!task.is_finished(), "the second transaction did not wait for the first");
    task
}

/// A commit in an open transaction.
async fn hold_commit(held: &mut PgConnection, new: &Commit) {
    let items = [commit::Item::new(new.clone()).unwrap()];
    let extents = commit::extents(&items).unwrap();
    let rows = commit::call(held, &items, &extents).await.unwrap();
    assert_eq!(rows[0].outcome, "done");
}

async fn hold_delete(held: &mut PgConnection, bucket: &Bucket, key: &str) {
    sqlx::query("select delete_v1($1, $2, $3, $4, false, null, $5, null, null, null)")
        .bind(bucket.id.0)
        .bind(bucket.config_epoch)
        .bind(key.as_bytes())
        .bind(key_lock(bucket.id.0, key))
        .bind(Uuid::new_v4())
        .execute(held)
        .await
        .unwrap();
}

async fn hold_delete_bucket(held: &mut PgConnection, bucket: &Bucket) {
    let query = sqlx::query("select delete_bucket_v1($1)").bind(bucket.id.0);
    query.execute(held).await.unwrap();
}

async fn hold_end_lease(held: &mut PgConnection, lease: LeaseId) {
    let query = sqlx::query("delete from lease where id = $1").bind(lease_number(lease));
    query.execute(held).await.unwrap();
}

async fn hold_abort(held: &mut PgConnection, bucket: &Bucket, key: &str, upload: UploadId) {
    let query = sqlx::query("select abort_upload_v1($1, $2, $3)");
    let query = query.bind(bucket.id.0).bind(key.as_bytes()).bind(upload.0);
    query.execute(held).await.unwrap();
}

/// An upload of `key` with one part of four bytes, and its completion.
async fn prepare_upload(fixture: &Fixture<'_>) -> super::super::types::Completion {
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[4]).await;
    fixture.completion(upload, "key", &[(1, "e1")], 4)
}

async fn hold_complete(held: &mut PgConnection, completion: &super::super::types::Completion) {
    let columns = complete::Columns::of(completion).unwrap();
    let row = complete::call(held, completion, &columns).await.unwrap();
    assert_eq!(row.outcome, "done");
}

#[tokio::test]
async fn two_commits_of_a_key_come_one_after_the_other() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    let first = fixture.commit("key", "first");
    hold_commit(&mut held, &first).await;
    let (pg, second) = (database.pg.clone(), fixture.commit("key", "second"));
    let second = waiting(async move { pg.commit(second).await }).await;
    held.commit().await.unwrap();
    done(second.await.unwrap().unwrap());
    let found = database.pg.find("bucket", "key", None).await.unwrap().version.unwrap();
    assert_eq!((found.seq, found.content.unwrap().etag.as_str()), (2, "second"));
    let BodySource::New(first) = first.body else { panic!("new bytes") };
    assert_eq!(fixture.freed().await, [first.id].into());
}

#[tokio::test]
async fn two_commits_of_a_key_make_two_versions() {
    let database = fresh_database().await;
    let fixture = Fixture::versioned(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let (pg, second) = (database.pg.clone(), fixture.commit("key", "second"));
    let second = waiting(async move { pg.commit(second).await }).await;
    held.commit().await.unwrap();
    done(second.await.unwrap().unwrap());
    let all = database.pg.list_versions(fixture.bucket.id, &query("", None, 10), None).await;
    let shown = all.unwrap().entries.into_iter();
    let shown = shown.map(|version| (version.seq, version.is_current, version.content.unwrap()));
    let shown: Vec<_> = shown.map(|(seq, is_current, had)| (seq, is_current, had.etag)).collect();
    assert_eq!(shown, [(2, true, "second".to_owned()), (1, false, "first".to_owned())]);
    assert_eq!(fixture.freed().await, [].into());
}

/// A write that was decided while the bucket kept no versions is done before it keeps them.
#[tokio::test]
async fn versioning_is_enabled_behind_the_commits_before() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let (pg, bucket) = (database.pg.clone(), fixture.bucket.id);
    let enabled =
        waiting(async move { pg.set_versioning(bucket, Versioning::Enabled).await }).await;
    held.commit().await.unwrap();
    enabled.await.unwrap().unwrap();
    let late = database.pg.commit(fixture.commit("key", "second")).await;
    assert!(matches!(late, Err(MetaError::BucketChanged)), "{late:?}");
    assert_eq!(fixture.etag_of("key", Some(VersionId::Null)).await, Some("first".to_owned()));
}

#[tokio::test]
async fn a_version_is_deleted_behind_the_commit_above_it() {
    let database = fresh_database().await;
    let fixture = Fixture::versioned(&database.pg).await;
    let (first, first_body) = fixture.put("key", "first").await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "second")).await;
    let (pg, bucket) = (database.pg.clone(), fixture.bucket.clone());
    let deleted = waiting(async move { pg.delete(&bucket, "key", Some(first), None).await }).await;
    held.commit().await.unwrap();
    let expected = DeleteOutcome::Deleted { version: first, was_marker: false };
    assert_eq!(deleted.await.unwrap().unwrap(), expected);
    assert_eq!(fixture.etag("key").await, Some("second".to_owned()));
    assert_eq!(fixture.freed().await, [first_body].into());
}

#[tokio::test]
async fn a_conditional_commit_sees_the_one_it_waited_for() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let (pg, second) = (database.pg.clone(), fixture.commit("key", "second"));
    let second = Commit { condition: if_none_match("*"), ..second };
    let second = waiting(async move { pg.commit(second).await }).await;
    held.commit().await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), CommitOutcome::PreconditionFailed);
    assert_eq!(fixture.etag("key").await, Some("first".to_owned()));
}

#[tokio::test]
async fn a_crowd_on_one_key_gets_answers_in_time() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let start = Instant::now();
    let conditional = Commit { condition: if_none_match("*"), ..fixture.commit("key", "second") };
    let (conditional, plain) = tokio::join!(
        database.pg.commit(conditional),
        database.pg.commit(fixture.commit("key", "third"))
    );
    assert_eq!(conditional.unwrap(), CommitOutcome::Conflict);
    assert!(matches!(plain, Err(MetaError::Unavailable(_))), "{plain:?}");
    assert!(start.elapsed() < CALL_LIMIT * 3);
}

#[tokio::test]
async fn a_conditional_delete_sees_the_commit_it_waited_for() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    fixture.put("key", "first").await;
    let wanted = DeleteCondition { if_match: Some("first".to_owned()), ..Default::default() };
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "second")).await;
    let crowded = database.pg.delete(&fixture.bucket, "key", None, Some(&wanted)).await;
    assert_eq!(crowded.unwrap(), DeleteOutcome::Conflict);
    let (pg, bucket) = (database.pg.clone(), fixture.bucket.clone());
    let deleted =
        waiting(async move { pg.delete(&bucket, "key", None, Some(&wanted)).await }).await;
    held.commit().await.unwrap();
    assert_eq!(deleted.await.unwrap().unwrap(), DeleteOutcome::PreconditionFailed);
    assert_eq!(fixture.etag("key").await, Some("second".to_owned()));
}

/// A row that is being moved keeps the tags that it had; the new ones are the new version's.
#[tokio::test]
async fn tags_are_set_behind_the_commit_they_waited_for() {
    let database = fresh_database().await;
    let fixture = Fixture::versioned(&database.pg).await;
    let (first, _) = fixture.put("key", "first").await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "second")).await;
    let (pg, bucket) = (database.pg.clone(), fixture.bucket.id);
    let tags = Tags::from([("k".to_owned(), "v".to_owned())]);
    let set = tags.clone();
    let tagged = waiting(async move { pg.set_tags(bucket, "key", None, &set).await }).await;
    held.commit().await.unwrap();
    let outcome = tagged.await.unwrap().unwrap();
    assert!(matches!(outcome, TagOutcome::Done { version } if version != first), "{outcome:?}");
    for (version, expected) in [(None, tags), (Some(first), Tags::new())] {
        let found = database.pg.find("bucket", "key", version).await.unwrap().version.unwrap();
        assert_eq!(found.content.unwrap().tags, expected);
    }
}

#[tokio::test]
async fn f17_sixteen_if_none_match_store_one_object() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let pg = database.pg.clone();
            let commit = fixture.commit("key", &number.to_string());
            let commit = Commit { condition: if_none_match("*"), ..commit };
            tokio::spawn(async move { pg.commit(commit).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match task.await.unwrap() {
            CommitOutcome::Done { .. } => stored += 1,
            outcome => assert_eq!(outcome, CommitOutcome::PreconditionFailed),
        }
    }
    assert_eq!(stored, 1);
    assert_eq!(fixture.freed().await, [].into());
}

#[tokio::test]
async fn a_bucket_is_not_deleted_under_a_commit() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let (pg, bucket) = (database.pg.clone(), fixture.bucket.id);
    let delete = waiting(async move { pg.delete_bucket(bucket).await }).await;
    held.commit().await.unwrap();
    let delete = delete.await.unwrap();
    assert!(matches!(delete, Err(MetaError::BucketNotEmpty)), "{delete:?}");
    assert_eq!(fixture.etag("key").await, Some("first".to_owned()));
}

#[tokio::test]
async fn a_commit_does_not_slip_into_a_bucket_that_goes() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_delete_bucket(&mut held, &fixture.bucket).await;
    let (pg, commit) = (database.pg.clone(), fixture.commit("key", "first"));
    let commit = waiting(async move { pg.commit(commit).await }).await;
    held.commit().await.unwrap();
    let commit = commit.await.unwrap();
    assert!(matches!(commit, Err(MetaError::NoSuchBucket)), "{commit:?}");
    let left: i64 = sqlx::query_scalar("select count(*) from object")
        .fetch_one(database.pg.pool())
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_upload_does_not_slip_into_a_bucket_that_goes() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let upload = prepare_upload(&fixture).await.upload;
    let bucket = fixture.bucket.clone();
    let upload = database.pg.upload(bucket.id, "key", upload).await.unwrap().unwrap();
    let mut held = begin(&database).await;
    hold_delete_bucket(&mut held, &bucket).await;
    let pg = database.pg.clone();
    let create = waiting(async move { pg.create_upload(&bucket, upload).await }).await;
    held.commit().await.unwrap();
    let create = create.await.unwrap();
    assert!(matches!(create, Err(MetaError::NoSuchBucket)), "{create:?}");
}

#[tokio::test]
async fn f15_ending_a_lease_waits_for_the_commits_under_it() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let (pg, lease) = (database.pg.clone(), fixture.lease);
    let end = waiting(async move { pg.end_lease(lease).await }).await;
    held.commit().await.unwrap();
    end.await.unwrap().unwrap();
    assert_eq!(fixture.etag("key").await, Some("first".to_owned()));
}

#[tokio::test]
async fn f15_a_commit_under_a_lease_that_ends_is_refused() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_end_lease(&mut held, fixture.lease).await;
    let (pg, commit) = (database.pg.clone(), fixture.commit("key", "first"));
    let commit = waiting(async move { pg.commit(commit).await }).await;
    held.commit().await.unwrap();
    let commit = commit.await.unwrap();
    assert!(matches!(commit, Err(MetaError::LeaseEnded)), "{commit:?}");
    assert_eq!(fixture.etag("key").await, None);
}

#[tokio::test]
async fn a_renewal_does_not_wait_for_commits() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &fixture.commit("key", "first")).await;
    let renewal = database.pg.renew_lease(fixture.lease, None);
    tokio::time::timeout(WAITS, renewal).await.expect("no wait").unwrap();
}

#[tokio::test]
async fn f20_of_complete_and_abort_one_happens() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let completion = prepare_upload(&fixture).await;
    let (bucket, upload) = (fixture.bucket.id, completion.upload);
    let mut held = begin(&database).await;
    hold_complete(&mut held, &completion).await;
    let pg = database.pg.clone();
    let abort = waiting(async move { pg.abort_upload(bucket, "key", upload).await }).await;
    held.commit().await.unwrap();
    assert!(!abort.await.unwrap().unwrap());
    assert_eq!(fixture.etag("key").await, Some("whole-2".to_owned()));

    let completion = prepare_upload(&fixture).await;
    let mut held = begin(&database).await;
    hold_abort(&mut held, &fixture.bucket, "key", completion.upload).await;
    let pg = database.pg.clone();
    let complete = waiting(async move { pg.complete(completion).await }).await;
    held.commit().await.unwrap();
    assert_eq!(complete.await.unwrap().unwrap(), CompleteOutcome::NoSuchUpload);
}

#[tokio::test]
async fn f21_two_completions_answer_the_same() {
    let database = fresh_database().await;
    let fixture = Fixture::versioned(&database.pg).await;
    let completion = prepare_upload(&fixture).await;
    let mut held = begin(&database).await;
    hold_complete(&mut held, &completion).await;
    let (pg, again) = (database.pg.clone(), completion.clone());
    let second = waiting(async move { pg.complete(again).await }).await;
    held.commit().await.unwrap();
    let second = second.await.unwrap().unwrap();
    let first = database.pg.complete(completion).await.unwrap();
    assert!(matches!(first, CompleteOutcome::Done { .. }), "{first:?}");
    assert_eq!(first, second);
    assert_eq!(fixture.freed().await, [].into(), "one version, no part freed");
}

#[tokio::test]
async fn f21_a_part_is_in_the_completion_or_refused() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let completion = prepare_upload(&fixture).await;
    let mut held = begin(&database).await;
    let (new, bytes) = (part(1, "e2", 4), body(fixture.lease, &[4]));
    let row =
        upload_part::PartRow::of(fixture.lease, completion.upload, &new, Some(&bytes)).unwrap();
    assert!(upload_part::call(&mut held, &row).await.unwrap().is_some());
    let (pg, old_list) = (database.pg.clone(), completion.clone());
    let complete = waiting(async move { pg.complete(old_list).await }).await;
    held.commit().await.unwrap();
    assert_eq!(complete.await.unwrap().unwrap(), CompleteOutcome::PartsChanged);

    let completion = fixture.completion(completion.upload, "key", &[(1, "e2")], 4);
    let mut held = begin(&database).await;
    hold_complete(&mut held, &completion).await;
    let (pg, lease, upload) = (database.pg.clone(), fixture.lease, completion.upload);
    let late = waiting(async move {
        let bytes = body(lease, &[4]);
        pg.commit_part(lease, upload, part(1, "e3", 4), Some(bytes)).await
    });
    let late = late.await;
    held.commit().await.unwrap();
    assert_eq!(late.await.unwrap().unwrap(), PartOutcome::NoSuchUpload);
    assert_eq!(fixture.etag("key").await, Some("whole-2".to_owned()));
}

#[tokio::test]
async fn f21_of_two_equal_parts_the_last_to_finish_stays() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let upload = fixture.start_upload("key").await;
    let mut held = begin(&database).await;
    let (new, bytes) = (part(1, "e1", 4), body(fixture.lease, &[4]));
    let row = upload_part::PartRow::of(fixture.lease, upload, &new, Some(&bytes)).unwrap();
    assert!(upload_part::call(&mut held, &row).await.unwrap().is_some());
    let (pg, lease) = (database.pg.clone(), fixture.lease);
    let second = waiting(async move {
        let bytes = body(lease, &[5]);
        pg.commit_part(lease, upload, part(1, "e2", 5), Some(bytes)).await
    });
    let second = second.await;
    held.commit().await.unwrap();
    assert!(matches!(second.await.unwrap().unwrap(), PartOutcome::Done { .. }));
    let parts = database.pg.parts(upload, 0, 10).await.unwrap().entries;
    assert_eq!((parts.len(), parts[0].etag.as_str()), (1, "e2"));
    assert_eq!(fixture.freed().await, [bytes.id].into());
}

#[tokio::test]
async fn f16_a_copy_shares_the_body_or_finds_it_gone() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let (_, source) = fixture.put("source", "e1").await;
    let share = Commit { body: BodySource::Shared(source), ..fixture.commit("copy", "shared") };
    let mut held = begin(&database).await;
    hold_commit(&mut held, &share).await;
    let (pg, bucket) = (database.pg.clone(), fixture.bucket.clone());
    let delete = waiting(async move { pg.delete(&bucket, "source", None, None).await }).await;
    held.commit().await.unwrap();
    assert!(matches!(delete.await.unwrap().unwrap(), DeleteOutcome::Deleted { .. }));
    assert_eq!(fixture.freed().await, [].into());

    let mut held = begin(&database).await;
    hold_delete(&mut held, &fixture.bucket, "copy").await;
    let (pg, share) = (database.pg.clone(), Commit { key: "other".to_owned(), ..share });
    let share = waiting(async move { pg.commit(share).await }).await;
    held.commit().await.unwrap();
    assert_eq!(share.await.unwrap().unwrap(), CommitOutcome::SourceGone);
    assert_eq!(fixture.freed().await, [source].into());
}

#[tokio::test]
async fn copies_over_each_other_do_not_deadlock() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    for round in 0..20 {
        let (_, one) = fixture.put("one", "e").await;
        let (_, two) = fixture.put("two", "e").await;
        let share = |key: &str, body| Commit {
            body: BodySource::Shared(body),
            ..fixture.commit(key, "shared")
        };
        let (first, second) = tokio::join!(
            database.pg.commit(share("one", two)),
            database.pg.commit(share("two", one))
        );
        for outcome in [first.unwrap(), second.unwrap()] {
            let is_expected =
                matches!(outcome, CommitOutcome::Done { .. } | CommitOutcome::SourceGone);
            assert!(is_expected, "round {round}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn f13_resolving_waits_for_the_lost_commit() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let lost = fixture.commit("key", "lost");
    let BodySource::New(bytes) = &lost.body else { panic!("new bytes") };
    let id = bytes.id;
    let mut held = begin(&database).await;
    hold_commit(&mut held, &lost).await;
    let pool = database.pg.pool().clone();
    let resolved = waiting(async move { has_committed(&pool, id).await }).await;
    held.commit().await.unwrap();
    assert!(resolved.await.unwrap().unwrap());
}

#[tokio::test]
async fn f13_a_resolved_commit_can_never_succeed() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let lost = fixture.commit("key", "lost");
    let BodySource::New(bytes) = &lost.body else { panic!("new bytes") };
    let id = bytes.id;
    assert!(!has_committed(database.pg.pool(), id).await.unwrap());
    let late = database.pg.commit(lost).await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(fixture.etag("key").await, None);
}

#[tokio::test]
async fn f13_a_connection_lost_in_a_commit_is_resolved() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    // Every commit of this key is followed by the end of its connection.
    let pool = database.pg.pool();
    pool.execute(
        "create function cut() returns trigger language plpgsql as $$ begin
            perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
        create constraint trigger cut after insert on object deferrable initially deferred
            for each row execute function cut()",
    )
    .await
    .unwrap();
    let cut = database.pg.commit(fixture.commit("key", "cut")).await;
    assert!(matches!(cut, Err(MetaError::Unavailable(_))), "{cut:?}");
    assert_eq!(fixture.etag("key").await, None);
    pool.execute("drop trigger cut on object").await.unwrap();
    done(database.pg.commit(fixture.commit("key", "again")).await.unwrap());
}
