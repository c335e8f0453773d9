//! The scrub over real drives.

use super::*;
use crate::conformance::{CLUSTER, cells, name, put};
use crate::store::StoreOptions;
use async_trait::async_trait;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use std::path::{Path, PathBuf};

/// Remembers what was marked; fails on request.
#[derive(Default)]
struct Marks {
    rotten: Mutex<Vec<ChunkName>>,
    fails: Mutex<bool>,
}

#[async_trait]
impl Rows for Marks {
    async fn mark_rotten(&self, chunks: &[ChunkName]) -> anyhow::Result<()> {
        anyhow::ensure!(!*self.fails.lock().unwrap(), "the database is away");
        self.rotten.lock().unwrap().extend(chunks);
        Ok(())
    }

    async fn witness(&self, _: &[Mark], _: CopyNumber, _: bool) -> anyhow::Result<Witnessed> {
        anyhow::bail!("nobody asks in these tests")
    }

    async fn report_jobs(&self, _reports: &[JobReport]) -> anyhow::Result<()> {
        Ok(())
    }
}

struct World {
    directory: tempfile::TempDir,
    store: Arc<Store>,
    marks: Arc<Marks>,
}

impl World {
    /// Ten small chunks in a segment and three large ones in files.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
        for number in 0..10 {
            let name = name(1, number, 0);
            put(&*store, name, &cells(name, 20, 50, 0)).await.unwrap();
        }
        for number in 10..13 {
            let name = name(1, number, 1);
            put(&*store, name, &cells(name, 200_000, 1_300_000, 0)).await.unwrap();
        }
        Self { directory, store, marks: Arc::default() }
    }

    fn scrub(&self) -> Scrub {
        let fast = ScrubSettings { bytes_per_second: u64::MAX, cycle: Duration::from_secs(1) };
        Scrub::new(self.store.clone(), self.marks.clone(), CLUSTER, fast)
    }

    fn rotten(&self) -> Vec<u64> {
        self.marks.rotten.lock().unwrap().iter().map(|name| name.extent.random()).collect()
    }

    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = files_below(&self.directory.path().join(folder));
        found.sort();
        found
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x04;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_is_found_in_segments_and_files() {
    let world = World::new().await;
    let mut cycle = Cycle::beginning(1);
    world.scrub().go_on(&mut cycle).await.unwrap();
    assert_eq!((cycle.chunks, cycle.rotten, cycle.is_ended), (13, 0, true));
    assert_eq!(cycle.bytes, world.store.stored_bytes());

    // Of a record of 176 bytes: header, data, checksum, seal; of a file: its last cell.
    let segment = &world.files("segments")[0];
    for (number, byte) in [(0, 10), (3, 64 + 5), (5, 64 + 22), (9, 64 + 74 + 20)] {
        flip(segment, number * 176 + byte);
    }
    let large = &world.files("chunks")[1];
    flip(large, 1_299_000);
    let mut cycle = Cycle::beginning(2);
    world.scrub().go_on(&mut cycle).await.unwrap();
    assert_eq!((cycle.chunks, cycle.rotten), (13, 5));
    assert_eq!(world.rotten(), [0, 3, 5, 9, 11]);
}

/// What a crash tore was never acknowledged: the start cuts it off, and the scrub sees no rot.
#[tokio::test]
async fn a_torn_end_is_no_rot() {
    let World { directory, store, marks } = World::new().await;
    drop(store);
    let world = {
        let segment = &files_below(&directory.path().join("segments"))[0];
        let bytes = std::fs::read(segment).unwrap();
        std::fs::write(segment, &bytes[..bytes.len() - 20]).unwrap();
        let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
        World { directory, store, marks }
    };
    let mut cycle = Cycle::beginning(1);
    world.scrub().go_on(&mut cycle).await.unwrap();
    assert_eq!((cycle.chunks, cycle.rotten), (12, 0), "the last one was not synced, as it looks");
}

#[tokio::test]
async fn a_rotten_chunk_is_passed_only_once_it_is_marked() {
    let world = World::new().await;
    flip(&world.files("segments")[0], 3 * 176 + 70);
    *world.marks.fails.lock().unwrap() = true;
    let (scrub, mut cycle) = (world.scrub(), Cycle::beginning(1));
    assert!(scrub.go_on(&mut cycle).await.is_err());
    assert_eq!((cycle.chunks, cycle.is_ended), (3, false));
    *world.marks.fails.lock().unwrap() = false;
    scrub.go_on(&mut cycle).await.unwrap();
    assert_eq!((cycle.chunks, cycle.rotten, cycle.is_ended), (13, 1, true));
    assert_eq!(world.rotten(), [3]);
}

#[tokio::test]
async fn it_goes_on_after_a_restart_where_it_was() {
    let world = World::new().await;
    let scrub = world.scrub();
    let mut cycle = Cycle::beginning(unix_now());
    for entry in world.store.list(None, 4).await.unwrap() {
        cycle.pass(&entry, false);
    }
    scrub.note(&cycle).await.unwrap();
    let World { directory, store, marks } = world;
    drop((scrub, store));
    let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
    let world = World { directory, store, marks };
    let scrub = world.scrub();
    let mut found = scrub.load_cycle().await;
    assert_eq!(found, cycle);
    scrub.go_on(&mut found).await.unwrap();
    assert_eq!((found.chunks, scrub.report().things), (13, 9));
    assert_eq!(scrub.report().progress, Some(1.0));
    assert!(scrub.load_cycle().await.is_ended);
    std::fs::write(world.directory.path().join("scrub"), "no note").unwrap();
    assert_eq!(scrub.load_cycle().await.chunks, 0);
}

#[test]
fn steps_cover_every_cell() {
    for (size_bytes, cell_count) in [(1, 1), (1_048_576, 4), (1_048_577, 5), (33_554_432, 128)] {
        let (copy, writer) = (CopyNumber(1), LeaseId(1));
        let chunk = ChunkEntry { name: name(1, 1, 1), copy, writer, size_bytes, cell_count };
        let mut next = 0;
        for (cells, cost) in steps(&chunk) {
            assert_eq!(cells.start, next);
            assert!((LEAST_COST_BYTES..=1_048_576).contains(&cost));
            next = cells.end;
        }
        assert_eq!(next, cell_count);
    }
}
