//! Traces of real processes: one request is one trace over gateway, nodes and database; a collector
//! that hangs costs spans and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod collector;

use collector::{Collector, PATIENCE, Received, silent};
use compat_tests::cluster::{CLUSTER_SECRET, Form, Plan, SECRET_KEY, Server};
use compat_tests::raw::{Answer, Request};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

const GATEWAY: &str = "sixfold-gateway";
const NODE: &str = "sixfold-node";

async fn send(server: &Server, request: Request) -> Answer {
    request.sign(&server.signer(), server.address()).send(server.address()).await
}

/// Sends a request that must come to `status`; answers its id.
async fn id_of(server: &Server, request: Request, status: u16) -> String {
    let answer = send(server, request).await.expect_status(status);
    answer.header("x-amz-request-id").unwrap().to_owned()
}

fn named<'a>(trace: &'a [Received], service: &str, name: &str) -> Vec<&'a Received> {
    trace.iter().filter(|one| one.service == service && one.span.name == name).collect()
}

/// Waits for so many calls of nodes in a trace, at both of their ends, and for one of the database.
async fn trace(
    collector: &Collector,
    id: &str,
    call: &str,
    calls: usize,
    database: &str,
) -> Vec<Received> {
    let is_whole = |trace: &[Received]| {
        let is_served = [GATEWAY, NODE].iter().all(|of| named(trace, of, call).len() >= calls);
        is_served && !named(trace, GATEWAY, database).is_empty()
    };
    collector.trace_of(id, is_whole).await
}

/// The names from a span up to the request's own.
fn path(trace: &[Received], from: &Received) -> Vec<String> {
    let by_id = trace.iter().map(|one| (&one.span.span_id, one)).collect::<HashMap<_, _>>();
    let mut path = vec![from.span.name.clone()];
    let mut at = from;
    while !at.span.parent_span_id.is_empty() {
        at = by_id.get(&at.span.parent_span_id).unwrap_or_else(|| panic!("no parent of {at:?}"));
        path.push(at.span.name.clone());
        assert!(path.len() < 10, "a circle: {path:?}");
    }
    path
}

/// What holds of every trace of one request.
fn check_joined(trace: &[Received], operation: &str, id: &str) {
    let roots = trace.iter().filter(|one| one.span.parent_span_id.is_empty()).collect::<Vec<_>>();
    let [root] = roots[..] else { panic!("one root: {roots:#?}") };
    assert_eq!((&*root.span.name, &*root.service), (operation, GATEWAY));
    assert_eq!(root.attribute("sixfold.request_id"), id);
    let ids = trace.iter().map(|one| &one.span.span_id).collect::<HashSet<_>>();
    assert_eq!(ids.len(), trace.len(), "every span has its own id");
    for one in trace {
        assert_eq!(path(trace, one).last().unwrap(), operation);
        assert!(one.span.start_time_unix_nano <= one.span.end_time_unix_nano);
    }
    let of_gateway = trace.iter().filter(|one| one.service == GATEWAY);
    let of_gateway = of_gateway.map(|one| (&one.span.span_id, one)).collect::<HashMap<_, _>>();
    for served in trace.iter().filter(|one| one.service == NODE) {
        let call = of_gateway[&served.span.parent_span_id];
        assert_eq!((call.span.kind, served.span.kind), (3, 2), "a client's, a server's");
        assert_eq!(call.span.name, served.span.name);
    }
}

fn instances(trace: &[Received], call: &str) -> usize {
    named(trace, NODE, call).iter().map(|one| &one.instance).collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_put_is_one_trace_across_processes() {
    let (collector, endpoint) = Collector::start().await;
    let plan = Plan::new(Form::Separate).set("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let server = plan.set("SIXFOLD_LOG_FORMAT", "json").start();
    id_of(&server, Request::put("/traced"), 200).await;

    // Three stripes go by streams of their own, one small cell shares one with others.
    for (key, size) in [("large", 3 << 20), ("small", 1000)] {
        let put = Request::put(&format!("/traced/{key}-canary")).body(vec![7; size]);
        let id = id_of(&server, put, 200).await;
        let put = trace(&collector, &id, "put", 6, "commit").await;
        check_joined(&put, "PutObject", &id);
        assert_eq!(instances(&put, "put"), 6, "every node");
        let commit = named(&put, GATEWAY, "commit")[0];
        assert_eq!(path(&put, commit), ["commit", "PutObject"]);
        assert_eq!(commit.attribute("db.system"), "postgresql");
        let call = named(&put, NODE, "put")[0];
        assert_eq!(path(&put, call), ["put", "put", "write extent", "PutObject"]);
        assert!(!named(&put, GATEWAY, "receive stripe").is_empty());
        assert!(!named(&put, GATEWAY, "encode stripe").is_empty());
        let root = named(&put, GATEWAY, "PutObject")[0];
        assert_eq!(root.attribute("http.response.status_code"), "200");
        assert_eq!(root.attribute("http.request.body.size"), size.to_string());
        assert_eq!(root.attribute("aws.s3.bucket"), "traced");

        let id = id_of(&server, Request::get(&format!("/traced/{key}-canary")), 200).await;
        let get = trace(&collector, &id, "get", 4, "find").await;
        check_joined(&get, "GetObject", &id);
        assert_eq!(
            path(&get, named(&get, NODE, "get")[0]),
            ["get", "get", "read extent", "GetObject"]
        );
        check_log(&server.folder().join("gateway.log"), &id, &get[0]);
    }

    // A caller's own trace is gone on with. Secrets come in presigned, too, and don't get out.
    let caller = format!("00-{}-{}-01", "ab".repeat(16), "cd".repeat(8));
    let get = Request::get("/traced/small-canary");
    let mut wire = get.presign(&server.signer(), server.address(), PATIENCE);
    let signature = wire.target().split("X-Amz-Signature=").nth(1).unwrap().to_owned();
    let signature = signature.split('&').next().unwrap().to_owned();
    wire.set("traceparent", &caller);
    let answer = wire.send(server.address()).await.expect_status(200);
    let id = answer.header("x-amz-request-id").unwrap();
    let followed = trace(&collector, id, "get", 4, "find").await;
    assert!(followed.iter().all(|one| one.span.trace_id == [0xab; 16]));
    let root = named(&followed, GATEWAY, "GetObject")[0];
    assert_eq!(root.span.parent_span_id, [0xcd; 8]);

    let told = collector.everything();
    for canary in [&signature, SECRET_KEY, CLUSTER_SECRET, "canary", "X-Amz"] {
        assert!(!told.contains(canary), "a span holds {canary}");
    }
}

/// The access log names the trace.
fn check_log(path: &Path, id: &str, one: &Received) {
    let trace_id = u128::from_be_bytes(one.span.trace_id.clone().try_into().unwrap());
    let log = std::fs::read_to_string(path).unwrap();
    let is_access = |line: &&str| line.contains("sixfold::access") && line.contains(id);
    let line = log.lines().find(is_access).expect("a line of the access log");
    assert!(line.contains(&format!("\"trace_id\":\"{trace_id:032x}\"")), "{line}");
}

async fn spans(server: &Server, outcome: &str) -> u64 {
    let scrape = Request::get("/metrics").unsigned(server.admin_address());
    let text = scrape.send(server.admin_address()).await.expect_status(200).text();
    let series = format!("sixfold_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_costs_spans_and_nothing_else() {
    let endpoint = silent().await;
    let plan = Plan::new(Form::Embedded).set("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let mut server = plan.start();
    id_of(&server, Request::put("/hung"), 200).await;
    let until = Instant::now() + PATIENCE;
    // Until the first message is given up.
    while spans(&server, "undelivered").await == 0 {
        id_of(&server, Request::put("/hung/key").body("small"), 200).await;
        assert!(Instant::now() < until, "no span was dropped");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(spans(&server, "sent").await, 0);
    id_of(&server, Request::get("/hung/key"), 200).await;
    let answer = send(&server, Request::get("/hung/key")).await.expect_status(200);
    assert_eq!(answer.text(), "small");
    // It asserts that the process ends well, which it does only by itself.
    server.stop_gateway();
}
