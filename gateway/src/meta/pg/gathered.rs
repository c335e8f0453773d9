//! Commits that share one call: each item gets its own answer, and none suffers for another.

use super::super::conformance::fixture::{Fixture, content, done};
use super::super::testing::{TestDatabase, fresh_database};
use super::super::types::{BodyId, BodySource, Commit, CommitOutcome, WriteCondition};
use super::super::{Meta, MetaError, Result};
use super::object::commit::{Item, call, extents};
use super::together::Together;
use futures::future::join_all;
use std::time::{Duration, Instant};

/// One call for all of these commits.
async fn together(database: &TestDatabase, commits: &[Commit]) -> Vec<Result<CommitOutcome>> {
    let items = commits.iter().map(|commit| Item::new(commit.clone()).unwrap());
    Item::call(database.pg.pool(), items.collect()).await
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
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
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
