//! F34 with real processes: the gateway is killed again and again while every job has work to do.
//! Each job comes to its end, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use compat_tests::census::{Census, NOT_WHOLE};
use compat_tests::cluster::{Form, NODE_COUNT, Plan, Server};
use compat_tests::objects::Body;
use compat_tests::raw::{Answer, Request};

/// What is waited for takes seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// Two nodes more than six, so that one may be dead and another be drained.
const FURTHER_NODES: usize = 2;

const KILLS: u64 = 8;

/// The longest time between two kills.
const PAUSE_MS: u64 = 1500;

const OBJECTS: u64 = 40;
const UPLOADS: u64 = 12;
const SIZES: [u64; 3] = [1000, 100_000, 2_500_000];

/// Every job often, moves slowly, and whoever is away is soon given up.
fn plan() -> Plan {
    Plan::new(Form::Separate)
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "2s")
        .set("SIXFOLD_RING_REFRESH", "500ms")
        .set("SIXFOLD_HOLD_DOWN", "2s")
        .set("SIXFOLD_HEAL_EVERY", "300ms")
        .set("SIXFOLD_REBALANCE_EVERY", "300ms")
        .set("SIXFOLD_REBALANCE_MIB_PER_S", "2")
        .set("SIXFOLD_COLLECT_EVERY", "300ms")
        .set("SIXFOLD_FREED_FOR", "4s")
        .set("SIXFOLD_EXPIRE_EVERY", "300ms")
        .set("SIXFOLD_UPLOAD_IDLE", "4s")
        .set("SIXFOLD_SWEEP_EVERY", "1s")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_LEASE_EXPIRY", "3s")
}

fn count(server: &Server, query: &str) -> u64 {
    server.metadata(query).trim().parse().expect("a number")
}

async fn send(server: &Server, request: Request) -> Answer {
    request.sign(&server.signer(), server.address()).send(server.address()).await
}

async fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn body(number: u64) -> Body {
    Body::new(number, SIZES[usize::try_from(number % 3).unwrap()])
}

async fn start() -> Server {
    let mut server = tokio::task::block_in_place(|| plan().start());
    for _ in 0..FURTHER_NODES {
        tokio::task::block_in_place(|| server.add_node());
    }
    let all = NODE_COUNT + FURTHER_NODES;
    wait_for("every node", || server.node_list().len() == all).await;
    send(&server, Request::put("/jobs")).await.expect_status(200);
    server
}

/// Objects that stay and objects that will be deleted.
async fn fill(server: &Server) {
    for number in 0..OBJECTS {
        for kind in ["kept", "gone"] {
            let target = format!("/jobs/{kind}-{number}");
            body(number).put(server.address(), &server.signer(), &target).await.unwrap();
        }
    }
}

/// Begins uploads that nobody goes on with.
async fn begin_uploads(server: &Server) {
    for number in 0..UPLOADS {
        let target = format!("/jobs/idle-{number}");
        let begun = send(server, Request::post(&format!("{target}?uploads"))).await;
        let upload = begun.expect_status(200).element("UploadId");
        let part = Request::put(&format!("{target}?partNumber=1&uploadId={upload}"));
        send(server, part.body(vec![7; 100_000])).await.expect_status(200);
    }
}

/// The number of the node on a drive.
fn number_of(server: &Server, index: usize) -> u64 {
    let text = std::fs::read_to_string(server.drive(index).join("sixfold-drive")).unwrap();
    let nodes = server.node_list();
    let row = nodes.iter().find(|row| text.contains(row["drive"].as_str().unwrap())).unwrap();
    row["number"].as_u64().unwrap()
}

/// Gives every job something to do; answers what is left of it, as queries that count.
async fn cause_work(server: &mut Server) -> BTreeMap<&'static str, String> {
    let (dead, drained) = (number_of(server, 0), number_of(server, 1));
    let drain = server.administer(&["node", "drain", &drained.to_string()]);
    assert!(drain.status.success(), "{}", String::from_utf8_lossy(&drain.stderr));
    for number in 0..OBJECTS {
        send(server, Request::delete(&format!("/jobs/gone-{number}"))).await.expect_status(204);
    }
    begin_uploads(server).await;
    server.take_away(0);
    let placed_on = |node: u64| {
        format!(
            "select count(*) from extent e join placement p on p.id = e.placement_id
            where p.nodes @> array[{node}::smallint]"
        )
    };
    BTreeMap::from([
        ("check", "select count(*) from check_run where not is_done".to_owned()),
        ("collect", "select count(*) from body where refs = 0".to_owned()),
        ("drain", placed_on(drained)),
        ("expire", "select count(*) from upload where completed_at is null".to_owned()),
        ("heal", placed_on(dead)),
    ])
}

/// A number below `limit`, and the state it leaves behind.
fn next(state: &mut u64, limit: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % limit
}

#[tokio::test(flavor = "multi_thread")]
async fn f34_gateways_killed_in_the_midst_of_every_job() {
    let seed = std::env::var("SIXFOLD_SEED").map_or(u64::from(std::process::id()), |text| {
        text.parse().expect("SIXFOLD_SEED is a number")
    });
    let (mut server, mut random) = (start().await, seed << 1 | 1);
    fill(&server).await;
    let left = cause_work(&mut server).await;
    let mut killed_with_work = BTreeMap::<&str, u32>::new();
    for kill in 0..KILLS {
        // The first comes before any job can be done.
        let pause = if kill == 0 { 0 } else { next(&mut random, PAUSE_MS) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.metadata("select ask_check_v1(false)");
        for (job, query) in &left {
            *killed_with_work.entry(job).or_default() += u32::from(count(&server, query) > 0);
        }
        server.kill_gateway();
        tokio::task::block_in_place(|| server.start_gateway());
    }
    println!("SIXFOLD_SEED={seed}: kills with work left: {killed_with_work:?}");
    assert!(killed_with_work.values().all(|kills| *kills > 0), "{killed_with_work:?}");
    wait_for("the end of all jobs", || left.values().all(|query| count(&server, query) == 0)).await;
    is_well(&mut server).await;
}

/// Nothing was lost, and nothing is left over.
async fn is_well(server: &mut Server) {
    let drained = number_of(server, 1);
    let is_drained = |server: &Server| {
        server.node_list().iter().any(|row| row["number"] == drained && row["is_drained"] == true)
    };
    wait_for("the end of the drain", || is_drained(server)).await;
    let dead = number_of(server, 0).to_string();
    let removed = server.administer(&["node", "remove", &dead]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    for number in 0..OBJECTS {
        let target = format!("/jobs/kept-{number}");
        body(number).check(server.address(), &server.signer(), &target).await.unwrap();
    }
    // Its leases end, and what was written under them and came into no use may go.
    server.stop_gateway();
    tokio::task::block_in_place(|| server.start_gateway());
    wait_for("whole extents", || count(server, NOT_WHOLE) == 0).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let census = Census::take(server).await.expect("a census");
        if census.is_clean() {
            assert!(census.placed_count as u64 >= OBJECTS * NODE_COUNT as u64);
            break;
        }
        assert!(Instant::now() < until, "{census:#?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let checked = server.administer(&["check", "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
}
