//! HTTP itself.

use super::{Bench, KEY};
use compat_tests::raw::{Connection, Frames, Request};

pub(super) async fn check(bench: &Bench) {
    lengths(bench).await;
    methods(bench).await;
    broken(bench).await;
    short_body(bench).await;
    idle_body(bench).await;
    two_framings(bench).await;
    targets(bench).await;
    huge_heads(bench).await;
}

async fn lengths(bench: &Bench) {
    let none = Request::put("/bad-requests/new").without("content-length");
    bench.check("no length", &bench.signed(&none), 411, "MissingContentLength").await;
    let large = Request::put("/bad-requests/new").header("content-length", "5368709121");
    bench.check("5 GiB + 1", &bench.signed(&large), 400, "EntityTooLarge").await;

    let long = "x".repeat(3000);
    let metadata = Request::put("/bad-requests/new").header("x-amz-meta-a", &long).body("x");
    bench.check("metadata over 2 KiB", &bench.signed(&metadata), 400, "MetadataTooLarge").await;
    let mut homeless = bench.signed(&Request::get(KEY));
    homeless.remove("host");
    bench.check("no host", &homeless, 400, "InvalidRequest").await;
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
        ("DELETE", "/bad-requests?newConfiguration="),
        ("PUT", "/bad-requests/kept?newSub="),
        ("DELETE", "/bad-requests/kept?newSub="),
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
    let answer = connection.answer(false).await.unwrap();
    assert_eq!(answer.outcome(), (400, "IncompleteBody".to_owned()), "{}", answer.text());
}

/// A client that pauses within a body for too long, with and without frames.
async fn idle_body(bench: &Bench) {
    let request = Request::put("/bad-requests/new").body(vec![1; 100_000]);
    for request in [request.clone(), request.framed(Frames::signed(64 * 1024))] {
        let wire = bench.signed(&request);
        let mut connection = Connection::open(bench.address()).await.unwrap();
        connection.send(&wire.head_bytes()).await.unwrap();
        connection.send(&wire.body[..70_000]).await.unwrap();
        let answer = connection.answer(false).await.unwrap();
        assert_eq!(answer.outcome(), (400, "RequestTimeout".to_owned()), "{}", answer.text());
        assert!(connection.is_closed().await, "what would come next is no request");
    }
}

/// A length and a transfer coding: refused, or the coding wins and nothing follows it.
async fn two_framings(bench: &Bench) {
    let request = Request::get("/bad-requests?list-type=2");
    let mut wire = bench.signed(&request);
    wire.add("content-length", "5").add("transfer-encoding", "chunked");
    let mut connection = Connection::open(bench.address()).await.unwrap();
    connection.send(&wire.head_bytes()).await.unwrap();
    connection.send(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let answer = connection.answer(false).await.unwrap();
    assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
    assert!(connection.is_closed().await, "the bytes behind it were taken for a request");
}

/// Unusual targets are refused or are keys as they stand; they never name another object.
async fn targets(bench: &Bench) {
    let long = format!("/bad-requests/{}", "k".repeat(40_000));
    bench.check("40 KB", &bench.signed(&Request::put(&long)), 400, "KeyTooLongError").await;
    let mut longer = bench.signed(&Request::get(KEY));
    longer.replace_in_target(KEY, &format!("/bad-requests/{}", "k".repeat(66_000)));
    let answer = longer.send(bench.address()).await;
    assert!(matches!(answer.status, 400 | 414), "66 KB: {}", answer.status);

    let mut fragment = bench.signed(&Request::get(KEY));
    fragment.replace_in_target(KEY, "/bad-requests/kept#frag");
    let answer = fragment.send(bench.address()).await;
    // The parser drops it, as docs/s3-differences.md says.
    assert!(answer.status == 400 || answer.text() == "kept", "#frag: {}", answer.text());

    let mut absolute = bench.signed(&Request::get(KEY));
    absolute.replace_in_target(KEY, &format!("http://{}{KEY}", bench.address()));
    let answer = absolute.send(bench.address()).await;
    assert!(answer.status == 400 || answer.text() == "kept", "{}", answer.text());
    let mut elsewhere = bench.signed(&Request::get(KEY));
    elsewhere.replace_in_target(KEY, &format!("http://elsewhere{KEY}"));
    let status = elsewhere.send(bench.address()).await.status;
    assert!(matches!(status, 200 | 400 | 403), "another host in the target: {status}");

    let doubled = Request::put("//bad-requests//new").body("x");
    let answer = bench.signed(&doubled).send(bench.address()).await;
    assert_eq!(answer.status, 400, "//bucket//key: {}", answer.text());
}

/// More header lines, and a longer head, than are read at all.
async fn huge_heads(bench: &Bench) {
    let mut wire = bench.signed(&Request::get(KEY));
    for index in 0..200 {
        wire.add(&format!("x-line-{index}"), "a");
    }
    let many = wire.send(bench.address()).await;
    assert!(matches!(many.status, 400 | 431), "200 lines: {}", many.status);
    let mut wire = bench.signed(&Request::get(KEY));
    wire.add("x-long", &"a".repeat(300_000));
    if let Ok(long) = wire.try_send(bench.address()).await {
        assert!(matches!(long.status, 400 | 431), "300 KB: {}", long.status);
    }
}
