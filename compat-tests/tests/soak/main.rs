//! F39, the soak: real clients' load through two gateways while processes are killed, paused and
//! restarted, drives fill up and rot, and PostgreSQL comes and goes, at random; never more than two
//! nodes at once. Afterwards everything acknowledged is there, everything deleted stays away, and a
//! census finds six whole chunks of every extent on six drives and nothing else.
//!
//! `SIXFOLD_SOAK_MINUTES` says for how long (2), `SIXFOLD_SEED` which faults come; it is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod faults;

use std::time::{Duration, Instant};

use compat_tests::census::{Census, NOT_WHOLE};
use compat_tests::cluster::{Form, Gateway, Plan, Server, Tmpfs};
use compat_tests::load::Load;
use faults::{Faults, Random};

/// Goal: all is whole again five minutes after the faults stop.
const GREEN_WITHIN: Duration = Duration::from_mins(5);

/// Of boto3, at the same time.
const CLIENTS: u32 = 5;

/// The size of the drive that is filled up.
const SMALL_DRIVE_MIB: u64 = 384;

/// Bodies that nothing refers to any more.
const FREED: &str = "select count(*) from body where refs = 0";

fn plan() -> Plan {
    Plan::new(Form::Separate)
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "2s")
        .set("SIXFOLD_RING_REFRESH", "1s")
        .set("SIXFOLD_HOLD_DOWN", "6s")
        .set("SIXFOLD_HEAL_EVERY", "500ms")
        .set("SIXFOLD_REBALANCE_EVERY", "1s")
        .set("SIXFOLD_LEASE_RENEWAL", "2s")
        .set("SIXFOLD_LEASE_EXPIRY", "10s")
        .set("SIXFOLD_FREED_FOR", "2s")
        .set("SIXFOLD_COLLECT_EVERY", "1s")
        .set("SIXFOLD_SWEEP_EVERY", "5s")
        .set("SIXFOLD_SCRUB_CYCLE", "10s")
        .set("SIXFOLD_SCRUB_MIB_PER_SECOND", "200")
}

fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}"))
}

fn count(server: &Server, query: &str) -> u64 {
    server.metadata(query).trim().parse().expect("a number")
}

/// Waits until nothing is missing or crowded, so that a drive more may be lost.
fn wait_until_whole(server: &Server) {
    let until = Instant::now() + GREEN_WITHIN;
    while count(server, NOT_WHOLE) > 0 {
        let left = count(server, NOT_WHOLE);
        assert!(Instant::now() < until, "{left} extents are not whole, {GREEN_WITHIN:?} later");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Counts until the count is clean: what was freed last is still being collected.
async fn census(server: &Server) -> Census {
    let until = Instant::now() + GREEN_WITHIN;
    loop {
        wait_until_whole(server);
        if count(server, FREED) == 0 {
            let census = Census::take(server).await.expect("a census");
            if census.is_clean() {
                return census;
            }
            assert!(Instant::now() < until, "{census:#?}");
        }
        assert!(Instant::now() < until, "{} bodies are not collected", count(server, FREED));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_soak() {
    let minutes = setting("SIXFOLD_SOAK_MINUTES", 2);
    let seed = setting("SIXFOLD_SEED", u64::from(std::process::id()));
    println!("soak: {minutes} minutes, SIXFOLD_SEED={seed}");
    let mut server = plan().start();
    let small = Tmpfs::try_mount(&make_drive(&server), SMALL_DRIVE_MIB);
    if let Err(said) = &small {
        println!("soak: skipped: a full drive: a tmpfs can't be mounted: {said}");
    }
    let small_drive = small.is_ok().then(|| server.add_node());
    let second = Gateway::beside(&server);
    let endpoints = [server.endpoint(), format!("http://{}", second.address())];
    let mut load = Load::start(&endpoints, CLIENTS, seed);

    let mut faults = Faults { server, second, small_drive, random: Random::new(seed), done: 0 };
    let began = Instant::now();
    while began.elapsed() < Duration::from_mins(minutes) {
        faults.strike(began);
        wait_until_whole(&faults.server);
    }
    let Faults { mut server, mut second, done, .. } = faults;
    let stopped = load.tell("stop");
    println!("soak: {done} rounds of faults; the load: {stopped}");

    let verified = load.tell("verify");
    println!("soak: {verified}");
    wait_until_whole(&server);
    // Their leases end, and with them what was written under them and never committed may go: parts
    // of uploads that were given up, and a chunk that both gateways healed.
    second.stop();
    server.stop_gateway();
    server.start_gateway();
    second.start(&server);
    let census = census(&server).await;
    println!("soak: {} chunks are placed and whole, and no others", census.placed_count);
    load.finish();
    assert!(done > 0 && census.placed_count > 0);
    assert_eq!(verified["verified"]["violations"], 0, "{verified}");
    let counts = &stopped["stopped"];
    let (all, failed) = (counts["operations"].as_u64().unwrap(), counts["failed"].as_u64());
    assert!(failed.unwrap_or(0) * 100 <= all, "more than 1 % failed for good: {counts}");
    // Before the drive below it goes.
    drop(server);
    drop(small);
}

/// The folder of the seventh drive.
fn make_drive(server: &Server) -> std::path::PathBuf {
    let drive = server.drive(server.node_count());
    std::fs::create_dir(&drive).expect("a drive");
    drive
}
