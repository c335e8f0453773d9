//! Any calls, then a stop at which any part of what was not synced is lost.

use super::{begin, chunk, drive, folder, open, open_with, segments};
use crate::conformance::{cells, check_stored, put};
use crate::store::segment::queue::Request;
use crate::store::tests::{copy_directory, files_below};
use crate::store::{Hook, Step};
use proptest::prelude::*;
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::{ChunkName, CopyNumber};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

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
