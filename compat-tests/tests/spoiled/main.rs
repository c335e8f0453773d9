//! Failures that need something between real processes, or in their place: a way that is slow or cut,
//! a peer that sends garbage, clients that vanish, a node that comes and goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod clocks;
mod flapping;
mod garbage;
mod slow_node;
mod two_gateways;
mod vanishing;

use std::time::{Duration, Instant};

use compat_tests::census::{Census, NOT_WHOLE};
use compat_tests::cluster::Server;
use compat_tests::raw::{Answer, Request};

/// What is waited for takes seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// Bodies that nothing refers to any more, whose rows place chunks until those are deleted.
const FREED: &str = "select count(*) from body where refs = 0";

/// What one gateway of a server answers.
async fn ask_at(server: &Server, address: &str, request: Request) -> Answer {
    request.sign(&server.signer(), address).send(address).await
}

/// What the server's own gateway answers.
async fn ask(server: &Server, request: Request) -> Answer {
    ask_at(server, server.address(), request).await
}

async fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !tokio::task::block_in_place(&mut is_there) {
        assert!(Instant::now() < until, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until every extent has six whole chunks on six nodes.
async fn wait_until_whole(server: &Server) {
    wait_for("six chunks of every extent", || server.metadata(NOT_WHOLE).trim() == "0").await;
}

/// Waits until what was deleted and overwritten is gone from the nodes.
async fn wait_until_collected(server: &Server) {
    wait_for("the collection", || server.metadata(FREED).trim() == "0").await;
}

/// Counts once everything is collected: every chunk is in its place. What a slow node stored after
/// it had been given up may be there besides, until the lease of its writer ends.
async fn census_without_lacks(server: &Server) -> Census {
    wait_until_collected(server).await;
    let census = Census::take(server).await.unwrap();
    assert!(census.lacking.is_empty() && census.placed_count > 0, "{census:#?}");
    census
}

/// Counts until nothing lacks, and nothing is there that no row places: for a cluster whose leases
/// have ended.
async fn wait_for_clean_census(server: &Server) -> Census {
    wait_until_collected(server).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let census = Census::take(server).await.unwrap();
        if census.is_clean() {
            return census;
        }
        assert!(Instant::now() < until, "{census:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A put in the scheme that needs all six nodes, until it succeeds.
async fn wait_for_all_six(server: &Server, bucket: &str) {
    let until = Instant::now() + PATIENCE;
    let put = Request::put(&format!("/{bucket}/probe")).body(vec![2; 100_000]);
    let put = put.header("x-amz-storage-class", "SIXFOLD_SCRATCH");
    while ask(server, put.clone()).await.status != 200 {
        assert!(Instant::now() < until, "not all six nodes are used");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
