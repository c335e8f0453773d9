//! F06: the answers of one node come late, and readers hardly notice.

use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, Plan, Server, free_address};
use compat_tests::forms::is_long;
use compat_tests::objects::Body;
use compat_tests::proxy::{Proxy, Way};
use compat_tests::raw::Request;
use compat_tests::scrape::Scrape;

use super::{ask, wait_for_all_six};

/// How late the answers of the slow node are. In CI the others are not fast either, on a machine
/// that does other things: it must be slower than four times that.
fn late() -> Duration {
    Duration::from_millis(if is_long() { 300 } else { 1500 })
}

/// As many reads as an average needs to know of it.
const ROUNDS_TO_LEARN: usize = 2;

const OBJECTS: u64 = 30;

/// The server, the way to one of its nodes, and the number of that node.
async fn start() -> (Server, Proxy, u64) {
    let mut server = tokio::task::block_in_place(|| Plan::new(Form::Separate).start());
    let listen = free_address();
    let proxy = Proxy::to(&listen).await;
    tokio::task::block_in_place(|| {
        server.take_away(0);
        let mut command = server.node_command(&server.drive(0), &listen);
        command.args(["--advertise", &format!("http://{}", proxy.address())]);
        server.start_node_as(0, &mut command);
    });
    ask(&server, Request::put("/slow")).await.expect_status(200);
    wait_for_all_six(&server, "slow").await;
    let nodes = server.node_list();
    let is_behind = |row: &&serde_json::Value| {
        row["address"].as_str().is_some_and(|address| address.ends_with(&proxy.address()))
    };
    let number = nodes.iter().find(is_behind).expect("a node behind the proxy")["number"].as_u64();
    (server, proxy, number.expect("a number"))
}

fn object(index: u64) -> (String, Body) {
    // Of one small cell each, of one stripe, and of several.
    let size = [40_000, 700_000, 2_500_000][index as usize % 3];
    (format!("/slow/{index}"), Body::new(index, size))
}

/// Reads all objects so often; answers how long each took.
async fn read(server: &Server, rounds: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..rounds {
        for index in 0..OBJECTS {
            let (key, body) = object(index);
            let began = Instant::now();
            body.check(server.address(), &server.signer(), &key).await.unwrap();
            took.push(began.elapsed());
        }
    }
    took.sort_unstable();
    took
}

/// Reads of a node that its gateway has begun.
fn reads_of(scrape: &Scrape, node: u64) -> f64 {
    scrape.sum("sixfold_node_calls_total", &[&format!("node=\"{node}\""), "op=\"get\""])
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_slow_node_is_read_last_and_hedges_stay_in_their_budget() {
    let (server, proxy, number) = start().await;
    for index in 0..OBJECTS {
        let (key, body) = object(index);
        body.put(server.address(), &server.signer(), &key).await.unwrap();
    }
    let rounds = if is_long() { 40 } else { 6 };
    let healthy = read(&server, rounds).await;

    proxy.set(Way::Late(late()));
    let mut slow = read(&server, ROUNDS_TO_LEARN).await;
    let before = Scrape::of(server.admin_address()).await;
    slow.extend(read(&server, rounds).await);
    slow.sort_unstable();
    let after = Scrape::of(server.admin_address()).await;

    let reads = |node| reads_of(&after, node) - reads_of(&before, node);
    let others = (1..=6).filter(|node| *node != number).map(reads).sum::<f64>() / 5.0;
    println!("reads of the slow node: {}, of each other one: {others:.0}", reads(number));
    assert!(reads(number) < others / 3.0, "the slow node is not read last");
    let hedges = after.sum("sixfold_hedges_total", &[]);
    let cells = after.sum("sixfold_cells_read_total", &[]);
    println!("{hedges} hedges for {cells} cells");
    assert!(hedges * 20.0 <= cells, "more than 5 % hedges");

    let p99 = |took: &[Duration]| took[took.len() * 99 / 100];
    let p50 = |took: &[Duration]| took[took.len() / 2];
    println!("healthy: p50 {:?}, p99 {:?}", p50(&healthy), p99(&healthy));
    println!("with a slow node: p50 {:?}, p99 {:?}", p50(&slow), p99(&slow));
    if is_long() {
        assert!(p99(&slow) <= p99(&healthy) * 2, "the p99 has more than doubled");
    }
}
