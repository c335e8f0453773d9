//! A database that is restored from a backup, or promoted without its newest commits, costs no chunk
//! that was written since.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, NODE_COUNT, Plan, Server};
use compat_tests::objects::Body;
use compat_tests::raw::Request;
use compat_tests::scrape::Scrape;

const PATIENCE: Duration = Duration::from_mins(1);
const SIZES: [u64; 3] = [1000, 300_000, 9_000_000];

async fn put_all(server: &Server, name: &str) {
    for (seed, size) in (0..).zip(SIZES) {
        let target = format!("/kept/{name}-{size}");
        Body::new(seed, size).put(server.address(), &server.signer(), &target).await.unwrap();
    }
}

async fn check_all(server: &Server, name: &str) {
    for (seed, size) in (0..).zip(SIZES) {
        let target = format!("/kept/{name}-{size}");
        Body::new(seed, size).check(server.address(), &server.signer(), &target).await.unwrap();
    }
}

/// Copies a folder with owners and times.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The nodes that keep something, with how many chunks no row wants.
fn quarantines(server: &Server) -> Vec<Option<u64>> {
    let listed = server.administer(&["node", "quarantine", "list", "--json"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    rows.iter().map(|row| row["chunks"].as_u64()).collect()
}

async fn wait_until(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A server that sweeps every second, with a bucket.
async fn start() -> Server {
    let plan = Plan::new(Form::Embedded)
        .set("SIXFOLD_META_COPIES", "off")
        .set("SIXFOLD_SWEEP_EVERY", "1s")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_LEASE_EXPIRY", "2s");
    let server = plan.start();
    let bucket = Request::put("/kept").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    server
}

/// Whether every node keeps something, of which no row wants a number of chunks.
fn all_count(server: &Server, wants: fn(u64) -> bool) -> bool {
    let rows = quarantines(server);
    rows.len() == NODE_COUNT && rows.iter().all(|chunks| chunks.is_some_and(wants))
}

/// The metrics follow within seconds.
async fn quarantine_is_shown(server: &Server) {
    let until = Instant::now() + PATIENCE;
    loop {
        let scrape = Scrape::of(server.admin_address()).await;
        let sum = |name: &str| scrape.sum(&format!("sixfold_quarantine_{name}"), &[]) as u64;
        if sum("nodes") == NODE_COUNT as u64 && sum("chunks") >= 18 && sum("bytes") > 0 {
            return;
        }
        assert!(Instant::now() < until, "{} nodes, {} chunks", sum("nodes"), sum("chunks"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_what_a_restored_database_does_not_know_is_kept() {
    let mut server = start().await;
    put_all(&server, "before").await;
    let place = |name: &str| -> PathBuf { server.folder().join("meta").join(name) };
    let (postgres, backup, newer) = (place("postgres"), place("backup"), place("newer"));
    server.stop_gateway();
    copy(&postgres, &backup);

    server.start_gateway();
    put_all(&server, "after").await;
    assert_eq!(quarantines(&server), []);
    server.stop_gateway();
    std::fs::rename(&postgres, &newer).unwrap();
    copy(&backup, &postgres);

    server.start_gateway();
    wait_until("each node keeps what it has", || all_count(&server, |chunks| chunks >= 3)).await;
    check_all(&server, "before").await;
    let lost = Request::get("/kept/after-1000").sign(&server.signer(), server.address());
    lost.send(server.address()).await.expect_status(404);
    quarantine_is_shown(&server).await;
    let refused = server.administer(&["node", "quarantine", "release"]);
    assert!(!refused.status.success(), "chunks without rows must not be let go");

    // The newer one is back.
    server.stop_gateway();
    std::fs::remove_dir_all(&postgres).unwrap();
    std::fs::rename(&newer, &postgres).unwrap();
    server.start_gateway();
    check_all(&server, "before").await;
    check_all(&server, "after").await;
    wait_until("rows want everything", || all_count(&server, |chunks| chunks == 0)).await;
    let released = server.administer(&["node", "quarantine", "release"]);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    wait_until("nothing is kept any more", || quarantines(&server).is_empty()).await;
    check_all(&server, "after").await;
}

/// What a standby lacks may be less than the minute between two marks: each promotion counts.
#[tokio::test(flavor = "multi_thread")]
async fn f14_what_a_promoted_database_does_not_know_is_kept() {
    let mut server = start().await;
    put_all(&server, "before").await;
    // Recovery ends with a promotion, as a standby's does; here it loses nothing.
    server.metadata("alter system set restore_command = 'false'");
    server.metadata("alter system set hot_standby = off");
    server.stop_gateway();
    let data = server.folder().join("meta/postgres/data");
    std::fs::write(data.join("recovery.signal"), "").unwrap();
    server.start_gateway();
    wait_until("rows want all that is kept", || all_count(&server, |chunks| chunks == 0)).await;
    put_all(&server, "after").await;
    check_all(&server, "before").await;
    let released = server.administer(&["node", "quarantine", "release"]);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    wait_until("nothing is kept any more", || quarantines(&server).is_empty()).await;
    check_all(&server, "before").await;
    check_all(&server, "after").await;
}
