//! Any two of six nodes may be gone; three give a clear 503; nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, NODE_COUNT, Plan, Server};
use compat_tests::forms::within;
use compat_tests::objects::Body;
use compat_tests::raw::{Answer, Connection, Request};

const MIB: u64 = 1024 * 1024;
/// Promised.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);
/// Empty, inline in a cell, one stripe and a byte more, several stripes.
const SIZES: [u64; 5] = [0, 1, 100_000, MIB + 1, 9 * MIB + 5];

/// Puts one object of every size and reads it back.
async fn write_all(server: &Server, name: &str) {
    for (seed, size) in (1..).zip(SIZES) {
        let target = format!("/kept/{name}-{size}");
        Body::new(seed, size).put(server.address(), &server.signer(), &target).await.unwrap();
    }
    read_all(server, name).await;
}

async fn read_all(server: &Server, name: &str) {
    for (seed, size) in (1..).zip(SIZES) {
        let target = format!("/kept/{name}-{size}");
        Body::new(seed, size).check(server.address(), &server.signer(), &target).await.unwrap();
    }
}

async fn start(form: Form) -> Server {
    let server = Plan::new(form).start();
    let bucket = Request::put("/kept").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    server
}

/// Reads of what was there before, writes, and reads of what was written without them.
async fn any_two(form: Form, pairs: &[(usize, usize)]) {
    let mut server = start(form).await;
    write_all(&server, "before").await;
    for (first, second) in pairs {
        let name = format!("without-{first}-{second}");
        server.take_away(*first);
        server.take_away(*second);
        read_all(&server, "before").await;
        tokio::join!(write_all(&server, &name), all_else(&server, &name));
        check_list(&server, &name).await;
        server.give_back(*first);
        server.give_back(*second);
        read_all(&server, &name).await;
        check_parts(&server, &name).await;
        wait_for_all_six(&server).await;
    }
}

/// HEAD, DELETE, a multipart upload.
async fn all_else(server: &Server, name: &str) {
    for size in SIZES {
        let head = send(server, Request::head(&format!("/kept/before-{size}"))).await;
        let length = head.expect_status(200).header("content-length").map(str::to_owned);
        assert_eq!(length, Some(size.to_string()));
    }
    let deleted = format!("/kept/{name}-deleted");
    Body::new(20, 100_000).put(server.address(), &server.signer(), &deleted).await.unwrap();
    send(server, Request::delete(&deleted)).await.expect_status(204);
    let gone = send(server, Request::get(&deleted)).await;
    assert_eq!(gone.outcome(), (404, "NoSuchKey".into()));
    put_in_parts(server, name).await;
    check_parts(server, name).await;
}

/// The list has what was written and not what was deleted.
async fn check_list(server: &Server, name: &str) {
    let listed = send(server, Request::get(&format!("/kept?list-type=2&prefix={name}"))).await;
    let listed = listed.expect_status(200).text();
    let is_listed = |key: String| listed.contains(&format!("<Key>{key}</Key>"));
    assert!(SIZES.iter().all(|size| is_listed(format!("{name}-{size}"))), "{listed}");
    assert!(
        is_listed(format!("{name}-parts")) && !is_listed(format!("{name}-deleted")),
        "{listed}"
    );
}

/// The parts of an upload: the smallest that may stand before another, and a last one.
const PARTS: [Body; 2] =
    [Body { seed: 21, size_bytes: 5 * MIB }, Body { seed: 22, size_bytes: 100_001 }];

async fn put_in_parts(server: &Server, name: &str) {
    let target = format!("/kept/{name}-parts");
    let begun = send(server, Request::post(&format!("{target}?uploads"))).await;
    let upload = begun.expect_status(200).element("UploadId");
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(PARTS) {
        let part = format!("{target}?partNumber={number}&uploadId={upload}");
        let part = send(server, Request::put(&part).body(body.bytes())).await.expect_status(200);
        let etag = part.header("etag").unwrap();
        parts.push(format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    let parts = parts.concat();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let complete = Request::post(&format!("{target}?uploadId={upload}")).body(body);
    let completed = send(server, complete).await.expect_status(200);
    assert!(!completed.element("ETag").is_empty(), "{}", completed.text());
}

async fn check_parts(server: &Server, name: &str) {
    let got = send(server, Request::get(&format!("/kept/{name}-parts"))).await.expect_status(200);
    assert!(got.body == PARTS.map(Body::bytes).concat(), "other bytes than the parts");
}

async fn send(server: &Server, request: Request) -> Answer {
    request.sign(&server.signer(), server.address()).send(server.address()).await
}

/// Three: a 503 before the first byte, within five seconds, and all is there when they are back.
async fn any_three(form: Form, triples: &[[usize; 3]]) {
    let mut server = start(form).await;
    write_all(&server, "before").await;
    for triple in triples {
        for index in triple {
            server.take_away(*index);
        }
        without_three(&server).await;
        for index in triple {
            server.give_back(*index);
        }
        wait_for_all_six(&server).await;
        read_all(&server, "before").await;
    }
    write_all(&server, "after").await;
}

async fn without_three(server: &Server) {
    let (address, signer) = (server.address().to_owned(), server.signer());
    let large = format!("/kept/before-{}", 9 * MIB + 5);
    let put = Request::put("/kept/new").body(vec![1; 2_000_000]);
    for request in [Request::get(&large), put] {
        let started = Instant::now();
        let answer = request.sign(&signer, &address).send(&address).await;
        let took = started.elapsed();
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.element("RequestId").is_empty(), "{}", answer.text());
        assert!(took < within(REFUSED_WITHIN), "503 only after {took:?}");
    }
    // What needs no chunks is served from the metadata.
    Request::head(&large).sign(&signer, &address).send(&address).await.expect_status(200);
    let listed = Request::get("/kept?list-type=2").sign(&signer, &address).send(&address).await;
    assert!(listed.expect_status(200).text().contains("before-0"));
    let new = Request::head("/kept/new").sign(&signer, &address).send(&address).await;
    new.expect_status(404);
}

/// All triples of six nodes.
fn triples() -> Vec<[usize; 3]> {
    let mut triples = Vec::new();
    for first in 0..NODE_COUNT {
        for second in first + 1..NODE_COUNT {
            triples.extend((second + 1..NODE_COUNT).map(|third| [first, second, third]));
        }
    }
    assert_eq!(triples.len(), 20);
    triples
}

/// Waits until every node is used again: an open circuit breaker looks again after 30 s, or at once when
/// a node registers anew. The scheme without redundancy needs all six, so it tells.
async fn wait_for_all_six(server: &Server) {
    let until = Instant::now() + Duration::from_mins(1);
    let put = || {
        let put = Request::put("/kept/probe").header("x-amz-storage-class", "SIXFOLD_SCRATCH");
        put.body(vec![2; 100_000]).sign(&server.signer(), server.address())
    };
    while put().send(server.address()).await.status != 200 {
        assert!(Instant::now() < until, "not all nodes are used 60 s after they came back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Two nodes die while a large object is being sent: the client gets every byte all the same.
async fn killed_in_mid_stream(form: Form) {
    let mut server = start(form).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    let body = Body::new(9, 96 * MIB);
    body.put(&address, &signer, "/kept/large").await.unwrap();
    let mut left = vec![(20 * MIB, 1), (60 * MIB, 4)];
    let checked = body.check_while(&address, &signer, "/kept/large", |received| {
        left.retain(|(after, index)| {
            let waits = received < *after;
            if !waits {
                server.take_away(*index);
            }
            waits
        });
    });
    checked.await.unwrap();
}

/// A node that is frozen holds nobody up for long.
#[tokio::test(flavor = "multi_thread")]
async fn f06_a_frozen_node_delays_nothing() {
    let mut server = start(Form::Separate).await;
    write_all(&server, "before").await;
    server.node(2).freeze();
    let started = Instant::now();
    read_all(&server, "before").await;
    write_all(&server, "frozen").await;
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    server.node(2).thaw();
    read_all(&server, "frozen").await;
}

/// An upload that the client gives up leaves nothing visible, and the connection's end harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn f29_an_upload_cut_short_is_not_there() {
    let server = start(Form::Embedded).await;
    let (address, signer) = (server.address(), server.signer());
    let wire = Request::put("/kept/cut").body(vec![3; 5_000_000]).sign(&signer, address);
    let mut connection = Connection::open(address).await.unwrap();
    connection.send(&wire.head_bytes()).await.unwrap();
    connection.send(&wire.body[..3_000_000]).await.unwrap();
    drop(connection);
    let answer = Request::get("/kept/cut").sign(&signer, address).send(address).await;
    assert_eq!(answer.outcome(), (404, "NoSuchKey".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_pairs_of_drives_gone_embedded() {
    // Three pairs: an embedded node is looked at again after 30 s only.
    any_two(Form::Embedded, &[(0, 1), (2, 4), (3, 5)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_all_pairs_of_nodes_down() {
    let seconds = |first| (first + 1..NODE_COUNT).map(move |second| (first, second));
    let pairs: Vec<_> = (0..NODE_COUNT).flat_map(seconds).collect();
    any_two(Form::Separate, &pairs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_three_drives_gone_embedded() {
    any_three(Form::Embedded, &[[0, 1, 2]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_all_triples_of_nodes_down() {
    any_three(Form::Separate, &triples()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_killed_in_mid_stream_embedded() {
    killed_in_mid_stream(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_killed_in_mid_stream_separate() {
    killed_in_mid_stream(Form::Separate).await;
}
