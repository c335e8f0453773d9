//! F29: many clients vanish in the middle of what they send and of what they are sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compat_tests::census::Census;
use compat_tests::cluster::{Form, Plan, Server};
use compat_tests::forms::is_long;
use compat_tests::objects::Body;
use compat_tests::raw::{Connection, Request, Signer};
use compat_tests::scrape::Scrape;
use tokio::task::JoinSet;

use super::{PATIENCE, ask, wait_for_clean_census};

const MIB: u64 = 1024 * 1024;

/// Clients at the same time.
const AT_ONCE: usize = 40;

/// Sent or read before a client vanishes, by turns: within the first stripe, and behind it.
const SOON: [usize; 3] = [1, 300_000, 2_500_000];

/// What may be open besides what was before: the pool's eight connections, and some to nodes.
const SPARE_FILES: usize = 20;

/// What a client needs to know.
struct Target {
    address: String,
    signer: Signer,
}

impl Target {
    /// Half an upload.
    async fn vanish_in_put(&self, number: usize) {
        let put = Request::put(&format!("/gone/{number}")).body(vec![7; 4_000_000]);
        let wire = put.unsigned_payload().sign(&self.signer, &self.address);
        let mut connection = Connection::open(&self.address).await.unwrap();
        connection.send(&wire.head_bytes()).await.unwrap();
        // It may be told to slow down before it has sent so much.
        drop(connection.send(&wire.body[..SOON[number % SOON.len()]]).await);
    }

    /// Half a download.
    async fn vanish_in_get(&self, number: usize) {
        let wire = Request::get("/gone/kept").sign(&self.signer, &self.address);
        let mut connection = Connection::open(&self.address).await.unwrap();
        connection.send(&wire.bytes()).await.unwrap();
        let (mut left, mut buffer) = (SOON[number % SOON.len()], vec![0; 64 * 1024]);
        while left > 0 {
            match connection.read(&mut buffer).await {
                Ok(read @ 1..) => left = left.saturating_sub(read),
                _ => return,
            }
        }
    }
}

/// Descriptors of the gateway and of all nodes.
fn open_files(server: &mut Server) -> Vec<usize> {
    let mut pids = vec![server.gateway().pid()];
    pids.extend((0..server.node_count()).map(|index| server.node(index).pid()));
    let count = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    pids.into_iter().map(count).collect()
}

/// Waits until the gateway holds nothing for anybody.
async fn wait_until_idle(server: &mut Server, base: &[usize]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let scrape = Scrape::of(server.admin_address()).await;
        let held = ["sixfold_http_requests_in_flight", "sixfold_stripes_in_memory"];
        let held = held.map(|metric| scrape.sum(metric, &[]) as u64);
        let files = open_files(server);
        let are_closed = files.iter().zip(base).all(|(now, then)| *now <= then + SPARE_FILES);
        if held == [0, 0] && are_closed {
            println!("files: {base:?} before, {files:?} after");
            return;
        }
        assert!(Instant::now() < until, "{held:?} held, {files:?} open, {base:?} before");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_clients_that_vanish_leave_nothing() {
    let plan = Plan::new(Form::Separate)
        // The pool keeps what it has opened for some minutes.
        .set("SIXFOLD_DATABASE_CONNECTIONS", "8")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_FREED_FOR", "1s")
        .set("SIXFOLD_COLLECT_EVERY", "500ms")
        .set("SIXFOLD_SWEEP_EVERY", "1s");
    let mut server = tokio::task::block_in_place(|| plan.start());
    ask(&server, Request::put("/gone")).await.expect_status(200);
    let kept = Body::new(29, 12 * MIB);
    kept.put(server.address(), &server.signer(), "/gone/kept").await.unwrap();
    kept.check(server.address(), &server.signer(), "/gone/kept").await.unwrap();
    let base = open_files(&mut server);
    let placed = Census::take(&server).await.unwrap().placed_count;

    let target = Target { address: server.address().to_owned(), signer: server.signer() };
    let target = Arc::new(target);
    let mut clients = JoinSet::new();
    for number in 0..if is_long() { 10_000 } else { 300 } {
        let target = Arc::clone(&target);
        clients.spawn(async move {
            if number % 2 == 0 {
                target.vanish_in_put(number).await;
            } else {
                target.vanish_in_get(number).await;
            }
        });
        if clients.len() >= AT_ONCE {
            clients.join_next().await.unwrap().unwrap();
        }
    }
    clients.join_all().await;
    wait_until_idle(&mut server, &base).await;
    kept.check(server.address(), &server.signer(), "/gone/kept").await.unwrap();
    let there = ask(&server, Request::get("/gone?list-type=2")).await.expect_status(200);
    assert_eq!(there.element("KeyCount"), "1");

    // Its lease ends with it, and with that whatever is left of uploads under it may go.
    tokio::task::block_in_place(|| {
        server.stop_gateway();
        server.start_gateway();
    });
    let census = wait_for_clean_census(&server).await;
    assert_eq!(census.placed_count, placed);
    kept.check(server.address(), &server.signer(), "/gone/kept").await.unwrap();
}
