//! A gateway's memory does not grow with object size: sixteen uploads and sixteen downloads at once,
//! one `aws-chunked` frame per body, and one object of 5 GiB.
//!
//! `SIXFOLD_MEMORY_MIB` sets the size of the thirty-two (48; `make test-memory`: 512), and the large object is ten times
//! that. A build without optimisation holds as much memory, only longer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use compat_tests::cluster::{Form, Server};
use compat_tests::objects::Body;
use compat_tests::raw::Request;
use tokio::task::JoinSet;

const MIB: u64 = 1024 * 1024;
const LANES: u64 = 16;
/// Promised for the whole process.
const LIMIT_BYTES: u64 = 1024 * MIB;

fn size_bytes() -> u64 {
    let mib = std::env::var("SIXFOLD_MEMORY_MIB").map(|text| text.parse().expect("MiB"));
    mib.unwrap_or(48) * MIB
}

async fn check(form: Form) {
    let mut server = Server::start(form);
    let (address, signer) = (server.address().to_owned(), server.signer());
    let bucket = Request::put("/memory").sign(&signer, &address);
    bucket.send(&address).await.expect_status(200);
    let size = size_bytes();

    let started = Instant::now();
    let stored = Body::new(99, size);
    stored.put(&address, &signer, "/memory/stored").await.unwrap();
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let (put_address, put_signer) = (address.clone(), signer.clone());
        lanes.spawn(async move {
            let target = format!("/memory/{lane}");
            Body::new(lane, size).put(&put_address, &put_signer, &target).await
        });
        let (get_address, get_signer) = (address.clone(), signer.clone());
        lanes.spawn(async move { stored.check(&get_address, &get_signer, "/memory/stored").await });
    }
    for outcome in lanes.join_all().await {
        outcome.unwrap();
    }
    report(&mut server, "16 uploads and 16 downloads", started);

    let started = Instant::now();
    let large = Body::new(100, size * 10);
    large.put(&address, &signer, "/memory/large").await.unwrap();
    large.check(&address, &signer, "/memory/large").await.unwrap();
    report(&mut server, "one large object", started);
}

/// Prints what was needed and holds it against the limit.
fn report(server: &mut Server, what: &str, started: Instant) {
    let (now, peak) = server.gateway().resident_bytes();
    let took = started.elapsed().as_secs();
    println!("{what}: {} MiB now, {} MiB at most, {took} s", now / MIB, peak / MIB);
    assert!(peak < LIMIT_BYTES, "{what}: {peak} bytes resident");
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_memory_is_bounded_embedded() {
    check(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_memory_is_bounded_separate() {
    check(Form::Separate).await;
}
