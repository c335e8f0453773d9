//! A journal with its drives: what was acknowledged survives every stop, also one at which all
//! is lost that was not synced.

// A slow drive blocks its thread.
#![allow(clippy::disallowed_methods)]

mod damage;
mod drives;
mod power;
mod pressure;
mod stops;

use super::{Journal, members};
use crate::conformance::{cells, check_stored, name, put};
use crate::store::tests::{copy_directory, files_below};
use crate::store::{Hook, OpenError, Step, Store, StoreOptions};
use futures::future::join_all;
use sixfold_proto::chunks::{Cell, NodeError};
use sixfold_proto::name::{ChunkName, CopyNumber};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
