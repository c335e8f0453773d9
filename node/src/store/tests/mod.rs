//! The store as a whole: conformance, restarts, faults.

mod files;

use super::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

/// Opens a store with the default options.
fn open(path: &Path) -> Arc<Store> {
    Arc::new(Store::open(path, StoreOptions::default()).unwrap())
}

#[tokio::test]
async fn the_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    crate::conformance::all(store.clone()).await;
    let before = super::Chunks::list(&*store, None, 10_000).await.unwrap();
    assert!(before.len() > 30);
    drop(store);
    let store = open(directory.path());
    assert_eq!(super::Chunks::list(&*store, None, 10_000).await.unwrap(), before);
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
