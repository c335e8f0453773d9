//! Starts that are broken off, and starts on what an earlier one left.

use crate::place::{Place, refusal};
use compat_tests::cluster::{ACCESS_KEY, Process, SECRET_KEY};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A signal at any moment of a start ends it, and nothing is left running: `initdb`, a PostgreSQL
/// that starts, one that has just started.
#[test]
fn a_start_that_is_broken_off_leaves_nothing_running() {
    let place = Place::new();
    let postgres = place.data().join("meta/postgres");
    broken_off(&place, "TERM", &postgres.join("data.new/PG_VERSION"));
    assert!(place.start(&mut place.server()).stop().success());
    broken_off(&place, "INT", &postgres.join("data/postmaster.pid"));
    broken_off(&place, "TERM", &postgres.join("data/postmaster.opts"));
    assert!(place.start(&mut place.server()).stop().success());
}

/// Starts a server, signals it as soon as the file is there, and looks for what is left.
fn broken_off(place: &Place, signal: &str, file: &Path) {
    drop(std::fs::remove_file(file));
    let mut process = Process::start("sixfold", &mut place.server(), &place.path("broken.log"));
    let until = Instant::now() + Duration::from_mins(2);
    while !file.exists() {
        assert!(process.ended().is_none() && Instant::now() < until, "{}", process.log_tail());
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = process.pid().to_string();
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
    assert!(sent.success());
    let status = process.wait(Duration::from_mins(1));
    assert!(status.success(), "{status}: {}", process.log_tail());
    let left = processes_on(place.folder.path());
    assert!(left.is_empty(), "after {signal} at {}: {left:?}", file.display());
}

/// The command lines that name a folder.
fn processes_on(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let commands =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let commands = commands.map(|words| String::from_utf8_lossy(&words).replace('\0', " "));
    commands.filter(|command| command.contains(folder)).collect()
}

#[test]
fn a_lost_master_key_is_never_replaced() {
    let place = Place::new();
    let given = || {
        let mut command = place.server();
        command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY);
        command.env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
        command
    };
    let mut process = place.start(&mut given());
    let log = process.log_tail();
    assert!(log.contains("root pair is taken") && !log.contains("replaced"), "{log}");
    assert!(process.stop().success());

    let file = place.data().join("meta/master.key");
    std::fs::rename(&file, place.path("aside")).unwrap();
    std::fs::rename(place.data().join("node6"), place.path("node6")).unwrap();
    for mut command in [given(), place.server()] {
        let said = refusal(&mut command);
        assert!(said.contains(file.to_str().unwrap()) && said.contains("restore it"), "{said}");
        assert!(!file.exists(), "a new master key was made");
        assert!(!place.data().join("node6").exists(), "a lost drive was made anew");
    }
    std::fs::rename(place.path("aside"), &file).unwrap();
    assert!(place.start(&mut given()).stop().success());
}
