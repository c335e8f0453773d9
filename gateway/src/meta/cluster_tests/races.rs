//! Two connections to PostgreSQL that meet, and what the role of a node may do.

use super::*;
use sqlx::postgres::PgListener;
use std::time::Instant;

/// Long enough for a call that does not wait to be over.
const A_WHILE: Duration = Duration::from_millis(300);

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Inside a transaction: locks the lease and makes an extent reachable, as a commit does.
async fn commit_by_hand(connection: &mut PgConnection, lease: LeaseId, extent: &Extent) {
    sqlx::query("select lock_lease_v1($1)")
        .bind(lease.0.cast_signed())
        .execute(&mut *connection)
        .await
        .unwrap();
    let body = Uuid::new_v4();
    sqlx::query("select insert_bodies_v1(array[$1], array[$1], array[$2], '{0}', '{10}', '{1}', '{0}', '{1,2,3,4,5,6}')")
        .bind(body)
        .bind(extent.id.to_uuid())
        .execute(&mut *connection)
        .await
        .unwrap();
}

/// A lease that ends waits for a commit under it; until then nothing of it is condemned, and
/// afterwards what the commit made reachable is not.
async fn lease_end_against_commit(is_committed: bool) {
    let (pg, url) = pg().await;
    let lease = pg.begin_lease("test").await.unwrap();
    let extent = extent(lease, Scheme::FourTwo);
    let copy = [(chunk(&extent, 0), lease, CopyNumber(1))];
    let mut connection = connect(&url).await;
    let mut transaction = connection.begin().await.unwrap();
    commit_by_hand(&mut transaction, lease, &extent).await;

    let ending = tokio::spawn({
        let pg = pg.clone();
        async move { pg.end_lease(lease).await }
    });
    tokio::time::sleep(A_WHILE).await;
    assert!(!ending.is_finished(), "the lease ended under a commit");
    assert_eq!(pg.condemned(NodeNumber(1), &copy, NOW).await.unwrap(), [], "still in doubt");
    assert_eq!(pg.end_expired_leases(NOW, 10).await.unwrap(), [], "busy leases are passed over");

    if is_committed {
        transaction.commit().await.unwrap();
    } else {
        transaction.rollback().await.unwrap();
    }
    ending.await.unwrap().unwrap();
    let condemned = pg.condemned(NodeNumber(1), &copy, NOW).await.unwrap();
    assert_eq!(condemned.is_empty(), is_committed);
}

#[tokio::test]
async fn f15_a_lease_ends_after_the_commit_that_saw_it() {
    lease_end_against_commit(true).await;
}

#[tokio::test]
async fn what_a_commit_gave_up_is_condemned_once_its_lease_has_ended() {
    lease_end_against_commit(false).await;
}

/// A copy takes its reference while the source is deleted: the body lives on.
#[tokio::test]
async fn f16_a_body_shared_while_it_is_deleted_is_not_collected() {
    let (pg, url) = pg().await;
    let (bucket, lease) = (bucket(&pg).await, pg.begin_lease("test").await.unwrap());
    put(&pg, lease, &bucket, "source").await;
    let found = pg.find("bucket", "source", None).await.unwrap();
    let body = found.version.unwrap().body.unwrap();

    let mut connection = connect(&url).await;
    let mut copying = connection.begin().await.unwrap();
    let is_shared: bool = sqlx::query_scalar("select share_body_v1($1, $2, 'copy')")
        .bind(body.0)
        .bind(bucket.id.0)
        .fetch_one(&mut *copying)
        .await
        .unwrap();
    assert!(is_shared);
    let deleting = tokio::spawn({
        let (pg, bucket) = (pg.clone(), bucket.clone());
        async move { pg.delete(&bucket, "source", None, None).await }
    });
    tokio::time::sleep(A_WHILE).await;
    copying.commit().await.unwrap();
    deleting.await.unwrap().unwrap();
    pg.renew_lease(lease, None).await.unwrap();
    assert!(pg.freed_bodies(NOW, 10).await.unwrap().is_empty());
}

/// The other order: freed first, then nobody can share it any more.
#[tokio::test]
async fn a_freed_body_cannot_be_shared() {
    let (pg, _) = pg().await;
    let (bucket, lease) = (bucket(&pg).await, pg.begin_lease("test").await.unwrap());
    put(&pg, lease, &bucket, "source").await;
    let found = pg.find("bucket", "source", None).await.unwrap();
    let body = found.version.unwrap().body.unwrap();
    pg.delete(&bucket, "source", None, None).await.unwrap();
    let mut copy = commit_of(lease, &bucket, "copy", extent(lease, Scheme::FourTwo));
    copy.body = BodySource::Shared(body);
    assert_eq!(pg.commit(copy).await.unwrap(), CommitOutcome::SourceGone);
}

/// Bodies of many extents are collected a few at a time, or no statement would end in time.
#[tokio::test]
async fn a_page_of_freed_bodies_has_a_bounded_number_of_extents() {
    let (pg, url) = pg().await;
    let mut connection = connect(&url).await;
    sqlx::raw_sql(
        "insert into placement (nodes) values ('{1,2,3,4,5,6}');
        insert into body (id, refs, freed_at)
            select ('00000000-0000-0000-0000-00000000000' || n)::uuid, 0,
                clock_timestamp() - interval '1 hour' from generate_series(1, 3) n;
        insert into extent (id, body_id, start, size, scheme, placement_id)
            select gen_random_uuid(), b.id, n, 1, 1, p.id
            from body b, placement p, generate_series(0, 11999) n",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let mut counts = Vec::new();
    loop {
        let freed = pg.freed_bodies(NOW, 10).await.unwrap();
        if freed.is_empty() {
            break;
        }
        counts.push(freed.iter().map(|body| body.extents.len()).sum::<usize>());
        let ids: Vec<_> = freed.iter().map(|body| body.id).collect();
        pg.forget_bodies(&ids).await.unwrap();
    }
    assert_eq!(counts, [24_000, 12_000]);
}

#[tokio::test]
async fn registrations_are_told_and_heartbeats_are_not() {
    let (pg, url) = pg().await;
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen("sixfold_registry").await.unwrap();
    let node = pg.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "1");
    pg.heartbeat(node.number, node.registration, is(NodeState::Active, 1)).await.unwrap();
    assert!(tokio::time::timeout(A_WHILE, listener.recv()).await.is_err());
}

/// Registrations at the same time get different numbers, without gaps.
#[tokio::test]
async fn registrations_that_meet_get_numbers_of_their_own() {
    let (pg, _) = pg().await;
    let all = (0..8).map(|_| pg.register_node(Uuid::new_v4(), None, "a", 1.0));
    let mut numbers: Vec<_> =
        futures::future::join_all(all).await.into_iter().map(|n| n.unwrap().number.0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
}

async fn as_node(connection: &mut PgConnection, statement: &'static str) -> Result<(), String> {
    let done = sqlx::raw_sql(statement).execute(connection).await;
    done.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_role_of_a_node_may_call_its_functions_and_nothing_else() {
    let (_pg, url) = pg().await;
    let mut node = connect(&url).await;
    as_node(&mut node, "set role sixfold_node").await.unwrap();
    let registered = Uuid::new_v4();
    register(&mut node, registered, Some("http://10.0.0.1:9100")).await.unwrap();
    assert_eq!(beat(&mut node, registered, 1, "active").await.unwrap().as_deref(), Some("active"));
    for refused in [
        "select * from node",
        "select * from access_key",
        "select * from object",
        "update node set state = 'active'",
        "delete from lease",
        "select * from condemned_v1(1::smallint, '{}', '{}', '{}', '1 s')",
        "select * from register_node_v1(gen_random_uuid(), null, 'a', 1)",
        "select heartbeat_v1(1::smallint, 1, 'active', 1, 1, 1)",
        "create table t (x int)",
        "create temporary table t (x int)",
    ] {
        let error = as_node(&mut node, refused).await.unwrap_err();
        assert!(error.contains("permission denied"), "{refused}: {error}");
    }
}

async fn register(
    node: &mut PgConnection,
    drive: Uuid,
    address: Option<&str>,
) -> Result<(), sqlx::Error> {
    let register = "select * from node_register($1, $2, 'a', 1)";
    sqlx::query(register).bind(drive).bind(address).execute(node).await.map(|_| ())
}

async fn beat(
    node: &mut PgConnection,
    drive: Uuid,
    registration: i64,
    state: &str,
) -> Result<Option<String>, sqlx::Error> {
    let query = sqlx::query_scalar("select node_heartbeat($1, $2, $3, 10, 5, 7)");
    query.bind(drive).bind(registration).bind(state).fetch_one(node).await
}

/// A row without an address is an embedded node, which a node process can't say of itself; and
/// whatever else it says is checked.
#[tokio::test]
async fn a_node_process_is_registered_with_an_address_only() {
    let (pg, url) = pg().await;
    let mut node = connect(&url).await;
    as_node(&mut node, "set role sixfold_node").await.unwrap();
    let long = format!("http://{}:1", "h".repeat(300));
    let wrong = ["", "10.0.0.1:9100", "http://host", "ftp://host:1", "http://a@b:1", &long];
    for address in wrong.map(Some).into_iter().chain([None]) {
        let error = register(&mut node, Uuid::new_v4(), address).await.unwrap_err().to_string();
        assert!(error.contains("needs an address"), "{address:?}: {error}");
    }
    for (values, expected) in [("'', 1", "zone"), ("null, 1", "zone"), ("'a', 'NaN'", "weight")] {
        let register = "select * from node_register(gen_random_uuid(), 'http://a:1', ";
        let statement = sqlx::AssertSqlSafe(format!("{register}{values})"));
        let error = sqlx::raw_sql(statement).execute(&mut node).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{values}: {error}");
    }
    assert!(pg.nodes().await.unwrap().is_empty());
    register(&mut node, Uuid::new_v4(), Some("https://[::1]:9100")).await.unwrap();
    let error = beat(&mut node, Uuid::new_v4(), 1, "removed").await.unwrap_err();
    assert!(error.to_string().contains("can't say"), "{error}");
}

/// A heartbeat tells the node what an operator decided; and it takes the id of the drive, which
/// no other node knows.
#[tokio::test]
async fn a_heartbeat_learns_what_was_decided_and_speaks_for_its_own_drive_only() {
    let (_pg, url) = pg().await;
    let (mut node, mut operator) = (connect(&url).await, connect(&url).await);
    as_node(&mut node, "set role sixfold_node").await.unwrap();
    let drive = Uuid::new_v4();
    register(&mut node, drive, Some("http://10.0.0.1:9100")).await.unwrap();
    for (decided, said, learned) in [
        ("active", "active", Some("active")),
        ("draining", "active", Some("draining")),
        ("draining", "draining", Some("draining")),
        ("active", "draining", Some("active")),
        ("active", "full", Some("full")),
        ("removed", "active", Some("removed")),
    ] {
        let decide = sqlx::query("update node set state = $1").bind(decided);
        decide.execute(&mut operator).await.unwrap();
        let state = beat(&mut node, drive, 1, said).await.unwrap();
        assert_eq!(state.as_deref(), learned, "{decided}, {said}");
    }
    assert_eq!(beat(&mut node, drive, 2, "active").await.unwrap(), None);
    assert_eq!(beat(&mut node, Uuid::new_v4(), 1, "active").await.unwrap(), None);
}

/// The test server asks every role but its owner for a password. A statement that fails is written
/// to the database's log as it was sent, so the password is not in it.
#[tokio::test]
async fn a_node_logs_in_with_the_password_that_was_set_and_no_log_holds_it() {
    let (pg, url) = pg().await;
    let with = |password: &str| url.replace("sixfold@", &format!("sixfold_node:{password}@"));
    pg.set_node_password("it's-canary-1").await.unwrap();
    let mut node = connect(&with("it%27s-canary-1")).await;
    let beat = "select node_heartbeat(gen_random_uuid(), 1, 'active', 1, 1, 1)";
    as_node(&mut node, beat).await.unwrap();
    assert!(PgConnection::connect(&with("guessed")).await.is_err());

    // Errors are logged, as they are in any PostgreSQL but ours.
    let mut owner = connect(&url).await;
    let log_errors =
        "do $$ begin execute format('alter database %I set log_min_messages = warning',
        current_database()); end $$";
    sqlx::query(log_errors).execute(&mut owner).await.unwrap();
    // The nodes' role may not change itself so.
    let limited = Pg::open(&with("it%27s-canary-1"), 1).unwrap();
    limited.set_node_password("it's-canary-2").await.unwrap_err();
    // Another process writes the log, a moment later.
    let until = Instant::now() + Duration::from_secs(20);
    let log = loop {
        let read = sqlx::query_scalar("select pg_read_file(pg_current_logfile())");
        let log: String = read.fetch_one(&mut owner).await.unwrap();
        if log.contains("alter role sixfold_node") {
            break log;
        }
        assert!(Instant::now() < until, "nothing is logged: {log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(!log.contains("s-canary-"), "{log}");
}
