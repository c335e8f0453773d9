//! What was acknowledged survives the end of any process, and two servers never share a directory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compat_tests::cluster::{Form, Server};
use compat_tests::objects::Body;
use compat_tests::raw::{Request, Signer};

async fn make_bucket(server: &Server) {
    let wire = Request::put("/crash").sign(&server.signer(), server.address());
    wire.send(server.address()).await.expect_status(200);
}

fn body(number: u64) -> Body {
    Body::new(number, [10, 70_000, 1_500_000][usize::try_from(number % 3).unwrap()])
}

/// Puts objects one after the other until it is told to stop or the server is gone; returns how many
/// were acknowledged.
async fn writer(address: String, signer: Signer, lane: u64, stop: Arc<AtomicBool>) -> u64 {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return number;
        }
        let target = format!("/crash/{lane}-{number}");
        if body(number).put(&address, &signer, &target).await.is_err() {
            return number;
        }
    }
    unreachable!("the numbers have no end")
}

/// kill -9 of `sixfold` under load, three times: everything acknowledged is there afterwards, and the
/// PostgreSQL that was left behind is taken over.
async fn killed_under_load(form: Form) {
    let mut server = Server::start(form);
    make_bucket(&server).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let lanes: Vec<_> = (0..4)
            .map(|lane| {
                let lane = round * 4 + lane;
                tokio::spawn(writer(address.clone(), signer.clone(), lane, stop.clone()))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        server.kill_gateway();
        stop.store(true, Ordering::Relaxed);
        server.start_gateway();
        for (lane, acknowledged) in (round * 4..).zip(lanes) {
            let acknowledged = acknowledged.await.unwrap();
            assert!(acknowledged > 0, "nothing was acknowledged in lane {lane}");
            for number in 0..acknowledged {
                let target = format!("/crash/{lane}-{number}");
                body(number).check(&address, &signer, &target).await.unwrap();
            }
        }
    }
    server.stop_gateway();
    server.start_gateway();
    body(0).check(&address, &signer, "/crash/0-0").await.unwrap();
}

/// Everything at once, PostgreSQL included, as a power cut does it to processes.
#[tokio::test(flavor = "multi_thread")]
async fn f01_everything_killed() {
    let mut server = Server::start(Form::Embedded);
    make_bucket(&server).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    for number in 0..30 {
        body(number).put(&address, &signer, &format!("/crash/{number}")).await.unwrap();
    }
    let family = descendants(server.gateway().pid());
    assert!(!family.is_empty(), "an embedded server has a PostgreSQL below it");
    server.kill_gateway();
    for pid in family {
        drop(Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status());
    }
    server.start_gateway();
    for number in 0..30 {
        body(number).check(&address, &signer, &format!("/crash/{number}")).await.unwrap();
    }
}

/// A power cut that takes every segment back to what it was at the start: small objects are in the
/// journal that the folders share. A clean stop leaves nothing in it.
#[tokio::test(flavor = "multi_thread")]
async fn f10_what_only_the_journal_had_survives_a_power_cut() {
    let mut server = Server::start(Form::Embedded);
    make_bucket(&server).await;
    let (address, signer) = (server.address().to_owned(), server.signer());
    let drives: Vec<_> = (0..6).map(|index| server.drive(index)).collect();
    let journals = drives[0].parent().unwrap().join("journal");
    for number in 0..30 {
        body(number).put(&address, &signer, &format!("/crash/{number}")).await.unwrap();
    }
    server.kill_gateway();
    for drive in &drives {
        assert!(drive.join("needs-journal").exists());
        for segment in drive.join("segments").read_dir().unwrap() {
            File::create(segment.unwrap().path()).unwrap();
        }
    }
    server.start_gateway();
    for number in 0..30 {
        body(number).check(&address, &signer, &format!("/crash/{number}")).await.unwrap();
    }
    assert_eq!(journals.read_dir().unwrap().count(), 1);
    server.stop_gateway();
    assert!(drives.iter().all(|drive| !drive.join("needs-journal").exists()));
    assert_eq!(journals.read_dir().unwrap().count(), 0);
    server.start_gateway();
    body(0).check(&address, &signer, "/crash/0").await.unwrap();
}

/// A second server on the same directories is refused and says why; the first goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_is_refused() {
    let server = Server::start(Form::Embedded);
    make_bucket(&server).await;
    let mut second = server.gateway_command_at("127.0.0.1:0", "127.0.0.1:0");
    let output = second.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    let folder = server.folder().display().to_string();
    assert!(said.contains(&folder), "the refusal names the directory: {said}");
    body(1).put(server.address(), &server.signer(), "/crash/still").await.unwrap();
}

/// A busy port is refused by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_is_refused() {
    let mut server = Server::start(Form::Embedded);
    server.stop_gateway();
    let _busy = std::net::TcpListener::bind(server.address()).unwrap();
    let output = server.gateway_command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(server.address()), "{said}");
}

/// All processes below one, by `/proc`.
fn descendants(of: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-e", "-o", "pid=,ppid="]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs: Vec<(u32, u32)> = text
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        })
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(pairs.iter().filter(|(_, ppid)| *ppid == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_killed_under_load_embedded() {
    killed_under_load(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_killed_under_load_separate() {
    killed_under_load(Form::Separate).await;
}
