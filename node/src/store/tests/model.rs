//! Any sequence of calls and restarts does what a map would do.

use crate::conformance::{cells, check_stored, name, put_as};
use crate::store::segment::queue::Request;
use crate::store::{Store, StoreOptions};
use proptest::prelude::*;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Call {
    Put { number: u64, size: usize, writer: u64 },
    Delete { number: u64 },
    DeleteOther { number: u64 },
    Seal,
    Reopen,
}

fn any_call() -> impl Strategy<Value = Call> {
    let number = 0_u64..8;
    let size = prop_oneof![Just(100_usize), Just(5000), Just(120_000), Just(300_000)];
    prop_oneof![
        6 => (number.clone(), size, 1_u64..3)
            .prop_map(|(number, size, writer)| Call::Put { number, size, writer }),
        4 => number.clone().prop_map(|number| Call::Delete { number }),
        1 => number.prop_map(|number| Call::DeleteOther { number }),
        1 => Just(Call::Seal),
        1 => Just(Call::Reopen),
    ]
}

struct Stored {
    size: usize,
    writer: u64,
    copy: CopyNumber,
}

fn cell_bytes(size: usize) -> usize {
    size.min(100_000)
}

async fn run(calls: Vec<Call>) {
    let directory = tempfile::tempdir().unwrap();
    let open = || Store::open(directory.path(), StoreOptions::default()).unwrap();
    let mut store = open();
    let mut model: BTreeMap<ChunkName, Stored> = BTreeMap::new();
    let mut highest = CopyNumber(0);
    for call in calls {
        match call {
            Call::Put { number, size, writer } => {
                let name = name(1, number, 0);
                let bytes = cells(name, cell_bytes(size), size, 0);
                let result = put_as(&store, name, LeaseId(writer), &bytes).await;
                match model.get(&name) {
                    Some(stored) if stored.size != size => {
                        assert_eq!(result, Err(NodeError::Conflict));
                        continue;
                    }
                    Some(stored) if stored.writer == writer => {
                        assert_eq!(result, Ok(stored.copy));
                        continue;
                    }
                    _ => {}
                }
                let copy = result.unwrap();
                assert!(copy > highest, "copy numbers grow");
                highest = copy;
                model.insert(name, Stored { size, writer, copy });
            }
            Call::Delete { number } => {
                let name = name(1, number, 0);
                let copy = model.remove(&name).map(|stored| stored.copy);
                let expected = copy.map(|_| ()).ok_or(NodeError::NotFound);
                assert_eq!(store.delete(name, copy.unwrap_or(highest)).await, expected);
            }
            Call::DeleteOther { number } => {
                let name = name(1, number, 0);
                let known = model.contains_key(&name);
                let expected = if known { NodeError::OtherCopy } else { NodeError::NotFound };
                let other = CopyNumber(highest.0 + 1);
                assert_eq!(store.delete(name, other).await, Err(expected));
            }
            Call::Seal => store.threads.ask(Request::Seal).await.unwrap(),
            Call::Reopen => {
                drop(store);
                store = open();
            }
        }
    }
    for last in 0..2 {
        let listed = store.list(None, 100).await.unwrap();
        assert_eq!(listed.len(), model.len());
        for (entry, (name, stored)) in listed.iter().zip(&model) {
            assert_eq!((entry.name, entry.copy), (*name, stored.copy));
            assert_eq!(entry.writer, LeaseId(stored.writer));
            assert_eq!(entry.size_bytes, stored.size as u64);
            check_stored(&store, *name, &cells(*name, cell_bytes(stored.size), stored.size, 0))
                .await;
        }
        if last == 0 {
            drop(store);
            store = open();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_sequence_does_what_a_map_does(calls in proptest::collection::vec(any_call(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(calls));
    }
}
