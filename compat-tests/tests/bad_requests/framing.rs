//! HTTP itself.

use super::{Bench, KEY};
use compat_tests::raw::{Connection, Request};

pub(super) async fn check(bench: &Bench) {
    lengths(bench).await;
    methods(bench).await;
    broken(bench).await;
    short_body(bench).await;
}

async fn lengths(bench: &Bench) {
    let none = Request::put("/bad-requests/new").without("content-length");
    bench.check("no length", &bench.signed(&none), 411, "MissingContentLength").await;
    let large = Request::put("/bad-requests/new").header("content-length", "5368709121");
    bench.check("5 GiB + 1", &bench.signed(&large), 400, "EntityTooLarge").await;

    let long = "x".repeat(3000);
    let metadata = Request::put("/bad-requests/new").header("x-amz-meta-a", &long).body("x");
    bench.check("metadata over 2 KiB", &bench.signed(&metadata), 400, "MetadataTooLarge").await;
    let longer = "x".repeat(40_000);
    let header = Request::get(KEY).header("x-amz-meta-a", &longer);
    let wire = bench.signed(&header);
    bench.check("long headers", &wire, 400, "RequestHeaderSectionTooLarge").await;
}

async fn methods(bench: &Bench) {
    for method in ["PATCH", "TRACE", "put"] {
        let wire = bench.signed(&Request::new(method, KEY));
        bench.check(method, &wire, 405, "MethodNotAllowed").await;
    }
    let ignored = Request::get("/bad-requests/kept?cache=1");
    let mut wire = bench.signed(&ignored);
    wire.add("expect", "foo");
    assert_eq!(wire.send(bench.address()).await.status, 200, "Expect: foo is ignored");
    for (method, target) in [
        ("DELETE", "/bad-requests?metadataConfiguration"),
        ("DELETE", "/bad-requests?anything"),
        ("PUT", "/bad-requests/kept?renameObject"),
        ("PUT", "/bad-requests/kept?encryption"),
        ("DELETE", "/bad-requests/kept?acl"),
    ] {
        let wire = bench.signed(&Request::new(method, target));
        bench.check(target, &wire, 501, "NotImplemented").await;
    }
}

/// What the parser refuses needs no document, but must end the connection.
async fn broken(bench: &Bench) {
    for lines in [
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: xchunked",
        "content-length : 5",
        "x-folded: a\r\n b\r\ncontent-length : 5",
    ] {
        let mut connection = Connection::open(bench.address()).await.unwrap();
        let head = format!("PUT {KEY} HTTP/1.1\r\nhost: {}\r\n{lines}\r\n\r\n", bench.address());
        connection.send(head.as_bytes()).await.unwrap();
        connection.send(b"hello").await.unwrap();
        let answer = connection.answer(false).await.unwrap();
        assert_eq!(answer.status, 400, "{lines}");
        assert!(connection.is_closed().await, "{lines}");
    }
}

async fn short_body(bench: &Bench) {
    let wire = bench.signed(&Request::put("/bad-requests/new").body(vec![1; 10_000]));
    let mut connection = Connection::open(bench.address()).await.unwrap();
    connection.send(&wire.head_bytes()).await.unwrap();
    connection.send(&wire.body[..5000]).await.unwrap();
    connection.finish().await.unwrap();
    if let Ok(answer) = connection.answer(false).await {
        assert_eq!(answer.outcome(), (400, "IncompleteBody".to_owned()), "{}", answer.text());
    }
}
