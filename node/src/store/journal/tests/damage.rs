//! A journal that is torn or has rotted.

use super::super::members;
use super::super::members::Mark;
use super::{GONE, check_all, chunk, drive, folder, log_of, open, put_all, stopped};
use crate::conformance::{check_stored, get};
use crate::store::drive::Drive;
use crate::store::io::Io;
use crate::store::tests::copy_directory;
use sixfold_proto::chunks::NodeError;
use std::fs;
use std::fs::File;
use std::path::Path;

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
