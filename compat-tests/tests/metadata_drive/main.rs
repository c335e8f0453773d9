//! The metadata outlives its drive: `sixfold server` copies its PostgreSQL to two other drives while it
//! runs, commits never hang for a copy, and `--recover-meta` finds every acknowledged object again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod machine;

use compat_tests::forms::within;
use compat_tests::objects::Body;
use machine::{Machine, signal, signer, write_private};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// No write may take longer, whatever becomes of the copies.
const BOUND: Duration = Duration::from_secs(5);

/// How many clients write at once.
const CLIENTS: u64 = 6;

fn body(lane: u64, number: u64) -> Body {
    let size = [10, 4096, 70_000, 700_000][usize::try_from(number % 4).unwrap()];
    Body::new(lane << 32 | number, size)
}

/// What one client was acknowledged.
struct Written {
    count: u64,
    longest: Duration,
}

/// Puts objects one after the other, until told to stop or the first failure.
async fn write(address: String, lane: u64, stop: Arc<AtomicBool>) -> Written {
    let (signer, mut longest) = (signer(), Duration::ZERO);
    for number in 0.. {
        let began = Instant::now();
        let target = format!("/kept/{lane}-{number}");
        let is_done = stop.load(Ordering::Relaxed)
            || body(lane, number).put(&address, &signer, &target).await.is_err();
        if is_done {
            return Written { count: number, longest };
        }
        longest = longest.max(began.elapsed());
    }
    unreachable!("the numbers have no end")
}

/// Clients that write all the time.
struct Load {
    stop: Arc<AtomicBool>,
    lanes: Vec<tokio::task::JoinHandle<Written>>,
}

impl Load {
    fn start(machine: &Machine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let lane = |lane| tokio::spawn(write(machine.address.clone(), lane, stop.clone()));
        Self { lanes: (0..CLIENTS).map(lane).collect(), stop }
    }

    /// Ends it, and answers what was acknowledged in each lane.
    async fn end(self) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut written = Vec::new();
        for lane in self.lanes {
            written.push(lane.await.unwrap());
        }
        written
    }
}

/// Reads everything that was acknowledged.
async fn check_all(machine: &Machine, written: &[Written]) {
    for (lane, written) in (0..).zip(written) {
        assert!(written.count > 0, "nothing was acknowledged in lane {lane}");
        for number in 0..written.count {
            machine.check(body(lane, number), &format!("/kept/{lane}-{number}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_object_is_found_again_after_the_first_drive_is_lost() {
    let mut machine = Machine::start(true).await;
    machine.wait_until_copied().await;
    let load = Load::start(&machine);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // On a machine that is starved of its processors the copies may have been given up for a while.
    machine.wait_until_required(true).await;
    machine.kill_server_and_database();
    std::fs::remove_dir_all(machine.drive(0)).unwrap();
    let written = load.end().await;

    // An empty database is never begun in the place of a lost one.
    let said = machine.refusal(&[]);
    assert!(said.contains("--recover-meta") && said.contains("drive1"), "{said}");
    assert!(!machine.drive(0).exists(), "something was made in the lost drive's place");

    machine.run(&["--recover-meta"]).await;
    let log = machine.log();
    assert!(log.contains("was made anew from its copy"), "{log}");
    check_all(&machine, &written).await;
    let count: u64 = written.iter().map(|lane| lane.count).sum();
    println!("{count} acknowledged objects were found again");

    // It goes on, with its copies, and is never made anew over a database that is there.
    machine.wait_until_required(true).await;
    let after = Body::new(1, 4096);
    after.put(&machine.address, &signer(), "/kept/after").await.unwrap();
    machine.stop();
    let said = machine.refusal(&["--recover-meta"]);
    assert!(said.contains("there is a database in"), "{said}");
    machine.run(&[]).await;
    machine.check(after, "/kept/after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_hangs_for_a_copy() {
    let machine = Machine::start(true).await;
    machine.wait_until_copied().await;
    let receivers = machine.receivers();
    assert_eq!(receivers.len(), 2, "{}", machine.log());
    let load = Load::start(&machine);

    // One is killed: nothing changes, and it comes back.
    signal("KILL", receivers[0]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(machine.is_required().await, "{}", machine.log());
    machine.wait_until_received().await;

    // Both stand still: no commit can be on a copy, and after a moment none waits any more.
    let receivers = machine.receivers();
    receivers.iter().for_each(|pid| signal("STOP", *pid));
    machine.wait_until_required(false).await;
    assert!(machine.log().contains("WITHOUT a copy"), "{}", machine.log());
    tokio::time::sleep(Duration::from_secs(1)).await;
    receivers.iter().for_each(|pid| signal("CONT", *pid));
    machine.wait_until_required(true).await;

    // Both are killed, again and again.
    for _ in 0..8 {
        machine.receivers().into_iter().for_each(|pid| signal("KILL", pid));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let written = load.end().await;
    let longest = written.iter().map(|lane| lane.longest).max().unwrap();
    println!("the longest write took {longest:?}");
    assert!(longest < within(BOUND), "a write took {longest:?}:\n{}", machine.log());
    let failed = written.iter().filter(|lane| lane.count < 20).count();
    assert_eq!(failed, 0, "writes failed:\n{}", machine.log());
    check_all(&machine, &written).await;
}

/// The master key is copied nowhere. Lost with the drive it takes the users' secrets with it, and
/// nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_master_key_costs_the_secrets_and_no_object() {
    let mut machine = Machine::start(false).await;
    let kept = Body::new(1, 70_000);
    kept.put(&machine.address, &signer(), "/kept/object").await.unwrap();
    machine.stop();
    std::fs::remove_dir_all(machine.drive(0)).unwrap();
    let key = machine.drive(0).join("meta/master.key");
    let said = machine.refusal(&["--recover-meta"]);
    assert!(said.contains(key.to_str().unwrap()) && said.contains("openssl rand"), "{said}");
    // As it says; the database has been made anew already.
    write_private(&key, &format!("{}\n", "5a".repeat(32)));
    machine.run(&[]).await;
    machine.check(kept, "/kept/object").await;
}
