//! Every stop: of the process between any two steps, of the machine, in order.

use super::{begin, check_all, folder, journal_folder, marks, open, open_with, put_all, stopped};
use crate::store::Hook;
use crate::store::segment::queue::Request;
use crate::store::tests::copy_directory;
use rustix::io::Errno;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, io};

#[tokio::test]
async fn a_machine_that_stops_loses_nothing_and_may_stop_again_while_it_mends() {
    for failing in 0.. {
        let stopped = stopped().await;
        let root = stopped.path();
        let left = AtomicUsize::new(failing);
        let fail = move |_| match left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
        {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::from(Errno::IO)),
        };
        let journal = begin(root, None);
        let first = open_with(root, 0, Some(&journal), Some(Arc::new(fail)));
        let is_through = first.is_ok();
        if let Ok(store) = first {
            // It may be fenced from now on; what it has is there.
            check_all(&[store], 0..3, 500).await;
        }
        drop(journal);
        let stores = open(root);
        check_all(&stores, 0..3, 500).await;
        assert!(put_all(&stores, 3, 500).await.iter().all(Result::is_ok), "failing at {failing}");
        drop(stores);
        check_all(&open(root), 0..4, 500).await;
        if is_through {
            assert!(failing > 5, "all steps failed once: {failing}");
            return;
        }
    }
}

/// The process ends between any two steps of the journal or of a drive.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_between_any_two_steps_loses_nothing() {
    let (running, stopped) = (folder(), folder());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (root, target) = (running.path().to_owned(), stopped.path().to_owned());
    let (count, snapshots) = (Arc::clone(&acknowledged), Arc::clone(&seen));
    let hook: Hook = Arc::new(move |_| {
        let mut snapshots = snapshots.lock().unwrap();
        if root.join("armed").exists() {
            let acknowledged = count.load(Ordering::SeqCst);
            copy_directory(&root, &target.join(snapshots.len().to_string()));
            snapshots.push(acknowledged);
        }
        Ok(())
    });
    let journal = begin(running.path(), Some(Arc::clone(&hook)));
    let open_one = |number| {
        open_with(running.path(), number, Some(&journal), Some(Arc::clone(&hook))).unwrap()
    };
    let stores: Vec<_> = (0..2).map(open_one).collect();
    fs::write(running.path().join("armed"), "").unwrap();
    for number in 0..9 {
        // Both halves are used, some objects go around the journal, and segments are sealed.
        let size = if number % 5 == 4 { 40_000 } else { 3000 };
        assert!(put_all(&stores, number, size).await.iter().all(Result::is_ok));
        acknowledged.fetch_add(1, Ordering::SeqCst);
        if number == 6 {
            stores[0].threads.ask(Request::Seal).await.unwrap();
        }
    }
    drop((stores, journal));
    let snapshots = seen.lock().unwrap().clone();
    assert!(snapshots.len() > 30, "{}", snapshots.len());
    for (number, acknowledged) in snapshots.into_iter().enumerate() {
        let stores = open(&stopped.path().join(number.to_string()));
        for object in 0..acknowledged as u64 {
            let size = if object % 5 == 4 { 40_000 } else { 3000 };
            check_all(&stores, object..object + 1, size).await;
        }
    }
}

#[tokio::test]
async fn a_clean_stop_leaves_no_journal() {
    let root = folder();
    let stores = open(root.path());
    for number in 0..20 {
        assert!(put_all(&stores, number, 500).await.iter().all(Result::is_ok));
    }
    assert_eq!(marks(root.path()), 2);
    drop(stores);
    assert_eq!(marks(root.path()), 0);
    assert_eq!(fs::read_dir(journal_folder(root.path())).unwrap().count(), 0);
    fs::remove_dir(journal_folder(root.path())).unwrap();
    let alone = |number| open_with(root.path(), number, None, None).unwrap();
    check_all(&[alone(0), alone(1)], 0..20, 500).await;
}
