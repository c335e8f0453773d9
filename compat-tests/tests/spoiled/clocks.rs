//! F25: clocks that are wrong, and that are set while the process runs. Debian's libfaketime gives a
//! process another time of day; what it measures durations with stays right, as in a machine whose
//! clock is set.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use compat_tests::cluster::{Form, Gateway, Plan, Server, is_ready};
use compat_tests::objects::Body;
use compat_tests::raw::{Request, Signer};
use compat_tests::scrape::Scrape;

use super::{ask, ask_at, census_without_lacks, wait_for, wait_for_all_six};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A clock that a process is started with.
struct Clock {
    file: PathBuf,
    library: String,
}

impl Clock {
    /// Shows the right time until it is set.
    fn new(server: &Server, name: &str) -> Self {
        let mut folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
        let library = folders.find_map(|folder| {
            let library = folder.join("faketime/libfaketimeMT.so.1");
            library.is_file().then_some(library)
        });
        let library = library.expect("libfaketime: run compat-tests/install.sh");
        let clock = Self {
            file: server.folder().join(format!("clock-{name}")),
            library: library.to_str().unwrap().to_owned(),
        };
        clock.set(0);
        clock
    }

    /// So many seconds before the right time, or behind it.
    fn set(&self, ahead_s: i64) {
        // Renamed, so that nobody reads half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{ahead_s:+}")).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn environment(&self) -> [(&str, &str); 5] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

/// Signs by a clock that is ahead by so much.
fn signer(server: &Server, ahead_s: i64) -> Signer {
    let off = Duration::from_secs(ahead_s.unsigned_abs());
    server.signer().at(|time| if ahead_s < 0 { time - off } else { time + off })
}

/// Another clock under a node that is started anew.
fn restart_node(server: &mut Server, index: usize, clock: &Clock) {
    server.take_away(index);
    let listen = compat_tests::cluster::free_address();
    let mut command: Command = server.node_command(&server.drive(index), &listen);
    command.envs(clock.environment());
    server.start_node_as(index, &mut command);
}

/// How far a gateway believes to be ahead of the database.
async fn ahead_s(gateway: &Gateway) -> f64 {
    Scrape::of(gateway.admin_address()).await.sum("sixfold_clock_ahead_seconds", &[])
}

/// Sets the gateway's clock, and waits until it has noticed.
async fn set(gateway: &Gateway, clock: &Clock, ahead: i64) {
    clock.set(ahead);
    for _ in 0..600 {
        if (ahead_s(gateway).await - ahead as f64).abs() < 30.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the gateway does not see that it is {ahead} s ahead");
}

/// The last of two writes stays, whichever gateway it came through.
async fn order_is_kept(server: &Server, off: &Gateway, ahead: i64) {
    let ways = [(server.address(), 0), (off.address(), ahead)];
    for last in [0, 1] {
        let key = format!("/clocks/{ahead}-{last}");
        for (address, ahead) in [ways[1 - last], ways[last]] {
            let body = format!("by {address}");
            let put = Request::put(&key).body(body).sign(&signer(server, ahead), address);
            put.send(address).await.expect_status(200);
        }
        for (address, ahead) in ways {
            let got = Request::get(&key).sign(&signer(server, ahead), address).send(address).await;
            assert_eq!(got.expect_status(200).text(), format!("by {}", ways[last].0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_wrong_clocks_decide_nothing() {
    let plan = Plan::new(Form::Separate)
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_LEASE_EXPIRY", "10s")
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "5s")
        .set("SIXFOLD_SWEEP_EVERY", "2s")
        .set("SIXFOLD_FREED_FOR", "1s")
        .set("SIXFOLD_COLLECT_EVERY", "1s");
    let mut server = tokio::task::block_in_place(|| plan.start());
    ask(&server, Request::put("/clocks")).await.expect_status(200);
    let kept = Body::new(25, 3_000_000);
    kept.put(server.address(), &server.signer(), "/clocks/kept").await.unwrap();

    // Nodes a day off, both ways.
    let clocks = [("early", DAY), ("late", -DAY)].map(|(name, ahead)| {
        let clock = Clock::new(&server, name);
        clock.set(ahead);
        clock
    });
    for (index, clock) in clocks.iter().enumerate() {
        tokio::task::block_in_place(|| restart_node(&mut server, index, clock));
    }
    wait_for_all_six(&server, "clocks").await;
    wait_for("all heartbeats", || server.are_all_nodes_up(5.0)).await;
    kept.check(server.address(), &server.signer(), "/clocks/kept").await.unwrap();

    let clock = Clock::new(&server, "gateway");
    let off = tokio::task::block_in_place(|| Gateway::beside_with(&server, &clock.environment()));
    let leases = server.metadata("select id from lease order by id");
    // Minutes off: it alarms, and serves.
    set(&off, &clock, 300).await;
    assert!(is_ready(off.admin_address()));
    ask_at(&server, off.address(), Request::get("/clocks/kept")).await.expect_status(200);
    order_is_kept(&server, &off, 300).await;
    // An hour off, either way: it is not ready, and takes only what is signed by its own clock.
    for ahead in [HOUR, -HOUR] {
        set(&off, &clock, ahead).await;
        wait_for("the end of readiness", || !is_ready(off.admin_address())).await;
        let refused = ask_at(&server, off.address(), Request::get("/clocks/kept")).await;
        assert_eq!(refused.outcome(), (403, "RequestTimeTooSkewed".to_owned()));
        order_is_kept(&server, &off, ahead).await;
    }
    set(&off, &clock, 0).await;
    wait_for("readiness", || is_ready(off.admin_address())).await;
    order_is_kept(&server, &off, 0).await;
    assert_eq!(server.metadata("select id from lease order by id"), leases, "a lease ended");
    kept.check(off.address(), &server.signer(), "/clocks/kept").await.unwrap();
    census_without_lacks(&server).await;
}
