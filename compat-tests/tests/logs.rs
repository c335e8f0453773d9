//! What real processes log: the id of a request in all of its lines, in the gateway and in the nodes;
//! files within their limits; and no secret, whatever is logged.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use compat_tests::cluster::{ACCESS_KEY, CLUSTER_SECRET, Form, Plan, SECRET_KEY, Server};
use compat_tests::raw::{Answer, Connection, Request};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// A bound against hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const TOKEN: &str = "canary-token-of-scrapers-0123";

/// Everything is logged, by all processes.
fn plan(form: Form) -> Plan {
    let plan = Plan::new(form).set("RUST_LOG", "trace").set("SIXFOLD_ADMIN_TOKEN", TOKEN);
    plan.set("SIXFOLD_LOG_FORMAT", "json").set("SIXFOLD_LOG_SLOW_AFTER", "1ms")
}

async fn send(server: &Server, request: Request) -> Answer {
    request.sign(&server.signer(), server.address()).send(server.address()).await
}

/// The lines of a log that are whole, each as it was written and as it is read.
fn lines(path: &Path) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.starts_with('{'));
    let whole = whole.filter(|line| line.ends_with('\n'));
    whole.map(|line| (line.to_owned(), serde_json::from_str(line).expect("JSON"))).collect()
}

/// Waits for a line in which `is` is true.
async fn line(path: &Path, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some((_, found)) = lines(path).into_iter().find(|(_, line)| is(line)) {
            return found;
        }
        assert!(Instant::now() < until, "no line in {}: {what}", path.display());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_of(line: &Value, id: &str) -> bool {
    line["request.id"] == id
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_carry_the_id_of_their_request_and_no_secret() {
    let server = plan(Form::Separate).start();
    let gateway = server.folder().join("gateway.log");
    send(&server, Request::put("/logged")).await.expect_status(200);
    let put = Request::put("/logged/a%0Ab").body(vec![1; 3_000_000]);
    let put = send(&server, put).await.expect_status(200);
    let id = put.header("x-amz-request-id").unwrap().to_owned();

    let access = line(&gateway, "of the access log", |line| {
        line["target"] == "sixfold::access" && is_of(line, &id)
    });
    let access = access.await;
    assert_eq!((&access["op"], &access["status"]), (&"PutObject".into(), &200.into()));
    assert_eq!(access["object.key"], "a\\nb", "a line stays a line");
    assert!(access["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{access}");
    let slow = |line: &Value| line["target"] == "sixfold::slow" && is_of(line, &id);
    assert_eq!(line(&gateway, "of a slow request", slow).await["received_bytes"], 3_000_000);
    for node in 0..6 {
        let log = server.folder().join(format!("node{node}.log"));
        let is_put = |line: &Value| line["call"] == "put" && is_of(line, &id);
        line(&log, "of the put", is_put).await;
    }

    // A request that the parser refuses has its line, too.
    let mut connection = Connection::open(server.address()).await.unwrap();
    connection.send(b"GET / HTTP/7.1\r\n\r\n").await.unwrap();
    line(&gateway, "of a refusal", |line| line["status"] == 400 && line["op"] == "none").await;

    // Every way a secret comes in: signed, presigned, wrong, and as a token.
    send(&server, Request::get("/logged/none")).await.expect_status(404);
    let presigned = Request::get("/logged/a%0Ab");
    let presigned = presigned.presign(&server.signer(), server.address(), PATIENCE);
    presigned.send(server.address()).await.expect_status(200);
    let wrong = Request::get("/logged/a%0Ab").sign(&server.signer().region("else"), "else");
    assert_ne!(wrong.send(server.address()).await.status, 200);
    let mut scrape = Request::get("/metrics").unsigned(server.admin_address());
    scrape.set("authorization", &format!("Bearer {TOKEN}"));
    scrape.send(server.admin_address()).await.expect_status(200);
    let key = send(&server, Request::get("/logged?list-type=2")).await.expect_status(200);
    assert!(key.text().contains("<Key>"), "{}", key.text());

    let master_key = std::fs::read_to_string(server.folder().join("master.key")).unwrap();
    let canaries = [SECRET_KEY, CLUSTER_SECRET, TOKEN, master_key.trim()];
    for log in (0..6).map(|node| format!("node{node}.log")).chain(["gateway.log".to_owned()]) {
        let text = std::fs::read_to_string(server.folder().join(&log)).unwrap();
        assert!(text.len() > 1000, "{log}");
        for canary in canaries {
            assert!(!text.contains(canary), "{log} holds a secret");
        }
    }
    let text = std::fs::read_to_string(&gateway).unwrap();
    assert!(text.contains(ACCESS_KEY), "an access key is no secret, and helps");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_a_file_stays_within_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sixfold.log");
    let plan = Plan::new(Form::Embedded).set("RUST_LOG", "trace,hyper=off,h2=off");
    let plan = plan.set("SIXFOLD_LOG_FILE", path.to_str().unwrap());
    let server = plan.set("SIXFOLD_LOG_FILE_MIB", "1").set("SIXFOLD_LOG_FILES", "2").start();
    send(&server, Request::put("/filed")).await.expect_status(200);
    let until = Instant::now() + PATIENCE;
    while !folder.path().join("sixfold.log.2").exists() {
        let long = format!("/filed/{}", "x".repeat(900));
        send(&server, Request::put(&long).body("1")).await.expect_status(200);
        assert!(Instant::now() < until, "the log does not end");
    }
    let sizes = std::fs::read_dir(folder.path()).unwrap();
    let sizes = sizes.map(|entry| entry.unwrap().metadata().unwrap().len()).collect::<Vec<_>>();
    assert!(sizes.len() <= 3 && sizes.iter().all(|size| *size < 2 << 20), "{sizes:?}");
}
