//! Small chunks: shared syncs, torn ends, rot, crashes, compaction.

// A slow drive blocks its thread.
#![allow(clippy::disallowed_methods)]

use super::{copy_directory, files_below, open};
use crate::conformance::{cells, check_stored, get, name, put, put_as};
use crate::store::segment::MAX_SMALL_SEGMENTS;
use crate::store::segment::queue::Request;
use crate::store::{Step, Store, StoreOptions};
use futures::future::join_all;
use sixfold_proto::chunks::{Cell, Chunks, NodeError};
use sixfold_proto::name::{ChunkName, LeaseId};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SIZE: usize = 50;

/// Bytes between the end of such a chunk's record (64 + 50 + 3 * 8 + 32) and the next.
const PADDING: u64 = 6;

const GONE: Result<Vec<Cell>, NodeError> = Err(NodeError::NotFound);

fn small(number: u64) -> (ChunkName, Vec<Cell>) {
    let name = name(1, number, 0);
    (name, cells(name, 20, SIZE, 0))
}

fn the_segment(directory: &Path) -> PathBuf {
    let mut files = files_below(&directory.join("segments"));
    assert_eq!(files.len(), 1);
    files.pop().unwrap()
}

fn segment_bytes(directory: &Path) -> u64 {
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    files_below(&directory.join("segments")).into_iter().map(size).sum()
}

/// A closed store with three chunks, each of a batch of its own, and its segment.
async fn three_batches() -> (tempfile::TempDir, PathBuf, Vec<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut ends = Vec::new();
    for number in 0..3 {
        let (name, cells) = small(number);
        put(&*store, name, &cells).await.unwrap();
        ends.push(segment_bytes(directory.path()));
    }
    drop(store);
    let segment = the_segment(directory.path());
    (directory, segment, ends)
}

#[tokio::test]
async fn f10_a_torn_end_costs_what_was_not_synced_and_nothing_else() {
    let (directory, segment, ends) = three_batches().await;
    let whole = std::fs::read(&segment).unwrap();
    for cut in ends[1]..=ends[2] {
        for garbage in [0, 24] {
            let mut torn = whole[..usize::try_from(cut).unwrap()].to_vec();
            torn.resize(torn.len() + garbage, 0xab);
            std::fs::write(&segment, torn).unwrap();
            let store = open(directory.path());
            for number in 0..2 {
                let (name, cells) = small(number);
                check_stored(&*store, name, &cells).await;
            }
            let (last, cells) = small(2);
            let read = get(&*store, last, 0..3).await;
            // The padding behind the seal belongs to nobody: with any bytes there it is whole.
            let may_be_whole = cut + PADDING >= ends[2];
            assert!(
                (may_be_whole && read == Ok(cells)) || (cut < ends[2] && read == GONE),
                "cut at {cut}: {read:?}"
            );
        }
    }
    std::fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    let store = open(directory.path());
    let (last, cells) = small(2);
    put(&*store, last, &cells).await.unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.list(None, 10).await.unwrap().len(), 3);
    check_stored(&*store, last, &cells).await;
}

#[tokio::test]
async fn f08_rot_anywhere_harms_its_own_record_only() {
    let (directory, segment, ends) = three_batches().await;
    let whole = std::fs::read(&segment).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x04;
        std::fs::write(&segment, &flipped).unwrap();
        let store = open(directory.path());
        let harmed = ends.iter().filter(|end| **end <= at as u64).count() as u64;
        for number in 0..3 {
            let (name, cells) = small(number);
            let read = get(&*store, name, 0..3).await;
            if number != harmed {
                assert_eq!(read, Ok(cells), "byte {at}, chunk {number}");
                continue;
            }
            // The cells are verified by whoever reads; here they may be wrong, not unnoticed.
            let key = sixfold_proto::checksum::CellKey::new(crate::conformance::CLUSTER, name);
            match read {
                Ok(read) if read == cells => {} // Padding, or a byte that is in no cell.
                Ok(_) => assert_eq!(store.verify(name, key, 0..128).await.unwrap().len(), 1),
                Err(NodeError::Damaged(_) | NodeError::NotFound) => {}
                Err(error) => panic!("byte {at}: {error}"),
            }
            let (name, cells) = small(number);
            put(&*store, name, &cells).await.unwrap();
            check_stored(&*store, name, &cells).await;
        }
    }
}

#[tokio::test]
async fn a_sealed_segment_is_read_by_its_index_and_without_it_too() {
    let (directory, segment, ends) = three_batches().await;
    let store = open(directory.path());
    store.threads.ask(Request::Seal).await.unwrap();
    let (name, cells) = small(7);
    put(&*store, name, &cells).await.unwrap();
    drop(store);
    assert_eq!(files_below(&directory.path().join("segments")).len(), 2);
    let sealed = std::fs::read(&segment).unwrap();
    assert!(sealed.len() as u64 > ends[2]);
    for at in usize::try_from(ends[2]).unwrap() - 1..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        std::fs::write(&segment, &flipped).unwrap();
        let store = open(directory.path());
        for number in [0, 1, 2, 7] {
            let (name, cells) = small(number);
            check_stored(&*store, name, &cells).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_puts_share_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let hook = move |step| {
        if step == Step::SyncData {
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    let (first, first_cells) = small(0);
    put(&store, first, &first_cells).await.unwrap();
    let before = syncs.load(Ordering::Relaxed);
    let chunks: Vec<_> = (1..=200).map(small).collect();
    let puts = chunks.iter().map(|(name, cells)| put(&store, *name, cells));
    assert!(join_all(puts).await.iter().all(Result::is_ok));
    let shared = syncs.load(Ordering::Relaxed) - before;
    assert!(shared <= 100, "200 puts took {shared} syncs");
    assert_eq!(files_below(&directory.path().join("segments")).len(), 1);
    assert!(files_below(&directory.path().join("chunks")).is_empty());
}

/// Stores chunks of 1 KiB and deletes those that `dies` names.
async fn put_and_delete(store: &Store, count: u64, dies: impl Fn(u64) -> bool) {
    let chunk = |number| {
        let name = name(2, number, 0);
        (name, cells(name, 1024, 1024, 0))
    };
    let chunks: Vec<_> = (0..count).map(chunk).collect();
    let puts = chunks.iter().map(|(name, cells)| put(store, *name, cells));
    let copies: Vec<_> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
    let removals = (0..count).filter(|number| dies(*number)).map(|number| {
        let at = usize::try_from(number).unwrap();
        store.delete(chunks[at].0, copies[at])
    });
    assert!(join_all(removals).await.iter().all(Result::is_ok));
}

async fn wait_until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_everything_gives_the_room_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put_and_delete(&store, 3000, |_| true).await;
    wait_until("room", || segment_bytes(directory.path()) <= 300_000).await;
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.list(None, 10).await.unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_segments_do_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let files = || files_below(&directory.path().join("segments")).len();
    for round in 0..3 {
        let store = open(directory.path());
        for number in 0..10 {
            let (name, cells) = small(round * 10 + number);
            put(&*store, name, &cells).await.unwrap();
            store.threads.ask(Request::Seal).await.unwrap();
        }
        // And the one that is written.
        wait_until("a merge", || files() <= MAX_SMALL_SEGMENTS + 1).await;
        for number in 0..(round + 1) * 10 {
            let (name, cells) = small(number);
            check_stored(&*store, name, &cells).await;
        }
        drop(store);
        assert!(files() <= MAX_SMALL_SEGMENTS + 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_what_lives() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let lives = |number: u64| number % 10 == 3;
    put_and_delete(&store, 3000, |number| !lives(number)).await;
    wait_until("room", || segment_bytes(directory.path()) <= 1_000_000).await;
    for round in 0..2 {
        let listed = store.list(None, 10_000).await.unwrap();
        assert_eq!(listed.len(), 300, "round {round}");
        for number in (0..3000).filter(|number| lives(*number)) {
            let name = name(2, number, 0);
            check_stored(&*store, name, &cells(name, 1024, 1024, 0)).await;
        }
        if round == 0 {
            store.threads.ask(Request::Seal).await.unwrap();
        }
    }
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.list(None, 10_000).await.unwrap().len(), 300);
}

/// Whatever is acknowledged when the machine stops is there afterwards, and what is deleted
/// stays deleted, at every step of puts, deletes, replacements, sealing and compaction.
#[tokio::test(flavor = "multi_thread")]
async fn f10_a_crash_between_any_two_steps_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = tempfile::tempdir().unwrap();
    let (root, target) = (directory.path().to_owned(), snapshots.path().to_owned());
    let count = Arc::new(AtomicUsize::new(0));
    let armed = Arc::new(AtomicBool::new(false));
    let (counted, seen) = (Arc::clone(&count), Arc::clone(&armed));
    let hook = move |_| {
        if seen.load(Ordering::SeqCst) {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            copy_directory(&root, &target.join(number.to_string()));
        }
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    let kept = |number| {
        let name = name(3, number, 0);
        (name, cells(name, 3000, 9000, 0))
    };
    let mut copies = Vec::new();
    for number in 0..40 {
        let (name, cells) = kept(number);
        copies.push(put(&store, name, &cells).await.unwrap());
    }
    armed.store(true, Ordering::SeqCst);
    let (replaced, replaced_cells) = kept(2);
    put_as(&store, replaced, LeaseId(9), &replaced_cells).await.unwrap();
    let removals = (4..40_usize).map(|number| store.delete(kept(number as u64).0, copies[number]));
    assert!(join_all(removals).await.iter().all(Result::is_ok));
    let deleted = count.load(Ordering::SeqCst);
    wait_until("compaction", || segment_bytes(directory.path()) < 100_000).await;
    armed.store(false, Ordering::SeqCst);
    let end = count.load(Ordering::SeqCst);
    assert!(end >= 12, "replacing, deleting, sealing, moving and removing were seen: {end}");
    for number in 0..end {
        let path = snapshots.path().join(number.to_string());
        for start in 0..2 {
            let after = open(&path);
            for live in 0..4 {
                let (name, cells) = kept(live);
                check_stored(&*after, name, &cells).await;
            }
            let listed = after.list(None, 100).await.unwrap();
            let most = if number >= deleted { 4 } else { 40 };
            assert!((4..=most).contains(&listed.len()), "step {number}, start {start}");
        }
    }
}

/// The chunk's old record is still there when the process ends between compaction's copy and the
/// removal of the old segment. A deletion names the new record only.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_after_it_was_moved_stays_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let hook = |step| match step {
        Step::Remove => Err(io::Error::from(rustix::io::Errno::BUSY)),
        _ => Ok(()),
    };
    let store = open(directory.path());
    let kept = |number| {
        let name = name(3, number, 0);
        (name, cells(name, 3000, 9000, 0))
    };
    let mut copies = Vec::new();
    for number in 0..40 {
        let (name, cells) = kept(number);
        copies.push(put(&*store, name, &cells).await.unwrap());
    }
    drop(store);
    // A new drive's start removes files, too.
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    let removals = (4..40_usize).map(|number| store.delete(kept(number as u64).0, copies[number]));
    assert!(join_all(removals).await.iter().all(Result::is_ok));
    let place = |number| crate::store::lock(&store.inner.index).get(kept(number).0).unwrap().place;
    let before: Vec<_> = (0..4).map(place).collect();
    wait_until("a move", || (0..4).all(|number| place(number) != before[number as usize])).await;
    for (number, copy) in (0..4_u64).zip(copies) {
        store.delete(kept(number).0, copy).await.unwrap();
    }
    drop(store);
    for start in 0..2 {
        let store = open(directory.path());
        assert_eq!(store.list(None, 100).await.unwrap(), vec![], "start {start}");
        drop(store);
    }
}

/// What counts as needed in a segment but can't be found there any more must not keep compaction
/// busy for ever, nor the stop waiting for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_can_not_be_emptied_does_not_hold_up_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..=MAX_SMALL_SEGMENTS as u64 {
        if number == MAX_SMALL_SEGMENTS as u64 {
            // The header of the only record and the index that also has it.
            let mut segments = files_below(&directory.path().join("segments"));
            segments.sort();
            let mut bytes = std::fs::read(&segments[0]).unwrap();
            let end = bytes.len();
            bytes[8] ^= 1;
            bytes[end - 8] ^= 1;
            std::fs::write(&segments[0], bytes).unwrap();
        }
        let (name, cells) = small(number);
        put(&*store, name, &cells).await.unwrap();
        store.threads.ask(Request::Seal).await.unwrap();
    }
    let was_compacted = || {
        let mut compacted = false;
        store.inner.segments.change(1, |segment| compacted = segment.compacted);
        compacted
    };
    wait_until("compaction", was_compacted).await;
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(store);
        let _ = done.send(());
    });
    assert!(ended.recv_timeout(Duration::from_mins(1)).is_ok(), "the store does not stop");
}

#[tokio::test]
async fn no_room_for_a_batch_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let (seen, root) = (Arc::clone(&full), directory.path().to_owned());
    let hook = move |step| {
        if step == Step::Write && seen.load(Ordering::SeqCst) {
            // As a write does that runs out of room in its middle.
            let segment = the_segment(&root);
            let mut file = std::fs::OpenOptions::new().append(true).open(segment).unwrap();
            file.write_all(&[0x55; 100]).unwrap();
            return Err(io::Error::from(rustix::io::Errno::NOSPC));
        }
        Ok(())
    };
    let options = StoreOptions { hook: Some(Arc::new(hook)), ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).unwrap();
    let (old, old_cells) = small(0);
    let copy = put(&store, old, &old_cells).await.unwrap();
    let before = segment_bytes(directory.path());
    full.store(true, Ordering::SeqCst);
    let (new, new_cells) = small(1);
    assert_eq!(put(&store, new, &new_cells).await, Err(NodeError::Full));
    assert_eq!(store.stat(new).await, Err(NodeError::NotFound));
    assert_eq!(segment_bytes(directory.path()), before);
    check_stored(&store, old, &old_cells).await;
    full.store(false, Ordering::SeqCst);
    store.delete(old, copy).await.unwrap();
    put(&store, new, &new_cells).await.unwrap();
    drop(store);
    let store = open(directory.path());
    check_stored(&*store, new, &new_cells).await;
    assert_eq!(store.stat(old).await, Err(NodeError::NotFound));
}
