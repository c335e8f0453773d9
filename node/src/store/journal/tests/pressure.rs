//! Syncs that fail or take their time, and no room.

use super::{begin, check_all, chunk, folder, lose_segments, marks, open, open_with, put_all};
use crate::conformance::put;
use crate::store::tests::copy_directory;
use crate::store::{Hook, Step};
use rustix::io::Errno;
use sixfold_proto::chunks::NodeError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

#[tokio::test]
async fn a_failed_sync_fences_every_drive_that_relied_on_it() {
    let root = folder();
    let failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let hook = move |step| match step {
        Step::SyncData if fails.load(Ordering::SeqCst) => Err(Errno::IO.into()),
        _ => Ok(()),
    };
    let journal = begin(root.path(), Some(Arc::new(hook)));
    let open_one = |number| open_with(root.path(), number, Some(&journal), None).unwrap();
    let stores: Vec<_> = (0..2).map(open_one).collect();
    assert!(put_all(&stores, 0, 500).await.iter().all(Result::is_ok));
    failing.store(true, Ordering::SeqCst);
    let (name, cells) = chunk(1, 0, 500);
    assert_eq!(put(&stores[0], name, &cells).await, Err(NodeError::Fenced));
    failing.store(false, Ordering::SeqCst);
    // The other one had asked for nothing; what it stored before may be lost all the same.
    assert_eq!(put_all(&stores, 2, 500).await, vec![Err(NodeError::Fenced); 2]);
    check_all(&stores, 0..1, 500).await;
    drop((stores, journal));
    assert_eq!(marks(root.path()), 2, "nobody knows what the segments have");
    check_all(&open(root.path()), 0..1, 500).await;
}

#[tokio::test]
async fn without_room_in_the_journal_each_drive_syncs_by_itself() {
    let root = folder();
    let full = Arc::new(AtomicBool::new(false));
    let is_full = Arc::clone(&full);
    let hook = move |step| match step {
        Step::Write if is_full.load(Ordering::SeqCst) => Err(Errno::NOSPC.into()),
        _ => Ok(()),
    };
    let journal = begin(root.path(), Some(Arc::new(hook)));
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let count: Hook = Arc::new(move |step| {
        counted.fetch_add(usize::from(step == Step::SyncData), Ordering::SeqCst);
        Ok(())
    });
    let open_one = |number| open_with(root.path(), number, Some(&journal), Some(count.clone()));
    let stores: Vec<_> = (0..2).map(|number| open_one(number).unwrap()).collect();
    assert!(put_all(&stores, 0, 500).await.iter().all(Result::is_ok));
    let before = syncs.load(Ordering::SeqCst);
    full.store(true, Ordering::SeqCst);
    assert!(put_all(&stores, 1, 500).await.iter().all(Result::is_ok));
    assert_eq!(syncs.load(Ordering::SeqCst) - before, 2);
    full.store(false, Ordering::SeqCst);
    assert!(put_all(&stores, 2, 500).await.iter().all(Result::is_ok));
    check_all(&stores, 0..3, 500).await;
}

/// A segment whose sync takes its time keeps the journal from writing over what it needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_waits_for_the_segments_before_it_writes_over_them() {
    let (running, stopped) = (folder(), folder());
    let gate = Arc::new((Mutex::new(true), Condvar::new()));
    let held = Arc::clone(&gate);
    let hook: Hook = Arc::new(move |step| {
        if step == Step::SyncData {
            let open = held.0.lock().unwrap();
            drop(held.1.wait_while(open, |open| !*open).unwrap());
        }
        Ok(())
    });
    let journal = begin(running.path(), None);
    let store = open_with(running.path(), 0, Some(&journal), Some(hook)).unwrap();
    let store = Arc::new(store);
    let (first, first_cells) = chunk(0, 0, 3000);
    put(&*store, first, &first_cells).await.unwrap();
    *gate.0.lock().unwrap() = false;
    let acknowledged = Arc::new(AtomicUsize::new(1));
    let (putting, count) = (Arc::clone(&store), Arc::clone(&acknowledged));
    let puts = tokio::spawn(async move {
        for number in 1..100 {
            let (name, cells) = chunk(number, 0, 3000);
            put(&*putting, name, &cells).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    // Two halves of eight batches: no more can be taken while the first half's sync hangs.
    while acknowledged.load(Ordering::SeqCst) < 16 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let there = acknowledged.load(Ordering::SeqCst) as u64;
    assert_eq!(there, 16);
    copy_directory(running.path(), stopped.path());
    lose_segments(stopped.path(), 0);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    puts.await.unwrap();
    let journal = begin(stopped.path(), None);
    let after = open_with(stopped.path(), 0, Some(&journal), None).unwrap();
    check_all(&[after], 0..there, 3000).await;
    check_all(&[Arc::into_inner(store).unwrap()], 0..100, 3000).await;
}
