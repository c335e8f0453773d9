//! What running processes show on their admin addresses is the table of metrics, no more and no
//! less; and who may see it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use compat_tests::cluster::{Form, Plan, Server, free_address};
use compat_tests::raw::{Answer, Connection, Request};
use sixfold_proto::metrics::{ALL, Kind, Shown};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A bound against hangs; jobs and scrub run within a second with the plans here.
const PATIENCE: Duration = Duration::from_secs(60);

const TOKEN: &str = "a-token-of-scrapers-0123456789";

/// Every job and heartbeat soon.
fn plan(form: Form) -> Plan {
    let often = ["COLLECT", "EXPIRE", "SWEEP", "HEAL", "REBALANCE"];
    let plan = often
        .iter()
        .fold(Plan::new(form), |plan, job| plan.set(&format!("SIXFOLD_{job}_EVERY"), "500ms"));
    plan.set("SIXFOLD_LEASE_RENEWAL", "500ms").set("SIXFOLD_META_COPIES", "always")
}

async fn scrape(address: &str, path: &str, token: Option<&str>) -> Answer {
    let mut wire = Request::get(path).unsigned(address);
    if let Some(token) = token {
        wire.set("authorization", &format!("Bearer {token}"));
    }
    wire.send(address).await
}

/// The kinds of the metrics shown, by name; and every series.
fn shown(text: &str) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut kinds = BTreeMap::new();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            series.insert(line.rsplit_once(' ').unwrap().0.to_owned());
        }
    }
    (kinds, series)
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).parse().unwrap()
}

/// Scrapes until everything that `expects` is there, and checks that nothing else is.
async fn shows_the_table(address: &str, token: Option<&str>, expects: &[Shown]) -> String {
    let expected = ALL.iter().filter(|metric| expects.contains(&metric.shown));
    let expected = expected.map(|metric| (metric.name.to_owned(), metric.kind.name().to_owned()));
    let expected = expected.collect::<BTreeMap<_, _>>();
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = scrape(address, "/metrics", token).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let (kinds, series) = shown(&text);
        for name in kinds.keys() {
            assert!(expected.contains_key(name), "{name} is shown and should not be");
        }
        if kinds == expected {
            check_labels(&series);
            return text;
        }
        let missing = expected.keys().filter(|name| !kinds.contains_key(*name));
        let missing = missing.collect::<Vec<_>>();
        assert!(Instant::now() < until, "not shown: {missing:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Each series has the labels of its metric, and no other.
fn check_labels(series: &BTreeSet<String>) {
    for one in series {
        let (name, labels) = one.split_once('{').unwrap_or((one, "}"));
        let is_of = |metric: &&sixfold_proto::metrics::Metric| match metric.kind {
            Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| name.strip_suffix(end) == Some(metric.name)),
            _ => name == metric.name,
        };
        let metric = ALL.iter().find(is_of).unwrap_or_else(|| panic!("{one} is not in the table"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let names = labels.map(|label| label.split_once('=').unwrap().0);
        let names = names.filter(|name| *name != "le").collect::<Vec<_>>();
        assert_eq!(names, metric.labels, "{one}");
    }
}

/// A bucket, an object there and back, one that is not there, and one that is deleted.
async fn little_traffic(server: &Server) {
    let steps = [
        (Request::put("/seen"), 200),
        (Request::put("/seen/a").body(vec![7; 100_000]), 200),
        (Request::get("/seen/a"), 200),
        (Request::get("/seen/b"), 404),
        (Request::delete("/seen/a"), 204),
    ];
    for (request, status) in steps {
        let wire = request.sign(&server.signer(), server.address());
        wire.send(server.address()).await.expect_status(status);
    }
}

fn check_traffic(text: &str) {
    let requests = |op: &str, class: &str| {
        let labels = format!("op=\"{op}\",status_class=\"{class}\"");
        value(text, &format!("sixfold_http_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("PutObject", "2xx") as u64, 1);
    assert_eq!((requests("GetObject", "2xx") as u64, requests("GetObject", "4xx") as u64), (1, 1));
    let of = |metric: &str, op: &str| value(text, &format!("{metric}{{op=\"{op}\"}}")) as u64;
    assert_eq!(of("sixfold_http_received_bytes_total", "PutObject"), 100_000);
    assert!(of("sixfold_http_sent_bytes_total", "GetObject") > 100_000, "the 404 has a document");
    assert_eq!(of("sixfold_http_first_byte_seconds_count", "GetObject"), 2);
    assert_eq!(value(text, "sixfold_http_errors_total{error_code=\"NoSuchKey\"}") as u64, 1);
    assert_eq!(value(text, "sixfold_database_up") as u64, 1);
    assert_eq!(value(text, "sixfold_ready") as u64, 1);
    for node in 1..=6 {
        let alive = format!("sixfold_node_state{{node=\"{node}\",state=\"alive\"}}");
        let closed = format!("sixfold_node_breaker_state{{node=\"{node}\",state=\"closed\"}}");
        assert_eq!((value(text, &alive) as u64, value(text, &closed) as u64), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_the_table() {
    let server = plan(Form::Embedded).start();
    little_traffic(&server).await;
    let expects = [Shown::Everywhere, Shown::Gateways, Shown::Drives, Shown::Copies];
    let text = shows_the_table(server.admin_address(), None, &expects).await;
    check_traffic(&text);
    let device = value(&text, "sixfold_node_capacity_bytes{node=\"1\"}");
    let cluster = value(&text, "sixfold_cluster_capacity_bytes");
    assert!((cluster - device).abs() < 1.0, "six folders are one device: {cluster}, {device}");
    let minio = scrape(server.admin_address(), "/minio/v2/metrics/cluster", None).await.text();
    assert!(value(&minio, "minio_cluster_capacity_raw_total_bytes") > 0.0);
    let puts = "minio_s3_requests_total{api=\"PutObject\",status_class=\"2xx\"}";
    assert_eq!(value(&minio, puts) as u64, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_and_nodes_show_theirs_to_those_that_may() {
    let mut server = plan(Form::Separate).set("SIXFOLD_ADMIN_TOKEN", TOKEN).start();
    little_traffic(&server).await;
    let admin = server.admin_address().to_owned();
    let expects = [Shown::Everywhere, Shown::Gateways];
    check_traffic(&shows_the_table(&admin, Some(TOKEN), &expects).await);
    for path in ["/metrics", "/minio/v2/metrics/cluster"] {
        for token in [None, Some("another-token-of-scrapers")] {
            assert_eq!(scrape(&admin, path, token).await.status, 401);
        }
    }
    assert_eq!(scrape(&admin, "/health/ready", None).await.status, 200);

    // One node goes: its breaker opens, which the operator is told.
    server.node(0).stop();
    let until = Instant::now() + PATIENCE;
    while !server.status()["breakers"].to_string().contains(" open") {
        assert!(Instant::now() < until, "{}", server.status());
        let put = Request::put("/seen/again").body(vec![7; 100_000]);
        put.sign(&server.signer(), server.address()).send(server.address()).await;
    }
    // It comes back with an admin address.
    let (address, node_admin) = (free_address(), free_address());
    let mut command = server.node_command(&server.drive(0), &address);
    command.args(["--admin-address", &node_admin]);
    server.start_node_as(0, &mut command);
    let until = Instant::now() + PATIENCE;
    while Connection::open(&node_admin).await.is_err() {
        assert!(server.node(0).ended().is_none(), "{}", server.node(0).log_tail());
        assert!(Instant::now() < until, "the node does not show itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let expects = [Shown::Everywhere, Shown::Drives];
    let text = shows_the_table(&node_admin, Some(TOKEN), &expects).await;
    assert!(text.contains("state=\"ok\"} 1"), "{text}");
    assert_eq!(scrape(&node_admin, "/metrics", None).await.status, 401);
    assert_eq!(scrape(&node_admin, "/health/live", None).await.status, 200);
}
