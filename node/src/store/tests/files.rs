//! Large chunks: damage, crashes, failing syncs.

use super::{copy_directory, files_below, open};
use crate::conformance::{CLUSTER, cells, check_stored, get, name, put, put_as};
use crate::store::{Step, Store, StoreOptions};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Chunks, DriveState, NodeError};
use sixfold_proto::name::LeaseId;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CELL: usize = 100_000;
const SIZE: usize = 3 * CELL + 17;

#[tokio::test]
async fn f09_every_damage_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let name = name(1, 1, 0);
    let right = cells(name, CELL, SIZE, 0);
    put(&*store, name, &right).await.unwrap();
    let path = files_below(&directory.path().join("chunks")).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let key = CellKey::new(CLUSTER, name);
    let spots = (0..64).chain([64, 64 + CELL, 64 + CELL + 3, whole.len() - 40]);
    for at in spots.chain(whole.len() - 32..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        let structural = at < 64 || at >= whole.len() - 32;
        let read = get(&*store, name, 0..4).await;
        let verified = store.verify(name, key, 0..128).await;
        if structural {
            assert!(matches!(read, Err(NodeError::Damaged(_))), "byte {at}: {read:?}");
            assert!(matches!(verified, Err(NodeError::Damaged(_))), "byte {at}");
        } else {
            let rotten = read
                .unwrap()
                .iter()
                .zip(0..)
                .filter(|(cell, stripe)| key.checksum(*stripe, &cell.data) != cell.checksum)
                .map(|(_, stripe)| stripe)
                .collect::<Vec<u32>>();
            assert_eq!(rotten.len(), 1, "byte {at}");
            assert_eq!(verified.unwrap(), rotten, "byte {at}");
        }
    }
    let longer = [&whole[..], &[0]].concat();
    for other in [&[][..], &whole[..63], &whole[..whole.len() - 1], &longer] {
        std::fs::write(&path, other).unwrap();
        assert!(matches!(get(&*store, name, 0..1).await, Err(NodeError::Damaged(_))));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(get(&*store, name, 0..1).await, Err(NodeError::Damaged(_))));
    // The writer, or a healer, may put a whole one in its place.
    put_as(&*store, name, LeaseId(5), &right).await.unwrap();
    check_stored(&*store, name, &right).await;
}

#[tokio::test]
async fn a_rotten_chunk_may_be_replaced_but_not_by_itself_unnoticed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let name = name(1, 1, 0);
    let right = cells(name, CELL, SIZE, 0);
    let old = put(&*store, name, &right).await.unwrap();
    let path = files_below(&directory.path().join("chunks")).pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let new = put(&*store, name, &right).await.unwrap();
    assert!(new > old);
    check_stored(&*store, name, &right).await;
    assert_eq!(files_below(&directory.path().join("chunks")).len(), 1);
}

#[tokio::test]
async fn f09_another_chunks_file_under_this_name_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (one, two) = (name(1, 1, 0), name(1, 1, 1));
    put(&*store, one, &cells(one, CELL, SIZE, 0)).await.unwrap();
    let first = files_below(&directory.path().join("chunks")).pop().unwrap();
    put(&*store, two, &cells(two, CELL, SIZE, 0)).await.unwrap();
    let files = files_below(&directory.path().join("chunks"));
    let second = files.iter().find(|path| **path != first).unwrap();
    std::fs::copy(&first, second).unwrap();
    assert!(matches!(get(&*store, two, 0..4).await, Err(NodeError::Damaged(_))));
}

/// Every state of the directory between two steps is one from which a start finds the old
/// chunks whole and the new one whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn f10_a_crash_between_any_two_steps_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    let target = snapshots.path().to_owned();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let hook = move |_: Step| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        if root.join("chunks/ff").exists() {
            copy_directory(&root, &target.join(number.to_string()));
        }
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    let started = count.load(Ordering::SeqCst);
    let (first, second) = (name(1, 1, 0), name(1, 2, 0));
    let first_cells = cells(first, CELL, SIZE, 0);
    let second_cells = cells(second, CELL, SIZE, 0);
    put(&store, first, &first_cells).await.unwrap();
    let acked = count.load(Ordering::SeqCst);
    put_as(&store, first, LeaseId(4), &first_cells).await.unwrap();
    put(&store, second, &second_cells).await.unwrap();
    let end = count.load(Ordering::SeqCst);
    assert!(end > acked + 8, "the steps of two puts were seen");
    for number in started..end {
        let after_crash = open(&snapshots.path().join(number.to_string()));
        if number >= acked {
            check_stored(&*after_crash, first, &first_cells).await;
        }
        for entry in after_crash.list(None, 10).await.unwrap() {
            let expected = if entry.name == first { &first_cells } else { &second_cells };
            check_stored(&*after_crash, entry.name, expected).await;
        }
        put(&*after_crash, second, &second_cells).await.unwrap();
        check_stored(&*after_crash, second, &second_cells).await;
    }
}

/// A store whose step fails with `errno` once armed.
fn failing(directory: &Path, errno: rustix::io::Errno) -> (Arc<Store>, Arc<Mutex<Option<Step>>>) {
    let armed: Arc<Mutex<Option<Step>>> = Arc::default();
    let seen = Arc::clone(&armed);
    let hook = move |step| {
        if *seen.lock().unwrap() == Some(step) {
            return Err(io::Error::from(errno));
        }
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    (Arc::new(Store::open(directory, options).unwrap()), armed)
}

#[tokio::test]
async fn f11_a_failed_sync_fences_the_drive() {
    for step in [Step::SyncData, Step::SyncDirectory, Step::Rename, Step::Write] {
        for size in [900, SIZE] {
            let directory = tempfile::tempdir().unwrap();
            let (store, armed) = failing(directory.path(), rustix::io::Errno::IO);
            let (old, new) = (name(1, 1, 0), name(1, 2, 0));
            let old_cells = cells(old, size.min(CELL), size, 0);
            let copy = put(&*store, old, &old_cells).await.unwrap();
            let small_has_no_such_step =
                size == 900 && matches!(step, Step::Rename | Step::SyncDirectory);
            if small_has_no_such_step {
                continue;
            }
            *armed.lock().unwrap() = Some(step);
            let refused = put(&*store, new, &cells(new, size.min(CELL), size, 0)).await;
            assert_eq!(refused, Err(NodeError::Fenced), "{step:?}");
            *armed.lock().unwrap() = None;
            assert_eq!(store.stat(new).await, Err(NodeError::NotFound), "{step:?}");
            let refused = put(&*store, new, &cells(new, CELL, SIZE, 0)).await;
            assert_eq!(refused, Err(NodeError::Fenced), "{step:?}");
            assert_eq!(store.delete(old, copy).await, Err(NodeError::Fenced));
            assert_eq!(store.health().await.unwrap().state, DriveState::Fenced);
            check_stored(&*store, old, &old_cells).await;
        }
    }
}

/// First the bytes, then the name, then its folder; nothing after them before the answer.
#[tokio::test]
async fn a_put_syncs_bytes_then_name() {
    let directory = tempfile::tempdir().unwrap();
    let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
    let seen = Arc::clone(&steps);
    let hook = move |step| {
        seen.lock().unwrap().push(step);
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    let steps_of = async |number, size: usize| {
        let name = name(1, number, 0);
        steps.lock().unwrap().clear();
        put(&store, name, &cells(name, size.min(CELL), size, 0)).await.unwrap();
        std::mem::take(&mut *steps.lock().unwrap())
    };
    // The first ones set copy numbers aside and create a segment.
    steps_of(1, SIZE).await;
    steps_of(2, 900).await;
    let mut large = steps_of(3, SIZE).await;
    large.dedup();
    let named = [Step::Create, Step::Write, Step::SyncData, Step::OpenDirectory, Step::Rename];
    assert_eq!(large, [&named[..], &[Step::SyncDirectory]].concat());
    assert_eq!(steps_of(4, 900).await, [Step::Write, Step::SyncData]);
}

/// The data of its own file may be durable, but a fenced drive acknowledges nothing.
#[tokio::test]
async fn f11_a_put_under_way_when_the_drive_is_fenced_is_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let fenced: Arc<Mutex<Option<std::sync::Weak<Store>>>> = Arc::default();
    let seen = Arc::clone(&fenced);
    let hook = move |step| {
        if let Some(store) = seen.lock().unwrap().as_ref().filter(|_| step == Step::Rename) {
            store.upgrade().unwrap().fence();
        }
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Arc::new(Store::open(directory.path(), options).unwrap());
    *fenced.lock().unwrap() = Some(Arc::downgrade(&store));
    let new = name(1, 2, 0);
    let refused = put(&*store, new, &cells(new, CELL, SIZE, 0)).await;
    assert_eq!(refused, Err(NodeError::Fenced));
    assert_eq!(store.stat(new).await, Err(NodeError::NotFound));
}

#[tokio::test]
async fn f07_a_full_drive_shows_no_short_chunk_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let (store, armed) = failing(directory.path(), rustix::io::Errno::NOSPC);
    let (old, new) = (name(1, 1, 0), name(1, 2, 0));
    let old_cells = cells(old, CELL, SIZE, 0);
    let copy = put(&*store, old, &old_cells).await.unwrap();
    // A folder's last block may be full, too.
    for step in [Step::Write, Step::Create, Step::Rename] {
        *armed.lock().unwrap() = Some(step);
        let refused = put(&*store, new, &cells(new, CELL, SIZE, 0)).await;
        assert_eq!(refused, Err(NodeError::Full));
        assert_eq!(store.stat(new).await, Err(NodeError::NotFound));
        assert!(files_below(&directory.path().join("unfinished")).is_empty());
    }
    store.delete(old, copy).await.unwrap();
    *armed.lock().unwrap() = None;
    assert_eq!(store.health().await.unwrap().state, DriveState::Ok);
    put(&*store, new, &cells(new, CELL, SIZE, 0)).await.unwrap();
}

/// Many open connections are no fault of the drive.
#[tokio::test]
async fn a_process_without_descriptors_fences_no_drive() {
    for step in [Step::Create, Step::OpenDirectory] {
        for size in [900, SIZE] {
            let directory = tempfile::tempdir().unwrap();
            let (store, armed) = failing(directory.path(), rustix::io::Errno::MFILE);
            let name = name(1, 1, 0);
            let right = cells(name, size.min(CELL), size, 0);
            *armed.lock().unwrap() = Some(step);
            let refused = put(&*store, name, &right).await;
            assert!(matches!(refused, Err(NodeError::Unavailable(_))), "{step:?}: {refused:?}");
            assert_eq!(store.stat(name).await, Err(NodeError::NotFound));
            assert!(files_below(&directory.path().join("unfinished")).is_empty());
            *armed.lock().unwrap() = None;
            let copy = put(&*store, name, &right).await.unwrap();
            if size == SIZE {
                *armed.lock().unwrap() = Some(Step::OpenDirectory);
                let refused = store.delete(name, copy).await;
                assert!(matches!(refused, Err(NodeError::Unavailable(_))), "{refused:?}");
                check_stored(&*store, name, &right).await;
                *armed.lock().unwrap() = None;
            }
            store.delete(name, copy).await.unwrap();
            assert_eq!(store.health().await.unwrap().state, DriveState::Ok);
        }
    }
}

#[tokio::test]
async fn puts_are_refused_before_the_reserve_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let capacity = store.condition().unwrap().capacity_bytes;
    drop(store);
    // A reserve is a sixteenth of the drive at most.
    let options = StoreOptions { reserve_bytes: capacity, ..StoreOptions::default() };
    assert_eq!(options.reserve_of(capacity), capacity / 16);
    let store = Store::open(directory.path(), options).unwrap();
    // Not the drive's own numbers: others write on it between two looks.
    for (free, told) in [(400, 300), (101, 1), (100, 0), (99, 0)] {
        let health = store.health_with((1600, free));
        assert_eq!((health.capacity_bytes, health.free_bytes), (1600, told));
        assert_eq!(health.state == DriveState::Full, told == 0);
    }
    let states = [(1, 0, DriveState::Ok), (5, 5, DriveState::Full), (6, 5, DriveState::Ok)];
    for (free, kept_back, expected) in states {
        assert_eq!(store.inner.state(free, kept_back), expected);
    }
    store.set_draining(true);
    let name = name(1, 1, 0);
    assert_eq!(put(&store, name, &cells(name, 9, 9, 0)).await, Err(NodeError::Draining));
}

#[tokio::test]
async fn cells_are_verified_where_they_are_read_if_asked() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { verify_reads: true, ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    store.join(CLUSTER).unwrap();
    let name = name(1, 1, 0);
    put(&store, name, &cells(name, CELL, SIZE, 0)).await.unwrap();
    let path = files_below(&directory.path().join("chunks")).pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[64 + CELL + 100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let read = get(&store, name, 0..4).await.unwrap();
    let verified = read.iter().map(|cell| cell.is_verified).collect::<Vec<_>>();
    assert_eq!(verified, [true, false, true, true]);
}
