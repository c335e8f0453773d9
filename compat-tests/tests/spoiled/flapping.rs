//! F28: a node that flaps: its process comes and goes, or only its calls, or only its heartbeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, NODE_COUNT, Plan, Server, free_address};
use compat_tests::forms::is_long;
use compat_tests::objects::Body;
use compat_tests::proxy::{Proxy, Way};
use compat_tests::raw::{Request, Signer};

use super::{PATIENCE, ask, wait_for, wait_for_all_six, wait_until_whole};

/// Objects that are there before.
const KEPT: u64 = 30;

/// Longer than a node is dead in one of the rounds, and longer than it takes to call it dead.
const AWAY: Duration = Duration::from_millis(2500);
const BACK: Duration = Duration::from_millis(1500);

/// Where the chunks of what was there before are.
const PLACED: &str = "select e.id, p.nodes from extent e join placement p on p.id = e.placement_id
    join object o on o.body = e.body_id where convert_from(o.key, 'UTF8') like 'kept-%'
    order by e.id";

/// A cluster whose first node is called, and calls the database, through proxies.
struct Flapping {
    server: Server,
    calls: Proxy,
    rows: Proxy,
    listen: String,
}

impl Flapping {
    async fn start() -> Self {
        let plan = Plan::new(Form::Separate)
            .set("SIXFOLD_HEARTBEAT", "300ms")
            .set("SIXFOLD_DEAD_AFTER", "1500ms")
            .set("SIXFOLD_RING_REFRESH", "300ms")
            // Longer than the test.
            .set("SIXFOLD_HOLD_DOWN", "1h")
            .set("SIXFOLD_BREAKER_HALF_OPEN", "1s")
            .set("SIXFOLD_REBALANCE_EVERY", "500ms")
            .set("SIXFOLD_HEAL_EVERY", "500ms");
        let server = tokio::task::block_in_place(|| plan.start());
        let listen = free_address();
        let calls = Proxy::to(&listen).await;
        let rows = Proxy::to_postgres_of(&server).await;
        let mut flapping = Self { server, calls, rows, listen };
        flapping.kill();
        flapping.revive();
        // Nodes to go to, if anything wanted to go.
        tokio::task::block_in_place(|| flapping.server.add_node());
        flapping
    }

    fn kill(&mut self) {
        tokio::task::block_in_place(|| self.server.take_away(0));
    }

    fn revive(&mut self) {
        let mut command = self.server.node_command(&self.server.drive(0), &self.listen);
        command.args(["--advertise", &format!("http://{}", self.calls.address())]);
        command.env("DATABASE_URL", self.rows.database_url());
        self.server.start_node_as(0, &mut command);
    }

    /// Away and back, each time in another way.
    async fn flap(&mut self, round: usize) {
        match round % 3 {
            0 => self.kill(),
            1 => self.calls.set(Way::Closed),
            _ => self.rows.set(Way::Closed),
        }
        tokio::time::sleep(AWAY).await;
        match round % 3 {
            0 => self.revive(),
            1 => self.calls.set(Way::Open),
            _ => self.rows.set(Way::Open),
        }
        tokio::time::sleep(BACK).await;
    }
}

fn kept(index: u64) -> (String, Body) {
    (format!("/flaps/kept-{index}"), Body::new(index, 50_000 + index * 40_000))
}

/// Writes, and reads what is there, until the stop; not one request may fail.
async fn work(address: String, signer: Signer, stop: Arc<AtomicBool>) -> u64 {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let (key, body) = (format!("/flaps/new-{number}"), Body::new(number, 200_000));
        body.put(&address, &signer, &key).await.unwrap();
        body.check(&address, &signer, &key).await.unwrap();
        let (key, body) = kept(number % KEPT);
        body.check(&address, &signer, &key).await.unwrap();
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    number
}

/// Where everything is once nothing moves any more: the seventh node takes its share first.
async fn settled(server: &Server) -> String {
    wait_for("the seventh node", || server.node_list().len() == NODE_COUNT + 1).await;
    let until = Instant::now() + PATIENCE;
    loop {
        wait_until_whole(server).await;
        let before = server.metadata(PLACED);
        tokio::time::sleep(Duration::from_secs(2)).await;
        if server.metadata(PLACED) == before {
            return before;
        }
        assert!(Instant::now() < until, "chunks move for ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_a_node_that_flaps_moves_nothing_and_fails_nobody() {
    let mut flapping = Flapping::start().await;
    ask(&flapping.server, Request::put("/flaps")).await.expect_status(200);
    wait_for_all_six(&flapping.server, "flaps").await;
    let address = flapping.server.address().to_owned();
    for index in 0..KEPT {
        let (key, body) = kept(index);
        body.put(&address, &flapping.server.signer(), &key).await.unwrap();
    }
    let before = settled(&flapping.server).await;

    let stop = Arc::new(AtomicBool::new(false));
    let working = tokio::spawn(work(address, flapping.server.signer(), Arc::clone(&stop)));
    for round in 0..if is_long() { 50 } else { 3 } {
        flapping.flap(round).await;
    }
    stop.store(true, Ordering::Relaxed);
    println!("{} rounds of clients", working.await.unwrap());
    assert_eq!(flapping.server.metadata(PLACED), before, "chunks were moved for a node that flaps");
    wait_until_whole(&flapping.server).await;
    let census = compat_tests::census::Census::take(&flapping.server).await.unwrap();
    assert!(census.lacking.is_empty(), "{:#?}", census.lacking);
}
