//! What rots on a drive is found by the scrub and made anew, while nobody reads it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, Plan, Server};
use compat_tests::objects::Body;
use compat_tests::raw::Request;

/// For a busy machine: it takes a few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Small ones in segments, and one that is files.
const SIZES: [u64; 4] = [1000, 50_000, 300_000, 9_000_000];

/// What is counted in the metadata while a drive's rot is found and mended.
const MISSING: &str = "select coalesce(sum(bit_count(missing::integer::bit(6))), 0) from extent";

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Flips a bit in the first cell of every chunk of a drive; says in how many files.
fn flip_bits(drive: &Path) -> usize {
    let (chunks, segments) = (drive.join("chunks"), drive.join("segments"));
    let files = [files_below(&chunks), files_below(&segments)].concat();
    for file in &files {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[100] ^= 0x20;
        std::fs::write(file, bytes).unwrap();
    }
    files.len()
}

async fn put_all(server: &Server) {
    let bucket = Request::put("/rot").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    for (seed, size) in (0..).zip(SIZES) {
        let target = format!("/rot/{size}");
        Body::new(seed, size).put(server.address(), &server.signer(), &target).await.unwrap();
    }
}

async fn check_all(server: &Server) {
    for (seed, size) in (0..).zip(SIZES) {
        let target = format!("/rot/{size}");
        Body::new(seed, size).check(server.address(), &server.signer(), &target).await.unwrap();
    }
}

async fn wait_until(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The chunks that scrubs found rotten, as `sixfold job list` tells.
fn scrubs(server: &Server) -> Vec<serde_json::Value> {
    let mut jobs = server.job_list();
    jobs.retain(|job| job["job"] == "scrub");
    jobs
}

async fn rot_is_found_and_mended(form: Form) {
    let plan = Plan::new(form)
        .set("SIXFOLD_SCRUB_CYCLE", "1s")
        .set("SIXFOLD_SCRUB_MIB_PER_SECOND", "1000")
        // Nothing is healed before it was counted.
        .set("SIXFOLD_HEAL_EVERY", "8s");
    let mut server = plan.start();
    put_all(&server).await;
    wait_until("every drive was scrubbed", || {
        let scrubs = scrubs(&server);
        scrubs.len() == 6 && scrubs.iter().all(|scrub| scrub["runs"].as_u64() > Some(0))
    })
    .await;
    assert_eq!(server.metadata(MISSING).trim(), "0");

    // The bytes of every small chunk but the first stay whole: one record is hit in each segment.
    let flipped = flip_bits(&server.drive(0)) + flip_bits(&server.drive(4));
    assert!(flipped >= 4, "{flipped}");
    let marked = format!("select {flipped} = ({MISSING})");
    wait_until("each is marked", || server.metadata(&marked).trim() == "t").await;
    wait_until("each is healed", || server.metadata(MISSING).trim() == "0").await;

    // What the rot left is enough without two other nodes.
    server.take_away(1);
    server.take_away(2);
    check_all(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_rot_is_found_and_mended_embedded() {
    rot_is_found_and_mended(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_rot_is_found_and_mended_separate() {
    rot_is_found_and_mended(Form::Separate).await;
}
