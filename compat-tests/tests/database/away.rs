//! F12: the database is silent, slow, out of reach, restarted, and ends its connections, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use compat_tests::forms::{is_long, within};
use compat_tests::proxy::Way;
use compat_tests::raw::{Request, Signer};

use super::{ANSWERED_WITHIN, Cluster};

const CLIENTS: usize = 4;

/// Promised.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

/// Ends every connection of gateways and nodes.
const END_CONNECTIONS: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where application_name like 'sixfold%'";

/// Clients of the spoiled gateway.
struct Load {
    address: String,
    signer: Signer,
    next: AtomicUsize,
    stop: AtomicBool,
}

/// A write and what was said of it.
struct Written {
    key: String,
    body: Vec<u8>,
    is_acknowledged: bool,
}

impl Load {
    /// Writes and reads back until the stop. Every answer comes in time and is a 200 or a 503.
    async fn run(self: Arc<Self>) -> Vec<Written> {
        let mut written = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let key = format!("/rows/load-{number}");
            let body = format!("load {number} ").repeat(3000).into_bytes();
            let status = self.ask(Request::put(&key).body(body.clone())).await;
            if status == 200 {
                self.ask(Request::get(&key)).await;
            }
            written.push(Written { key, body, is_acknowledged: status == 200 });
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        written
    }

    async fn ask(&self, request: Request) -> u16 {
        let asked = Instant::now();
        let answer = request.sign(&self.signer, &self.address).send(&self.address).await;
        let took = asked.elapsed();
        assert!(took < within(ANSWERED_WITHIN), "{} after {took:?}", answer.status);
        assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
        answer.status
    }
}

async fn recovers(cluster: &Cluster, after: &str) {
    let began = Instant::now();
    let put = Request::put("/rows/recovered").body("again");
    cluster.ask_until_served(&put).await.expect_status(200);
    let took = began.elapsed();
    println!("{after}: served again after {took:?}");
    assert!(took < within(RECOVERED_WITHIN), "{after}: served again only after {took:?}");
}

async fn trouble(cluster: &mut Cluster) {
    let ways =
        [Way::Silent, Way::Open, Way::Late(Duration::from_millis(100)), Way::Open, Way::Closed];
    for way in ways {
        cluster.proxy.set(way);
        tokio::time::sleep(Duration::from_secs(if way == Way::Silent { 4 } else { 1 })).await;
        if way == Way::Open {
            recovers(cluster, "silence or slowness").await;
        }
    }
    cluster.proxy.set(Way::Open);
    recovers(cluster, "a closed way").await;

    tokio::task::block_in_place(|| {
        cluster.server.postgres().take_away();
        cluster.server.postgres().bring_back();
    });
    recovers(cluster, "a restart").await;

    for _ in 0..3 {
        tokio::task::block_in_place(|| cluster.server.metadata(END_CONNECTIONS));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    recovers(cluster, "ended connections").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_database_that_is_silent_slow_or_restarted_costs_no_write() {
    let mut cluster = Cluster::start().await;
    let load = Arc::new(Load {
        address: cluster.spoiled.address().to_owned(),
        signer: cluster.server.signer(),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    });
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(Arc::clone(&load).run())).collect();
    for _ in 0..if is_long() { 20 } else { 1 } {
        trouble(&mut cluster).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for client in clients {
        written.extend(client.await.unwrap());
    }
    let mut acknowledged = 0;
    for Written { key, body, is_acknowledged } in &written {
        let got = cluster.ask(Request::get(key)).await;
        acknowledged += usize::from(*is_acknowledged);
        match got.status {
            200 => assert!(got.body == *body, "{key}: other bytes"),
            status => assert!(status == 404 && !is_acknowledged, "{key}: {status}"),
        }
    }
    println!("{acknowledged} of {} writes were acknowledged, and are there", written.len());
    assert!(acknowledged > CLIENTS, "too little was done to show anything");
}
