//! Commits and look-ups that share one call: each item gets its own answer, and none suffers for
//! another.

use super::super::conformance::fixture::{Fixture, OWNER, body, content, done};
use super::super::testing::{TestDatabase, fresh_database};
use super::super::types::{BodyId, BodySource, Commit, CommitOutcome, Found, WriteCondition};
use super::super::{Meta, MetaError, Result};
use super::Pg;
use super::connect::{Line, TRUSTED_IDLE};
use super::object::commit::{Item, call, extents};
use super::together::Together;
use futures::future::join_all;
use std::time::{Duration, Instant};

/// One call for all of these commits.
async fn together(database: &TestDatabase, commits: &[Commit]) -> Vec<Result<CommitOutcome>> {
    let items = commits.iter().map(|commit| Item::new(commit.clone()).unwrap());
    Item::call(&mut Line::new(database.pg.pool()), items.collect()).await
}

fn commits(fixture: &Fixture<'_>, keys: &[&str]) -> Vec<Commit> {
    keys.iter().map(|key| fixture.commit(key, &format!("etag of {key}"))).collect()
}

fn body_of(commit: &Commit) -> BodyId {
    let BodySource::New(body) = &commit.body else { panic!("new bytes") };
    body.id
}

#[tokio::test]
async fn every_item_of_a_call_is_stored_as_if_alone() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let (_, replaced) = fixture.put("c", "before").await;
    let commits = commits(&fixture, &["d", "a", "c", "b"]);
    for answer in together(&database, &commits).await {
        done(answer.unwrap());
    }
    for commit in &commits {
        let found = database.pg.find("bucket", &commit.key, None).await.unwrap();
        let version = found.version.unwrap();
        assert_eq!(version.body, Some(body_of(commit)), "{}", commit.key);
        assert_eq!(version.content.unwrap().etag, format!("etag of {}", commit.key));
        assert_eq!(found.extents.len(), 1);
    }
    assert_eq!(fixture.freed().await, [replaced].into());
}

#[tokio::test]
async fn an_item_that_can_not_be_stored_fails_alone() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let mut commits = commits(&fixture, &["a", "b", "c"]);
    // A body that is resolved as "never committed" may be refused at any time, by its row.
    let lost = body_of(&commits[1]);
    sqlx::query("insert into body (id, refs, freed_at) values ($1, 0, now())")
        .bind(lost.0)
        .execute(database.pg.pool())
        .await
        .unwrap();
    let answers = together(&database, &commits).await;
    assert!(answers[1].is_err(), "{:?}", answers[1]);
    assert_eq!(fixture.etag("b").await, None);
    commits.remove(1);
    for (commit, answer) in commits.iter().zip([&answers[0], &answers[2]]) {
        assert!(matches!(answer, Ok(CommitOutcome::Done { .. })), "{answer:?}");
        assert_eq!(fixture.etag(&commit.key).await, Some(format!("etag of {}", commit.key)));
    }
}

#[tokio::test]
async fn an_ended_lease_refuses_the_whole_call() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    database.pg.end_lease(fixture.lease).await.unwrap();
    let answers = together(&database, &commits(&fixture, &["a", "b"])).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(MetaError::LeaseEnded))));
    assert_eq!(fixture.etag("a").await, None);
}

#[tokio::test]
async fn a_key_that_is_held_elsewhere_holds_nobody_else_up_for_long() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    // The placement is there already: a new one is waited for by all who need it.
    fixture.put("earlier", "earlier").await;
    let mut held = database.pg.pool().begin().await.unwrap();
    let items = [Item::new(fixture.commit("k3", "held")).unwrap()];
    call(&mut held, &items, &extents(&items).unwrap()).await.unwrap();
    let start = Instant::now();
    let keys = ["k0", "k1", "k2", "k3", "k4", "k5"];
    let asked = keys.map(|key| database.pg.commit(fixture.commit(key, "new")));
    let answers = join_all(asked).await;
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    for (key, answer) in keys.iter().zip(answers) {
        if *key == "k3" {
            assert!(matches!(answer, Err(MetaError::Unavailable(_))), "{answer:?}");
        } else {
            done(answer.unwrap());
        }
    }
    held.commit().await.unwrap();
    assert_eq!(fixture.etag("k3").await, Some("held".to_owned()));
}

/// Two keys share each of two bodies; two calls overwrite them in opposite orders, which locks
/// the bodies crosswise.
#[tokio::test]
async fn crossing_calls_both_go_through() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    for round in 0..20 {
        let mut bodies = Vec::new();
        for (key, copy) in [("a1", "a2"), ("b1", "b2")] {
            let (_, body) = fixture.put(key, "shared").await;
            let shared = Commit {
                body: BodySource::Shared(body),
                content: content(100, "shared"),
                condition: WriteCondition::default(),
                ..fixture.commit(copy, "shared")
            };
            done(database.pg.commit(shared).await.unwrap());
            bodies.push(body);
        }
        let (one, other) = (commits(&fixture, &["a1", "b1"]), commits(&fixture, &["b2", "a2"]));
        let (one, other) = tokio::join!(together(&database, &one), together(&database, &other));
        for answer in one.into_iter().chain(other) {
            done(answer.unwrap());
        }
        let freed = fixture.freed().await;
        assert!(bodies.iter().all(|body| freed.contains(body)), "round {round}");
    }
}

#[tokio::test]
async fn every_look_up_of_a_call_is_answered_for_itself() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    fixture.put("small", "one").await;
    let new = body(fixture.lease, &[10, 20, 30]);
    let (large, body) = (new.id, BodySource::New(new));
    done(database.pg.commit(Commit { body, ..fixture.commit("large", "two") }).await.unwrap());
    database.pg.create_bucket("empty", OWNER).await.unwrap();
    let asked = [
        ("bucket", "small"),
        ("bucket", "absent"),
        ("gone", "small"),
        ("bucket", "large"),
        ("empty", "small"),
        ("bucket", "small"),
        ("no\0name", "small"),
    ];
    let asked = asked.map(|(bucket, key)| database.pg.find(bucket, key, None));
    let [small, absent, gone, found, empty, again, unnamed] =
        join_all(asked).await.try_into().unwrap_or_else(|_| panic!("seven answers"));
    let etag = |found: Result<Found>| found.unwrap().version.unwrap().content.unwrap().etag;
    assert_eq!((etag(small), etag(again)), ("one".to_owned(), "one".to_owned()));
    assert_eq!(absent.unwrap().version, None);
    assert!(matches!(gone, Err(MetaError::NoSuchBucket)), "{gone:?}");
    assert!(matches!(unnamed, Err(MetaError::NoSuchBucket)), "{unnamed:?}");
    let empty = empty.unwrap();
    assert_eq!((empty.bucket.name.as_str(), empty.version), ("empty", None));
    let found = found.unwrap();
    assert_eq!(found.extents.iter().map(|extent| extent.start).collect::<Vec<_>>(), [0, 10, 30]);
    assert_eq!(found.version.unwrap().body, Some(large));
}

/// A look-up may share the statement of others only if that begins after it was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_look_up_in_a_crowd_sees_what_was_committed_before_it() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    let writers = (0..16).map(|writer| {
        let (fixture, pg) = (&fixture, &database.pg);
        async move {
            for round in 0..20 {
                let (key, etag) = (format!("key {writer}"), format!("round {round}"));
                done(pg.commit(fixture.commit(&key, &etag)).await.unwrap());
                assert_eq!(fixture.etag(&key).await, Some(etag));
            }
        }
    });
    join_all(writers).await;
}

/// Idle runners keep a connection for a while; the pool must not wait for it.
#[tokio::test]
async fn idle_connections_do_not_hold_the_end_up() {
    let database = fresh_database().await;
    let fixture = Fixture::new(&database.pg).await;
    fixture.put("key", "one").await;
    assert_eq!(fixture.etag("key").await, Some("one".to_owned()));
    tokio::time::sleep(TRUSTED_IDLE * 2).await;
    fixture.put("key", "two").await;
    assert_eq!(fixture.etag("key").await, Some("two".to_owned()));
    // A busy machine may hold up any of them, not all.
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let pg = Pg::open(&database.url, 2).unwrap();
        pg.find("bucket", "key", None).await.unwrap();
        let start = Instant::now();
        pg.pool().close().await;
        shortest = shortest.min(start.elapsed());
    }
    assert!(shortest < TRUSTED_IDLE / 2, "{shortest:?}");
}
