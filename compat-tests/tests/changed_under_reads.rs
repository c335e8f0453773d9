//! F18 and F19: objects that are overwritten or deleted while somebody downloads them, with freed
//! chunks collected as soon as may be.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, Plan, Server};
use compat_tests::forms::is_long;
use compat_tests::objects::Body;
use compat_tests::raw::{Answer, Connection, Request};

const MIB: u64 = 1024 * 1024;

/// For a busy machine: it takes seconds.
const PATIENCE: Duration = Duration::from_mins(2);

async fn start() -> Server {
    let plan = Plan::new(Form::Separate)
        .set("SIXFOLD_FREED_FOR", "1s")
        .set("SIXFOLD_COLLECT_EVERY", "500ms")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_STALL", "1h");
    let server = tokio::task::block_in_place(|| plan.start());
    send(&server, Request::put("/changed")).await.expect_status(200);
    server
}

async fn send(server: &Server, request: Request) -> Answer {
    request.sign(&server.signer(), server.address()).send(server.address()).await
}

/// A download that has begun: its head was read and nothing of its body.
async fn begin(server: &Server, key: &str) -> (Connection, Answer) {
    let request = Request::get(key).sign(&server.signer(), server.address());
    let connection = Connection::open(server.address()).await.unwrap();
    let mut connection = connection.patience(PATIENCE);
    connection.send(&request.bytes()).await.unwrap();
    let head = connection.head().await.unwrap();
    (connection, head.expect_status(200))
}

/// Small ones that are in the connection's buffers by then, and one that is mostly still on the nodes.
#[tokio::test(flavor = "multi_thread")]
async fn f18_a_download_is_wholly_of_the_version_it_began_with() {
    let server = start().await;
    let (address, signer) = (server.address(), server.signer());
    for (seed, mib) in [(1, 1), (3, 4), (5, 8), (7, 40)] {
        let (old, new) = (Body::new(seed, mib * MIB), Body::new(seed + 1, mib * MIB + 1));
        old.put(address, &signer, "/changed/key").await.unwrap();
        let (mut connection, head) = begin(&server, "/changed/key").await;
        let etag = head.header("etag").unwrap().to_owned();
        new.put(address, &signer, "/changed/key").await.unwrap();
        // Time for the collection of what was freed.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let read = connection.rest(&head).await.unwrap();
        assert!(read == old.bytes(), "{mib} MiB: other bytes than those that were promised");
        new.check(address, &signer, "/changed/key").await.unwrap();
        let range = Request::get("/changed/key").header("if-match", &etag);
        let changed = send(&server, range.header("range", "bytes=0-9")).await;
        assert_eq!(changed.outcome(), (412, "PreconditionFailed".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_slow_download_of_a_deleted_object_goes_on_to_its_end() {
    let server = start().await;
    let (address, signer) = (server.address(), server.signer());
    let body = Body::new(9, 40 * MIB);
    let empty = server.used_bytes();
    body.put(address, &signer, "/changed/slow").await.unwrap();
    let (mut connection, head) = begin(&server, "/changed/slow").await;
    send(&server, Request::delete("/changed/slow")).await.expect_status(204);
    send(&server, Request::get("/changed/slow")).await.expect_status(404);
    // Half an hour in the long form; both are long after what is freed could have gone.
    tokio::time::sleep(Duration::from_secs(if is_long() { 1800 } else { 8 })).await;
    let read = connection.rest(&head).await.unwrap();
    assert!(read == body.bytes(), "other bytes than those that were promised");
    // And then it goes.
    let until = Instant::now() + PATIENCE;
    while server.used_bytes() > empty + 8 * MIB {
        assert!(Instant::now() < until, "{} bytes are used", server.used_bytes());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
