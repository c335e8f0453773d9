//! A stop lets requests in progress finish.

use crate::place::Place;
use compat_tests::cluster::{ACCESS_KEY, SECRET_KEY};
use compat_tests::raw::{Connection, Request, Signer};
use std::process::Command;
use std::time::{Duration, Instant};

/// Large enough that no buffer between the two hides the rest of it.
const SIZE: usize = 48 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_an_upload_and_a_download() {
    let place = Place::new();
    let mut command = place.server();
    command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY).env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
    command.env("S3_BUCKET", "stops");
    let mut process = place.start(&mut command);
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let body = vec![5; SIZE];
    let put = |target: &str| Request::put(target).body(body.clone()).unsigned_payload();
    place.send(&signer, put("/stops/old")).await.expect_status(200);

    let upload = put("/stops/new").sign(&signer, &place.address);
    let mut sending = Connection::open(&place.address).await.unwrap();
    sending.send(&upload.head_bytes()).await.unwrap();
    sending.send(&upload.body[..SIZE / 2]).await.unwrap();
    let download = Request::get("/stops/old").sign(&signer, &place.address);
    let mut reading = Connection::open(&place.address).await.unwrap();
    reading.send(&download.bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;

    let pid = process.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(process.ended().is_none(), "it did not wait");
    assert!(Connection::open(&place.address).await.is_err(), "it takes new connections");
    let probe = async |path| {
        let admin = &place.admin_address;
        Request::get(path).unsigned(admin).send(admin).await
    };
    let until = Instant::now() + Duration::from_secs(10);
    while probe("/health/ready").await.status == 200 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    probe("/health/ready").await.expect_status(503);
    probe("/health/live").await.expect_status(200);
    sending.send(&upload.body[SIZE / 2..]).await.unwrap();
    sending.answer(false).await.unwrap().expect_status(200);
    let read = reading.answer(false).await.unwrap().expect_status(200);
    assert!(read.body == body, "other bytes");
    let status = process.wait(Duration::from_mins(1));
    assert!(status.success(), "{status}: {}", process.log_tail());

    let mut process = place.start(&mut command);
    let stored = place.send(&signer, Request::head("/stops/new")).await.expect_status(200);
    assert_eq!(stored.header("content-length"), Some(SIZE.to_string().as_str()));
    assert!(process.stop().success());
}
