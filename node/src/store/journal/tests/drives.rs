//! Drives that leave, are lost, come back, or move to another device.

use super::super::{Journal, members};
use super::{
    HALF_BYTES, begin, check_all, drive, folder, journal_folder, log_of, lose_segments, marks,
    open, open_with, put_all, stopped,
};
use crate::store::OpenError;
use crate::store::tests::copy_directory;
use std::fs;
use std::path::Path;
use std::sync::Arc;

#[tokio::test]
async fn a_drive_that_has_left_syncs_by_itself() {
    let (running, stopped) = (folder(), folder());
    let stores = open(running.path());
    assert!(put_all(&stores, 0, 500).await.iter().all(Result::is_ok));
    stores[0].leave_journal().await;
    assert_eq!(marks(running.path()), 1);
    assert!(put_all(&stores, 1, 500).await.iter().all(Result::is_ok));
    copy_directory(running.path(), stopped.path());
    lose_segments(stopped.path(), 1);
    let alone = open_with(stopped.path(), 0, None, None).unwrap();
    check_all(&[alone], 0..2, 500).await;
    check_all(&open(stopped.path()), 0..2, 500).await;
    stores[0].leave_journal().await;
    drop(stores);
    assert_eq!(marks(running.path()), 0);
}

#[tokio::test]
async fn a_drive_without_its_journal_is_refused_by_name() {
    let stopped = stopped().await;
    let root = stopped.path();
    let check =
        |journal: Option<&Arc<Journal>>, lost: &Path| match open_with(root, 0, journal, None) {
            Err(error @ OpenError::NoJournal { .. }) => {
                let text = error.to_string();
                let lost = lost.parent().unwrap().file_name().unwrap().to_str().unwrap();
                assert!(text.contains(lost) && text.contains("needs-journal"), "{text}");
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("opened"),
        };
    let log = log_of(root);
    check(None, &log);
    fs::rename(&log, root.join("aside")).unwrap();
    let journal = begin(root, None);
    check(Some(&journal), &log);
    drop(journal);
    fs::rename(root.join("aside"), &log).unwrap();
    check_all(&open(root), 0..3, 500).await;
}

#[tokio::test]
async fn a_lost_drive_takes_its_own_chunks_only_and_finds_them_when_it_is_back() {
    let stopped = stopped().await;
    let root = stopped.path();
    let aside = root.join("aside");
    fs::rename(drive(root, 1), &aside).unwrap();
    let journal = begin(root, None);
    let store = open_with(root, 0, Some(&journal), None).unwrap();
    check_all(std::slice::from_ref(&store), 0..3, 500).await;
    drop((store, journal));
    fs::rename(&aside, drive(root, 1)).unwrap();
    check_all(&open(root), 0..3, 500).await;
    assert_eq!(fs::read_dir(journal_folder(root)).unwrap().count(), 0);
}

#[tokio::test]
async fn a_drive_that_has_moved_to_another_device_is_completed_and_syncs_by_itself() {
    let stopped = stopped().await;
    let root = stopped.path();
    let mut journal = Journal::with_half(&journal_folder(root), None, HALF_BYTES).unwrap();
    journal.device = !journal.device;
    let journal = Arc::new(journal);
    let stores: Vec<_> =
        (0..2).map(|number| open_with(root, number, Some(&journal), None).unwrap()).collect();
    assert_eq!(marks(root), 0);
    drop(journal);
    assert_eq!(fs::read_dir(journal_folder(root)).unwrap().count(), 0);
    assert!(put_all(&stores, 3, 500).await.iter().all(Result::is_ok));
    assert_eq!(marks(root), 0);
    drop(stores);
    let alone = |number| open_with(root, number, None, None).unwrap();
    check_all(&[alone(0), alone(1)], 0..4, 500).await;
}

#[tokio::test]
async fn a_mark_of_a_newer_release_is_refused() {
    let stopped = stopped().await;
    let mark = drive(stopped.path(), 0).join("needs-journal");
    let text = fs::read_to_string(&mark).unwrap();
    assert!(text.contains("version 1\n"));
    fs::write(&mark, "sixfold journal\nversion 2\nanything\n").unwrap();
    let journal = begin(stopped.path(), None);
    let opened = open_with(stopped.path(), 0, Some(&journal), None);
    assert!(matches!(opened, Err(OpenError::Version { found: 2, .. })));
    fs::write(&mark, "").unwrap();
    let opened = open_with(stopped.path(), 0, Some(&journal), None);
    assert!(matches!(opened, Err(OpenError::NoJournal { .. })));
    fs::write(&mark, text).unwrap();
    drop(journal);
    check_all(&open(stopped.path()), 0..3, 500).await;
}

#[tokio::test]
async fn a_journal_that_no_drive_needs_is_removed_at_the_next_start() {
    let root = folder();
    let folder = journal_folder(root.path());
    let (empty, foreign) = (folder.join(uuid::Uuid::new_v4().to_string()), folder.join("notes"));
    fs::create_dir_all(&empty).unwrap();
    fs::write(empty.join(members::LOG), "torn").unwrap();
    fs::create_dir(&foreign).unwrap();
    let journal = begin(root.path(), None);
    assert!(!empty.exists() && foreign.exists());
    assert!(log_of(root.path()).exists());
    drop(journal);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}
