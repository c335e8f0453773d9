//! `sixfold check` finds what the rows and the nodes' drives do not agree about, names it, and has
//! made anew what can be.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, NODE_COUNT, Plan, Server};
use compat_tests::objects::Body;
use compat_tests::raw::Request;
use serde_json::Value;

/// For a busy machine: it takes a few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the command's exit code says.
const WRONG: i32 = 3;
const INCOMPLETE: i32 = 4;

/// Objects whose chunks are files of their own, and one whose chunks are not.
const HURT: (u64, u64) = (1, 3_000_000);
const LOST: (u64, u64) = (2, 3_000_001);
const FORGOTTEN: (u64, u64) = (3, 3_000_002);
const SMALL: (u64, u64) = (4, 1000);

fn target((seed, _): (u64, u64)) -> String {
    format!("/checked/{seed}")
}

async fn put(server: &Server, object: (u64, u64)) {
    let body = Body::new(object.0, object.1);
    body.put(server.address(), &server.signer(), &target(object)).await.unwrap();
}

async fn read(server: &Server, object: (u64, u64)) {
    let body = Body::new(object.0, object.1);
    body.check(server.address(), &server.signer(), &target(object)).await.unwrap();
}

/// Runs the command; answers its exit code and what it said.
fn check(server: &Server, arguments: &[&str]) -> (i32, Value) {
    let said = server.administer(&[&["check", "--json"], arguments].concat());
    let report = serde_json::from_slice(&said.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    (said.status.code().unwrap(), report)
}

/// The extent of an object, and the nodes of its chunks by index.
fn extent(server: &Server, (seed, _): (u64, u64)) -> (String, Vec<u64>) {
    let row = server.metadata(&format!(
        "select replace(e.id::text, '-', ''), array_to_string(p.nodes, ',')
        from object o join extent e on e.body_id = o.body join placement p on p.id = e.placement_id
        where o.key = '{seed}'"
    ));
    let (id, nodes) = row.trim().split_once('|').expect("one extent");
    (id.to_owned(), nodes.split(',').map(|node| node.parse().unwrap()).collect())
}

/// The file of a chunk on a drive, and its index.
fn chunk_file(server: &Server, drive: usize, extent: &str) -> (PathBuf, u64) {
    let folder = server.drive(drive).join("chunks").join(&extent[30..]);
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(extent)
    });
    let file = file.expect("a chunk of this extent");
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    (file, name.split('.').nth(1).unwrap().parse().unwrap())
}

/// Deletes chunks of an object from the drives; answers their indexes and nodes.
fn lose(server: &Server, object: (u64, u64), drives: &[usize]) -> BTreeSet<(u64, u64)> {
    let (id, nodes) = extent(server, object);
    let mut lost = BTreeSet::new();
    for drive in drives {
        let (file, index) = chunk_file(server, *drive, &id);
        std::fs::remove_file(file).unwrap();
        lost.insert((index, nodes[usize::try_from(index).unwrap()]));
    }
    lost
}

/// The finding of an object.
fn found(report: &Value, object: (u64, u64)) -> &Value {
    let key = object.0.to_string();
    let findings = report["findings"].as_array().unwrap();
    let is_it = |finding: &&Value| {
        let name = &finding["objects"][0];
        (&name["bucket"], &name["key"]) == (&"checked".into(), &key.as_str().into())
    };
    findings.iter().find(is_it).unwrap_or_else(|| panic!("{key} is not in {report:#}"))
}

/// Indexes and nodes of a finding's absent chunks.
fn absent(finding: &Value) -> BTreeSet<(u64, u64)> {
    let chunks = finding["chunks"].as_array().unwrap().iter();
    let chunks = chunks.filter(|chunk| chunk["is_absent"] == true);
    let pair = |chunk: &Value| (chunk["index"].as_u64().unwrap(), chunk["node"].as_u64().unwrap());
    chunks.map(pair).collect()
}

fn due(report: &Value) -> u64 {
    let nodes = report["chunks_without_rows"].as_array().unwrap();
    nodes.iter().map(|node| node["due"]["chunks"].as_u64().unwrap()).sum()
}

/// Waits until a check asks every node; heal has nothing to do meanwhile.
fn check_all_nodes(server: &Server) -> (i32, Value) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (code, report) = check(server, &[]);
        if report["is_complete"] == true {
            return (code, report);
        }
        assert!(Instant::now() < until, "not every node is there: {report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_rows_and_chunks_are_compared_named_and_healed() {
    let plan = Plan::new(Form::Separate)
        .set("SIXFOLD_SWEEP_EVERY", "1h")
        .set("SIXFOLD_HEAL_EVERY", "500ms");
    let mut server = plan.start();
    let bucket = Request::put("/checked").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    for object in [HURT, LOST, FORGOTTEN, SMALL] {
        put(&server, object).await;
    }
    let (code, report) = check_all_nodes(&server);
    assert_eq!((code, &report["is_well"]), (0, &true.into()), "{report:#}");
    assert_eq!((&report["extents"], &report["chunks_present"]), (&4.into(), &24.into()));

    // A node's drive is read when it starts. The lease of what is put ends with the gateway.
    (0..3).for_each(|drive| server.take_away(drive));
    let (code, report) = check(&server, &[]);
    assert_eq!(code, INCOMPLETE, "{report:#}");
    assert_eq!(report["nodes_unreached"].as_array().unwrap().len(), 3, "{report:#}");
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    let hurt = lose(&server, HURT, &[0, 1]);
    let lost = lose(&server, LOST, &[0, 1, 2]);
    server.stop_gateway();
    let (forgotten, _) = extent(&server, FORGOTTEN);
    server.metadata(&format!(
        "begin; delete from object where key = '{}';
        delete from body where id = (select body_id from extent where id = '{forgotten}');
        delete from extent where id = '{forgotten}'; commit",
        FORGOTTEN.0
    ));
    (0..3).for_each(|drive| server.give_back(drive));
    server.start_gateway();

    let (code, report) = check_all_nodes(&server);
    assert_eq!((code, report["findings"].as_array().unwrap().len()), (WRONG, 2), "{report:#}");
    assert_eq!(absent(found(&report, HURT)), hurt);
    assert_eq!(absent(found(&report, LOST)), lost);
    assert_eq!(found(&report, HURT)["is_unrecoverable"], false);
    assert_eq!(found(&report, LOST)["is_unrecoverable"], true);
    assert_eq!(due(&report), NODE_COUNT as u64, "{report:#}");

    let (code, report) = check(&server, &["--heal"]);
    assert_eq!(code, WRONG, "{report:#}");
    assert_eq!(found(&report, HURT)["outcome"], "healed");
    assert_eq!(found(&report, LOST)["outcome"], "open");
    for object in [HURT, SMALL] {
        read(&server, object).await;
    }
    let rows = server.metadata("select count(*) from extent");
    assert_eq!(rows.trim(), "3", "what can't be read keeps its row");
    let lost = Request::delete(&target(LOST)).sign(&server.signer(), server.address());
    lost.send(server.address()).await.expect_status(204);
    let (code, report) = check(&server, &[]);
    assert_eq!((code, &report["is_well"]), (0, &true.into()), "{report:#}");
    let status = server.status();
    let is_check = |job: &Value| job["name"] == "check";
    assert!(!status["jobs"].as_array().unwrap().iter().any(is_check), "no check runs: {status:#}");
}
