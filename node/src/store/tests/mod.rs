//! The store as a whole: conformance, restarts, faults.

mod files;
mod model;
mod segments;

use super::threads::join_within;
use super::{Store, StoreOptions};
use crate::conformance::{cells, name, put};
use sixfold_proto::chunks::Chunks;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// All files below a folder.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

pub(super) fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_directory(&path, &target);
        } else if let Err(error) = std::fs::copy(&path, &target) {
            // Another thread removed it meanwhile: at the crash it was gone.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

/// Opens a store with the default options.
fn open(path: &Path) -> Arc<Store> {
    Arc::new(Store::open(path, StoreOptions::default()).unwrap())
}

#[tokio::test]
async fn the_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    crate::conformance::all(store.clone()).await;
    let before = store.list(None, 10_000).await.unwrap();
    assert!(before.len() > 30);
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.list(None, 10_000).await.unwrap(), before);
}

#[tokio::test]
async fn the_store_conforms_by_cell() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    crate::conformance::all(Arc::new(crate::conformance::ByCell(store))).await;
}

#[tokio::test]
async fn a_drive_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let Err(error) = Store::open(directory.path(), StoreOptions::default()) else {
        panic!("opened twice");
    };
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains(&directory.path().display().to_string()), "{text}");
    let id = store.drive_id();
    drop(store);
    assert_eq!(open(directory.path()).drive_id(), id);
}

/// The rows of another cluster know none of a drive's chunks: its sweep would delete them all.
#[test]
fn a_drive_stays_with_its_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    for _ in 0..2 {
        let store = open(directory.path());
        store.join(ours).unwrap();
        store.join(ours).unwrap();
        let text = store.join(theirs).unwrap_err().to_string();
        assert!(text.contains(&ours.to_string()) && text.contains("--meta-dir"), "{text}");
    }
}

#[test]
fn a_drive_without_identity_or_of_another_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let id = directory.path().join("sixfold-drive");
    let text = std::fs::read_to_string(&id).unwrap();
    let check = |expected: &str| {
        let Err(error) = Store::open(directory.path(), StoreOptions::default()) else {
            panic!("opened");
        };
        assert!(error.to_string().contains(expected), "{error}");
    };
    std::fs::write(&id, text.replace("version 1", "version 2")).unwrap();
    check("format 2");
    for damaged in ["", "sixfold drive\nversion 1\nid x\n", "other\n"] {
        std::fs::write(&id, damaged).unwrap();
        check("no readable file");
    }
    std::fs::remove_file(&id).unwrap();
    check("no readable file");
}

/// Somebody asks the file system, and it does not answer.
#[tokio::test]
async fn f06_a_drive_that_hangs_holds_up_who_asks_and_no_thread() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let name = name(1, 1, 0);
    let cells = cells(name, 100_000, 3000, 0);
    let turn = store.inner.drive.turn().await;
    {
        // This test has one thread: a call that blocked would never be given up.
        let moment = Duration::from_millis(300);
        assert!(timeout(moment, put(&*store, name, &cells)).await.is_err());
        assert!(timeout(moment, store.health()).await.is_err());
    }
    drop(turn);
    put(&*store, name, &cells).await.unwrap();
    assert_eq!(store.health().await.unwrap().chunk_count, 1);
}

#[test]
fn a_thread_that_hangs_is_left_behind() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || assert!(held.recv().is_err()));
    join_within(thread, Duration::from_millis(50));
    drop(hold);
    let ended = std::thread::spawn(|| {});
    join_within(ended, Duration::from_mins(1));
}
