//! Missing and exchanged directories at a start are lost drives, not errors.

use crate::place::{Place, json, sixfold};
use compat_tests::cluster::{ACCESS_KEY, SECRET_KEY};
use compat_tests::raw::{Request, Signer};
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn six_drives_may_change_places_and_two_may_be_gone() {
    let place = Place::new();
    let drives: Vec<PathBuf> = (0..6).map(|index| place.path(&format!("drive{index}"))).collect();
    let meta = place.path("meta");
    let server = || {
        let mut command = place.server_on(&drives);
        command.arg("--meta-dir").arg(&meta);
        command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY);
        command.env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
        command
    };
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut process = place.start(&mut server());
    place.send(&signer, Request::put("/drives")).await.expect_status(200);
    place.send(&signer, Request::put("/drives/a").body(bytes.clone())).await.expect_status(200);
    assert!(process.stop().success());

    // Two change places, one is gone, and in one's place is an empty folder.
    std::fs::rename(&drives[0], place.path("aside")).unwrap();
    std::fs::rename(&drives[1], &drives[0]).unwrap();
    std::fs::rename(place.path("aside"), &drives[1]).unwrap();
    std::fs::rename(&drives[2], place.path("gone")).unwrap();
    std::fs::rename(&drives[3], place.path("exchanged")).unwrap();
    std::fs::create_dir(&drives[3]).unwrap();

    let mut process = place.start(&mut server());
    let log = process.log_tail();
    for lost in [&drives[2], &drives[3]] {
        let line = log.lines().find(|line| line.contains(lost.to_str().unwrap()));
        assert!(line.is_some_and(|line| line.contains("lost")), "{log}");
    }
    let read = place.send(&signer, Request::get("/drives/a")).await.expect_status(200);
    assert!(read.body == bytes, "other bytes");
    place.send(&signer, Request::put("/drives/b").body("b")).await.expect_status(200);
    let nodes = {
        let mut list = sixfold();
        // The first directory leads to the metadata, also where that is elsewhere.
        list.args(["node", "list", "--json", "--dir"]).arg(&drives[0]);
        json(&mut list)
    };
    assert_eq!(nodes.as_array().unwrap().len(), 6, "no drive became a new node: {nodes}");
    assert!(process.stop().success());
    assert!(
        std::fs::read_dir(&drives[3]).unwrap().next().is_none(),
        "a foreign folder is left alone"
    );
}

/// The metadata is below one of the directories, and may come at any place of the command line.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_directory_is_one_among_six() {
    let place = Place::new();
    let mut drives: Vec<PathBuf> = (0..6).map(|i| place.path(&format!("drive{i}"))).collect();
    let server = |drives: &[PathBuf]| {
        let mut command = place.server_on(drives);
        command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY);
        command.env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
        command
    };
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let mut process = place.start(&mut server(&drives));
    place.send(&signer, Request::put("/drives")).await.expect_status(200);
    place.send(&signer, Request::put("/drives/a").body("a")).await.expect_status(200);
    assert!(process.stop().success());

    drives.swap(0, 4);
    let mut process = place.start(&mut server(&drives));
    let read = place.send(&signer, Request::get("/drives/a")).await.expect_status(200);
    assert_eq!(read.text(), "a");
    assert!(process.stop().success());
    assert!(!drives[0].join("meta").exists(), "a second database was made");

    // Without the directory that has the metadata nothing is made in its place.
    std::fs::rename(&drives[4], place.path("aside")).unwrap();
    let refused = server(&drives).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("there is no database below"), "{text}");
    assert!(!drives[0].join("meta").exists() && !drives[4].exists(), "something was made");
}
