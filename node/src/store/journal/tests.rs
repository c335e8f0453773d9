//! A journal with its drives: what was acknowledged survives every stop, also one at which all
//! is lost that was not synced.

// A slow drive blocks its thread.
#![allow(clippy::disallowed_methods)]

use super::members::Mark;
use super::{Journal, members};
use crate::conformance::{cells, check_stored, get, name, put};
use crate::store::drive::Drive;
use crate::store::io::Io;
use crate::store::segment::queue::Request;
use crate::store::tests::{copy_directory, files_below};
use crate::store::{Hook, OpenError, Step, Store, StoreOptions};
use futures::future::join_all;
use proptest::prelude::*;
use rustix::io::Errno;
use sixfold_proto::chunks::{Cell, Chunks, NodeError};
use sixfold_proto::name::{ChunkName, CopyNumber};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Eight batches of a page: the halves take turns often.
const HALF_BYTES: u64 = 32 * 1024;

const GONE: Result<Vec<Cell>, NodeError> = Err(NodeError::NotFound);

/// A folder in memory, where there is one: what was not synced the tests lose themselves, and a busy
/// drive's syncs would take most of their time.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn journal_folder(root: &Path) -> PathBuf {
    root.join("journal")
}

fn drive(root: &Path, number: u8) -> PathBuf {
    root.join(format!("node{number}"))
}

fn begin(root: &Path, hook: Option<Hook>) -> Arc<Journal> {
    Arc::new(Journal::with_half(&journal_folder(root), hook, HALF_BYTES).unwrap())
}

fn open_with(
    root: &Path,
    number: u8,
    journal: Option<&Arc<Journal>>,
    hook: Option<Hook>,
) -> Result<Store, OpenError> {
    let options = StoreOptions { journal: journal.cloned(), hook, ..StoreOptions::default() };
    Store::open(&drive(root, number), options)
}

/// Both drives.
fn open(root: &Path) -> Vec<Store> {
    let journal = begin(root, None);
    (0..2).map(|number| open_with(root, number, Some(&journal), None).unwrap()).collect()
}

fn chunk(number: u64, drive: u8, size: usize) -> (ChunkName, Vec<Cell>) {
    let name = name(1, number, drive);
    (name, cells(name, 100_000, size, 0))
}

/// Stores the chunks of an object, one on each drive, at once.
async fn put_all(stores: &[Store], number: u64, size: usize) -> Vec<Result<CopyNumber, NodeError>> {
    let chunks: Vec<_> = (0..).zip(stores).map(|(at, _)| chunk(number, at, size)).collect();
    let puts = stores.iter().zip(&chunks);
    join_all(puts.map(|(store, (name, cells))| put(store, *name, cells))).await
}

async fn check_all(stores: &[Store], numbers: std::ops::Range<u64>, size: usize) {
    for number in numbers {
        for (at, store) in (0..).zip(stores) {
            let (name, cells) = chunk(number, at, size);
            check_stored(store, name, &cells).await;
        }
    }
}

fn segments(root: &Path, number: u8) -> Vec<PathBuf> {
    files_below(&drive(root, number).join("segments"))
}

/// The machine stops: what no drive has synced by itself is gone, as if it had never been written.
fn lose_segments(root: &Path, number: u8) {
    for segment in segments(root, number) {
        OpenOptions::new().write(true).open(segment).unwrap().set_len(0).unwrap();
    }
}

fn log_of(root: &Path) -> PathBuf {
    let logs = files_below(&journal_folder(root));
    let mut logs: Vec<_> = logs.into_iter().filter(|path| path.ends_with(members::LOG)).collect();
    assert_eq!(logs.len(), 1);
    logs.pop().unwrap()
}

fn marks(root: &Path) -> usize {
    files_below(root).iter().filter(|path| path.ends_with("needs-journal")).count()
}

/// Both drives with three objects, as they are when the machine stops.
async fn stopped() -> tempfile::TempDir {
    let (running, stopped) = (folder(), folder());
    let stores = open(running.path());
    for number in 0..3 {
        assert!(put_all(&stores, number, 500).await.iter().all(Result::is_ok));
    }
    copy_directory(running.path(), stopped.path());
    (0..2).for_each(|number| lose_segments(stopped.path(), number));
    stopped
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_a_journal_conforms() {
    let root = tempfile::tempdir().unwrap();
    let mut stores = open(root.path()).into_iter().map(Arc::new);
    let (first, second) = (stores.next().unwrap(), stores.next().unwrap());
    crate::conformance::all(first).await;
    crate::conformance::all(Arc::new(crate::conformance::ByCell(second))).await;
}

#[tokio::test]
async fn the_chunks_of_all_drives_share_a_sync() {
    let root = folder();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counter = |syncs: &Arc<AtomicUsize>| {
        let syncs = Arc::clone(syncs);
        let count = move |step| {
            syncs.fetch_add(usize::from(step == Step::SyncData), Ordering::Relaxed);
            Ok(())
        };
        Some(Arc::new(count) as Hook)
    };
    let (own, shared) = (syncs, Arc::new(AtomicUsize::new(0)));
    let journal = begin(root.path(), counter(&shared));
    let open = |number| open_with(root.path(), number, Some(&journal), counter(&own)).unwrap();
    let stores: Vec<_> = (0..2).map(open).collect();
    assert!(put_all(&stores, 0, 500).await.iter().all(Result::is_ok));
    let before = (own.load(Ordering::Relaxed), shared.load(Ordering::Relaxed));
    assert!(put_all(&stores, 1, 500).await.iter().all(Result::is_ok));
    // The thread may have taken the first one before the second came.
    assert!(shared.load(Ordering::Relaxed) - before.1 <= 2);
    assert_eq!(own.load(Ordering::Relaxed), before.0, "no drive synced for itself");
    assert!(put_all(&stores, 2, 50_000).await.iter().all(Result::is_ok));
    assert_eq!(own.load(Ordering::Relaxed), before.0 + 2, "what is large goes around the journal");
}

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
async fn a_torn_batch_costs_itself_and_nothing_else() {
    let stopped = stopped().await;
    let whole = fs::read(log_of(stopped.path())).unwrap();
    // Each object is one batch or two; the last page has the last one's end.
    let last = (whole.len() - 1) / 4096 * 4096;
    for cut in [last, last + 1, last + 63, last + 64, last + 100, whole.len() - 1] {
        for garbage in [0, 300] {
            let copy = folder();
            copy_directory(stopped.path(), copy.path());
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + garbage, 0xab);
            fs::write(log_of(copy.path()), torn).unwrap();
            let stores = open(copy.path());
            check_all(&stores, 0..2, 500).await;
            let mut there = 0;
            for (at, store) in (0..).zip(&stores) {
                let (name, cells) = chunk(2, at, 500);
                let read = get(store, name, 0..1).await;
                assert!(read == Ok(cells) || read == GONE, "cut at {cut}");
                there += u64::from(read != GONE);
            }
            assert!(there < 2, "cut at {cut}: {there}");
        }
    }
}

#[tokio::test]
async fn a_rotten_piece_costs_itself_and_nothing_else() {
    let stopped = stopped().await;
    let log = log_of(stopped.path());
    let mut bytes = fs::read(&log).unwrap();
    let (name, rotten) = chunk(1, 0, 500);
    let data = &rotten[0].data[..];
    let at = bytes.windows(data.len()).position(|window| window == data).unwrap();
    bytes[at + 17] ^= 0x40;
    fs::write(&log, bytes).unwrap();
    assert_eq!(damaged_batches(stopped.path()), 1);
    let stores = open(stopped.path());
    check_all(&stores, 0..1, 500).await;
    check_all(&stores, 2..3, 500).await;
    let (other, cells) = chunk(1, 1, 500);
    check_stored(&stores[1], other, &cells).await;
    let read = get(&stores[0], name, 0..1).await;
    assert!(read == GONE || matches!(read, Err(NodeError::Damaged(_))), "{read:?}");
}

/// What a start would miss; nothing is written.
fn damaged_batches(root: &Path) -> usize {
    let (io, elsewhere) = (Io::new(None), folder());
    let mark = Mark::read(&drive(root, 0)).unwrap().unwrap();
    let log = File::open(log_of(root)).unwrap();
    let elsewhere = Drive::open(elsewhere.path(), &io).unwrap();
    members::replay(&log, &mark, &elsewhere, &io).unwrap().damaged_batches
}

#[tokio::test]
async fn what_older_rounds_left_in_a_half_is_no_damage() {
    let root = folder();
    let stores = open(root.path());
    for number in 0..40 {
        // Batches of one to three pages: what ends a half differs from round to round.
        let size = [100, 3000, 9000][(number * number) as usize % 7 % 3];
        assert!(put_all(&stores, number, size).await.iter().all(Result::is_ok));
        assert_eq!(damaged_batches(root.path()), 0, "after {number}");
    }
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

#[derive(Clone, Debug)]
enum Call {
    Put { number: u64, drive: u8, size: usize },
    Delete { number: u64, drive: u8 },
    Seal { drive: u8 },
}

fn any_call() -> impl Strategy<Value = Call> {
    let size = prop_oneof![6 => Just(200_usize), 2 => Just(3000), 1 => Just(40_000)];
    prop_oneof![
        8 => (0_u64..30, 0_u8..2, size)
            .prop_map(|(number, drive, size)| Call::Put { number, drive, size }),
        2 => (0_u64..30, 0_u8..2).prop_map(|(number, drive)| Call::Delete { number, drive }),
        1 => (0_u8..2).prop_map(|drive| Call::Seal { drive }),
    ]
}

/// How long the segments of a drive were when it last synced one.
type Synced = Arc<Mutex<BTreeMap<PathBuf, u64>>>;

fn note_lengths(root: &Path, number: u8, synced: &Synced) -> Hook {
    let (folder, synced) = (drive(root, number).join("segments"), Arc::clone(synced));
    Arc::new(move |step| {
        if step == Step::SyncData && folder.is_dir() {
            // The newest is the one that is synced; those before it are sealed.
            if let Some(path) = files_below(&folder).into_iter().max() {
                let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                synced.lock().unwrap().insert(path, length);
            }
        }
        Ok(())
    })
}

/// Cuts or blots out, by `seed`, some of what no sync has made durable.
fn tear(root: &Path, number: u8, synced: &BTreeMap<PathBuf, u64>, seed: u64) {
    for path in segments(root, number) {
        let kept = synced.iter().find(|(known, _)| {
            known.file_name() == path.file_name()
                && known.parent().unwrap().parent().unwrap().file_name()
                    == drive(root, number).file_name()
        });
        let kept = kept.map_or(0, |(_, length)| *length);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let loose = file.metadata().unwrap().len().saturating_sub(kept);
        if loose > 0 {
            file.write_all_at(&vec![0; (seed % loose) as usize], kept).unwrap();
            file.set_len(kept + (seed >> 20) % (loose + 1)).unwrap();
        }
    }
}

async fn run(calls: Vec<Call>, seed: u64) {
    let (running, stopped) = (folder(), folder());
    let synced = Synced::default();
    let journal = begin(running.path(), None);
    let open_one = |number| {
        let hook = note_lengths(running.path(), number, &synced);
        open_with(running.path(), number, Some(&journal), Some(hook)).unwrap()
    };
    let stores: Vec<_> = (0..2).map(open_one).collect();
    let mut model: BTreeMap<ChunkName, (u8, usize, CopyNumber)> = BTreeMap::new();
    for call in calls {
        match call {
            Call::Put { number, drive, size } => {
                let (name, cells) = chunk(number, drive, size);
                if let Entry::Vacant(entry) = model.entry(name) {
                    let copy = put(&stores[usize::from(drive)], name, &cells).await.unwrap();
                    entry.insert((drive, size, copy));
                }
            }
            Call::Delete { number, drive } => {
                let (name, _) = chunk(number, drive, 1);
                if let Some((_, _, copy)) = model.remove(&name) {
                    stores[usize::from(drive)].delete(name, copy).await.unwrap();
                }
            }
            Call::Seal { drive } => {
                let store = &stores[usize::from(drive)];
                store.threads.ask(Request::Seal).await.unwrap();
            }
        }
    }
    copy_directory(running.path(), stopped.path());
    let synced = synced.lock().unwrap().clone();
    (0..2).for_each(|number| tear(stopped.path(), number, &synced, seed));
    for start in 0..2 {
        let stores = open(stopped.path());
        for (number, store) in (0..).zip(&stores) {
            let theirs = model.iter().filter(|(_, (drive, ..))| *drive == number);
            let listed = store.list(None, 100).await.unwrap();
            let listed: Vec<_> = listed.iter().map(|entry| (entry.name, entry.copy)).collect();
            let expected: Vec<_> =
                theirs.clone().map(|(name, (.., copy))| (*name, *copy)).collect();
            assert_eq!(listed, expected, "start {start}");
            for (name, (_, size, _)) in theirs {
                check_stored(store, *name, &cells(*name, 100_000, *size, 0)).await;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_was_acknowledged_survives_any_loss_of_what_was_not_synced(
        calls in proptest::collection::vec(any_call(), 1..80), seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(calls, seed));
    }
}
