//! What becomes of node processes when the database is away, a drive is copied, wiped or full, or
//! the secret is another.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, NODE_COUNT, Plan, Server, free_address};
use compat_tests::forms::{is_long, within};
use compat_tests::objects::Body;
use compat_tests::raw::{Answer, Request};

const MIB: u64 = 1024 * 1024;

/// The promised time to an error when the database is away, and room for a busy machine.
const REFUSED_WITHIN: Duration = Duration::from_millis(5500);
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

async fn start(plan: Plan) -> Server {
    let server = plan.start();
    let bucket = Request::put("/nodes").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    server
}

async fn send(server: &Server, request: Request) -> Answer {
    request.sign(&server.signer(), server.address()).send(server.address()).await
}

/// A put in the scheme that needs all six nodes.
async fn all_six_work(server: &Server) -> bool {
    let put = Request::put("/nodes/probe").header("x-amz-storage-class", "SIXFOLD_SCRATCH");
    send(server, put.body(vec![2; 100_000])).await.status == 200
}

async fn wait_for_all_six(server: &Server, patience: Duration) {
    let until = Instant::now() + patience;
    while !all_six_work(server).await {
        assert!(Instant::now() < until, "not all nodes are used: {:?}", server.node_list());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until a node's log holds a text.
async fn wait_for_line(server: &mut Server, index: usize, text: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while !server.node(index).log_tail().contains(text) {
        let said = server.node(index).log_tail();
        assert!(Instant::now() < until, "node {index} never said `{text}`:\n{said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The health of the gateway, by the status of a path on its second listener.
async fn health(server: &Server, path: &str) -> u16 {
    let address = server.admin_address();
    Request::get(path).unsigned(address).send(address).await.status
}

/// No node and no lease ends because the database was away, longer than it takes a node to be
/// called dead; a node that starts meanwhile registers when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn f36_the_database_is_away_and_comes_back() {
    let mut server = start(Plan::new(Form::Separate)).await;
    let body = Body::new(1, 3 * MIB + 1);
    let (address, signer) = (server.address().to_owned(), server.signer());
    body.put(&address, &signer, "/nodes/kept").await.unwrap();
    let before = server.postgres().query("select id from lease order by id");
    assert!(!before.is_empty());

    server.postgres().take_away();
    server.take_away(5);
    server.give_back(5);
    let away = Instant::now();
    let is_away_for = if is_long() { Duration::from_mins(10) } else { Duration::from_secs(20) };
    while away.elapsed() < is_away_for {
        for request in [Request::get("/nodes/kept"), Request::put("/nodes/new").body(vec![1; 99])] {
            let asked = Instant::now();
            let answer = send(&server, request).await;
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(
                asked.elapsed() < within(REFUSED_WITHIN),
                "503 only after {:?}",
                asked.elapsed()
            );
        }
        assert_eq!(health(&server, "/health/live").await, 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(health(&server, "/health/ready").await, 503);
    wait_for_line(&mut server, 5, "can't register yet").await;
    wait_for_line(&mut server, 0, "heartbeats fail; chunks are served on").await;

    server.postgres().bring_back();
    let back = Instant::now();
    while body.check(&address, &signer, "/nodes/kept").await.is_err()
        || body.put(&address, &signer, "/nodes/after").await.is_err()
    {
        assert!(back.elapsed() < within(RECOVERED_WITHIN), "no recovery: {}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(back.elapsed() < within(RECOVERED_WITHIN), "recovered after {:?}", back.elapsed());
    wait_for_all_six(&server, Duration::from_mins(1)).await;
    assert_eq!(server.node_list().len(), NODE_COUNT, "a drive got a second number");
    assert!((0..NODE_COUNT).all(|index| server.node(index).ended().is_none()));
    let after = server.postgres().query("select id from lease order by id");
    // Further ones are no loss: a lease gives way to a new one from time to time.
    let is_there = |lease: &str| after.lines().any(|line| line == lease);
    assert!(before.lines().all(is_there), "a lease ended: {before:?}, {after:?}");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// The same directory twice is refused at once; a copy of it takes the place of the original,
/// which is told so and refuses changes from then on.
#[tokio::test(flavor = "multi_thread")]
async fn f26_a_drive_is_served_by_one_process() {
    let mut server = start(Plan::new(Form::Separate)).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    let body = Body::new(2, 5 * MIB);
    body.put(&address, &signer, "/nodes/before").await.unwrap();

    let drive = server.drive(0);
    let output = server.node_command(&drive, &free_address()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let holder = format!("in use by process {}", server.node(0).pid());
    assert!(!output.status.success() && said.contains(&holder), "{said}");
    assert!(said.contains(&drive.display().to_string()), "{said}");

    let copied = server.folder().join("copied");
    copy(&drive, &copied);
    let mut command = server.node_command(&copied, &free_address());
    let log = server.folder().join("copied.log");
    let mut second = compat_tests::cluster::Process::start("copied", &mut command, &log);
    wait_for_line(&mut server, 0, "another process has registered this drive as node").await;
    assert!(second.ended().is_none() && server.node(0).ended().is_none());
    assert_eq!(server.node_list().len(), NODE_COUNT);
    wait_for_all_six(&server, Duration::from_secs(40)).await;
    body.check(&address, &signer, "/nodes/before").await.unwrap();
    body.put(&address, &signer, "/nodes/after").await.unwrap();
    body.check(&address, &signer, "/nodes/after").await.unwrap();
}

/// A wiped drive is a new node: the chunks that the old number had are missing, not wrong, and are
/// made anew there once it is given the old one's place.
#[tokio::test(flavor = "multi_thread")]
async fn f27_a_wiped_drive_gets_a_new_number() {
    let mut server = start(Plan::new(Form::Separate).set("SIXFOLD_HEAL_EVERY", "500ms")).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    let body = Body::new(3, 5 * MIB);
    body.put(&address, &signer, "/nodes/before").await.unwrap();
    let known = server.node_list();
    let wiped = std::fs::read_to_string(server.drive(0).join("sixfold-drive")).unwrap();
    let is_wiped = |node: &&serde_json::Value| wiped.contains(node["drive"].as_str().unwrap());
    let old = known.iter().find(is_wiped).unwrap()["number"].to_string();
    server.take_away(0);
    std::fs::remove_dir_all(server.drive(0)).unwrap();
    std::fs::create_dir(server.drive(0)).unwrap();
    server.give_back(0);
    wait_for_line(&mut server, 0, "registered as node 7").await;
    let now = server.node_list();
    assert_eq!(now.len(), NODE_COUNT + 1);
    for node in &known {
        assert!(now.iter().any(|other| other["drive"] == node["drive"]), "{node} is forgotten");
    }
    body.check(&address, &signer, "/nodes/before").await.unwrap();
    wait_for_all_six(&server, Duration::from_secs(40)).await;
    body.put(&address, &signer, "/nodes/after").await.unwrap();
    body.check(&address, &signer, "/nodes/after").await.unwrap();

    let output = server.administer(&["node", "replace", &old, "7", "--force"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left = format!(
        "select count(*) from extent e join placement p on p.id = e.placement_id
        where e.missing <> 0 or p.nodes @> array[{old}::smallint]"
    );
    let until = Instant::now() + Duration::from_secs(60);
    while server.metadata(&left).trim() != "0" {
        body.check(&address, &signer, "/nodes/before").await.unwrap();
        assert!(Instant::now() < until, "not healed: {}", server.metadata(&left));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    body.check(&address, &signer, "/nodes/before").await.unwrap();
}

/// Without a secret a node does not start; with another one it serves nobody, and both sides say so.
#[tokio::test(flavor = "multi_thread")]
async fn another_secret_is_refused_by_name() {
    let mut server = start(Plan::new(Form::Separate)).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    let body = Body::new(4, 5 * MIB);
    body.put(&address, &signer, "/nodes/before").await.unwrap();
    server.take_away(0);
    for (secret, mend) in [(None, "no cluster secret"), (Some("short"), "at least 32 characters")] {
        let mut command = server.node_command(&server.drive(0), &free_address());
        match secret {
            Some(secret) => command.env("SIXFOLD_CLUSTER_SECRET", secret),
            None => command.env_remove("SIXFOLD_CLUSTER_SECRET"),
        };
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(mend), "{said}");
    }
    let mut command = server.node_command(&server.drive(0), &free_address());
    command.env("SIXFOLD_CLUSTER_SECRET", "f".repeat(64));
    server.start_node_as(0, &mut command);
    wait_for_line(&mut server, 0, "registered as node").await;
    let until = Instant::now() + Duration::from_secs(30);
    while !server.log_tail().contains("the node refused the cluster secret") {
        assert!(Instant::now() < until, "the gateway never said it:\n{}", server.log_tail());
        body.put(&address, &signer, "/nodes/without").await.unwrap();
        body.check(&address, &signer, "/nodes/before").await.unwrap();
    }
    wait_for_line(&mut server, 0, "refused a call with another cluster secret").await;
}

/// A full drive is passed by; when all are full, writes get 507, reads and deletes work, and what
/// was deleted can be written again.
#[tokio::test(flavor = "multi_thread")]
async fn f07_full_drives_refuse_and_recover() {
    let plan = Plan::new(Form::Separate)
        .drives_of_mib([16, 40, 40, 40, 40, 40])
        .set("SIXFOLD_FREED_FOR", "1s")
        .set("SIXFOLD_COLLECT_EVERY", "1s");
    let server = start(plan).await;
    let body = Body::new(5, 4 * MIB);
    let (address, signer) = (server.address().to_owned(), server.signer());
    let mut stored = Vec::new();
    let refused = loop {
        let name = format!("/nodes/{}", stored.len());
        let answer = send(&server, Request::put(&name).body(body.bytes())).await;
        if answer.status != 200 {
            break answer;
        }
        stored.push(name);
        assert!(stored.len() < 100, "drives of 40 MiB can't hold this");
    };
    assert_eq!(refused.status, 507, "after {}: {}", stored.len(), refused.text());
    // The smallest drive was full after 15: the others took the rest.
    assert!(stored.len() > 20, "only {} were stored", stored.len());
    for name in &stored {
        body.check(&address, &signer, name).await.unwrap();
    }
    for name in &stored {
        send(&server, Request::delete(name)).await.expect_status(204);
    }
    let until = Instant::now() + Duration::from_secs(90);
    while send(&server, Request::put("/nodes/again").body(body.bytes())).await.status != 200 {
        assert!(Instant::now() < until, "no space returned: {:?}", server.node_list());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    body.check(&address, &signer, "/nodes/again").await.unwrap();
    wait_for_all_six(&server, Duration::from_mins(1)).await;
}
