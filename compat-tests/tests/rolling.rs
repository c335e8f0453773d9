//! F38: every process is restarted in turn while clients are at work, and none of them notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use compat_tests::census::{Census, NOT_WHOLE};
use compat_tests::cluster::{Form, Gateway, NODE_COUNT, Plan, Server};
use compat_tests::forms::is_long;
use compat_tests::load::Load;

/// It takes seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

const CLIENTS: u32 = 4;

fn plan() -> Plan {
    Plan::new(Form::Separate)
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "3s")
        .set("SIXFOLD_RING_REFRESH", "1s")
        .set("SIXFOLD_HEAL_EVERY", "500ms")
        .set("SIXFOLD_REBALANCE_EVERY", "1s")
        .set("SIXFOLD_FREED_FOR", "2s")
        .set("SIXFOLD_COLLECT_EVERY", "1s")
        .set("SIXFOLD_SWEEP_EVERY", "5s")
}

async fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Each process once, in order, and the next only when all is whole again.
async fn roll(server: &mut Server, second: &mut Gateway) {
    second.stop();
    second.start(server);
    server.stop_gateway();
    server.start_gateway();
    for index in 0..NODE_COUNT {
        server.stop_node(index);
        server.give_back(index);
        wait_for("all nodes", || server.are_all_nodes_up(1.5)).await;
        wait_for("all extents", || server.metadata(NOT_WHOLE).trim() == "0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_every_process_is_restarted_under_load() {
    let mut server = plan().start();
    let mut second = Gateway::beside(&server);
    let endpoints = [server.endpoint(), format!("http://{}", second.address())];
    let mut load = Load::start(&endpoints, CLIENTS, 38);
    for _ in 0..if is_long() { 20 } else { 1 } {
        roll(&mut server, &mut second).await;
    }
    let stopped = load.tell("stop");
    println!("rolling: {stopped}");
    let counts = &stopped["stopped"];
    assert!(counts["operations"].as_u64() > Some(5), "{counts}");
    assert!(counts["failed"].is_null() && counts["cut"].is_null(), "clients noticed: {counts}");

    // What a write under an ended lease left may go, and nothing that a row places.
    second.stop();
    server.stop_gateway();
    server.start_gateway();
    second.start(&server);
    let verified = load.tell("verify");
    assert_eq!(verified["verified"]["violations"], 0, "{verified}");
    let until = Instant::now() + PATIENCE;
    loop {
        let census = Census::take(&server).await.unwrap();
        if census.is_clean() && census.placed_count > 0 {
            break;
        }
        assert!(Instant::now() < until, "{census:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    load.finish();
}
