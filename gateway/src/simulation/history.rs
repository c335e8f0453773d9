//! What clients saw, and whether a single store that does one thing at a time could have shown it:
//! linearizability, key by key.
//!
//! Each operation has an effect on a key's value at one moment between its call and its answer. An
//! operation without an answer may have its effect at any time after its call, or never. The check
//! looks for an order by trying (Wing and Gong), and remembers where it has been (Lowe).

use super::values::Value;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an operation needs a key's value to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requires {
    Nothing,
    Is(Option<Value>),
    Present,
    /// Present, but another one.
    Not(Value),
}

/// What it makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    Nothing,
    This(Option<Value>),
    /// Some value that was another key's.
    Unknown,
}

/// One operation on one key.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) key: usize,
    /// Its call, in the order of all calls and answers.
    pub(super) called: u64,
    /// Its answer; `None` without one.
    pub(super) answered: Option<u64>,
    pub(super) requires: Requires,
    pub(super) writes: Writes,
}

/// All operations of a run.
#[derive(Default)]
pub(super) struct History(Mutex<Book>);

#[derive(Default)]
struct Book {
    moments: u64,
    operations: Vec<Operation>,
}

impl History {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next moment.
    pub(super) fn moment(&self) -> u64 {
        let mut book = self.book();
        book.moments += 1;
        book.moments
    }

    /// Notes what an operation turned out to be.
    pub(super) fn note(
        &self,
        key: usize,
        (called, answered): (u64, Option<u64>),
        requires: Requires,
        writes: Writes,
    ) {
        self.book().operations.push(Operation { key, called, answered, requires, writes });
    }

    pub(super) fn count(&self) -> usize {
        self.book().operations.len()
    }

    /// What is wrong with the history, by key.
    pub(super) fn faults(&self) -> Vec<String> {
        let operations = self.book().operations.clone();
        let keys = operations.iter().map(|operation| operation.key).collect::<BTreeSet<_>>();
        let check_key = |key| {
            let own = operations.iter().filter(|operation| operation.key == key).cloned();
            check(own.collect()).err().map(|why| format!("I9: key {key}: {why}"))
        };
        keys.into_iter().filter_map(check_key).collect()
    }
}

/// Configurations that are looked at before a history counts as too hard.
const MOST_LOOKED_AT: usize = 2_000_000;

/// Stands for a value that nobody saw.
const UNSEEN: Value = Value::MAX;

/// Whether one key's operations can be put in an order.
pub(super) fn check(mut operations: Vec<Operation>) -> Result<(), String> {
    operations.sort_by_key(|operation| operation.called);
    assert!(operations.len() <= 128, "{} operations on a key", operations.len());
    let seen = operations.iter().filter_map(|operation| match operation.requires {
        Requires::Is(value) => value,
        _ => None,
    });
    let mut seen = seen.collect::<BTreeSet<_>>();
    seen.insert(UNSEEN);
    let answered = operations
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.answered.is_some())
        .fold(0_u128, |set, (at, _)| set | 1 << at);
    let mut been = HashSet::new();
    let mut open = vec![(0_u128, None)];
    let mut furthest = 0_u128;
    while let Some((done, value)) = open.pop() {
        if done & answered == answered {
            return Ok(());
        }
        if !been.insert((done, value)) {
            continue;
        }
        if been.len() > MOST_LOOKED_AT {
            return Err(format!("undecided after {MOST_LOOKED_AT} configurations"));
        }
        if (done & answered).count_ones() > (furthest & answered).count_ones() {
            furthest = done;
        }
        for at in next(&operations, done) {
            let operation = &operations[at];
            if holds(&operation.requires, value) {
                let values = after(&operation.writes, value, &seen);
                open.extend(values.into_iter().map(|value| (done | 1 << at, value)));
            }
        }
    }
    Err(blame(&operations, furthest))
}

/// The operations that may come next: those called before any that is left was answered.
fn next(operations: &[Operation], done: u128) -> Vec<usize> {
    let is_left = |at: &usize| done & 1 << at == 0;
    let left = (0..operations.len()).filter(is_left).collect::<Vec<_>>();
    let first_answer = left.iter().filter_map(|&at| operations[at].answered).min();
    let may_come = |at: &usize| first_answer.is_none_or(|end| operations[*at].called < end);
    left.into_iter().filter(may_come).collect()
}

fn holds(requires: &Requires, value: Option<Value>) -> bool {
    match requires {
        Requires::Nothing => true,
        Requires::Is(wanted) => value == *wanted,
        Requires::Present => value.is_some(),
        Requires::Not(unwanted) => value.is_some_and(|value| value != *unwanted),
    }
}

fn after(writes: &Writes, value: Option<Value>, seen: &BTreeSet<Value>) -> Vec<Option<Value>> {
    match writes {
        Writes::Nothing => vec![value],
        Writes::This(new) => vec![*new],
        Writes::Unknown => seen.iter().copied().map(Some).collect(),
    }
}

/// The operations that the furthest order could not go on with.
fn blame(operations: &[Operation], furthest: u128) -> String {
    let stuck = next(operations, furthest).into_iter().map(|at| format!("{:?}", operations[at]));
    let stuck = stuck.take(6).collect::<Vec<_>>().join("\n    ");
    let count = furthest.count_ones();
    let all = operations.len();
    format!("after {count} of {all} operations none of these can come next:\n    {stuck}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(times: (u64, u64), requires: Requires, writes: Writes) -> Operation {
        let answered = (times.1 > 0).then_some(times.1);
        Operation { key: 0, called: times.0, answered, requires, writes }
    }

    fn put(times: (u64, u64), value: Value) -> Operation {
        operation(times, Requires::Nothing, Writes::This(Some(value)))
    }

    fn delete(times: (u64, u64)) -> Operation {
        operation(times, Requires::Nothing, Writes::This(None))
    }

    fn get(times: (u64, u64), value: Option<Value>) -> Operation {
        operation(times, Requires::Is(value), Writes::Nothing)
    }

    #[test]
    fn histories_that_one_store_could_show() {
        for good in [
            vec![],
            vec![get((1, 2), None)],
            vec![put((1, 2), 7), get((3, 4), Some(7)), delete((5, 6)), get((7, 8), None)],
            // Two puts at once, in either order; a read beside a put sees either.
            vec![put((1, 5), 1), put((2, 6), 2), get((3, 4), Some(2)), get((7, 8), Some(1))],
            vec![put((1, 2), 1), put((3, 9), 2), get((4, 5), Some(1)), get((6, 7), Some(2))],
            // A put without an answer may come late, or never.
            vec![put((1, 0), 1), get((2, 3), None), get((4, 5), Some(1))],
            vec![put((1, 0), 1), get((2, 3), None), get((4, 5), None)],
            // A copy without an answer may have brought any value that was seen, or none that was.
            vec![operation((1, 0), Requires::Nothing, Writes::Unknown), get((2, 3), Some(9))],
            vec![
                operation((1, 0), Requires::Nothing, Writes::Unknown),
                operation((2, 3), Requires::Present, Writes::Nothing),
            ],
            // Two conditional puts at once: one of them was first.
            vec![
                operation((1, 4), Requires::Is(None), Writes::This(Some(1))),
                operation((2, 3), Requires::Present, Writes::Nothing),
            ],
        ] {
            assert_eq!(check(good.clone()), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn histories_that_no_store_could_show() {
        for bad in [
            vec![get((1, 2), Some(1))],
            // A lost put, an old value, a deleted value that is back.
            vec![put((1, 2), 1), get((3, 4), None)],
            vec![put((1, 2), 1), put((3, 4), 2), get((5, 6), Some(1))],
            vec![put((1, 2), 1), delete((3, 4)), get((5, 6), Some(1))],
            // Once the new value was seen, the old one must not be.
            vec![put((1, 2), 1), put((3, 20), 2), get((4, 5), Some(2)), get((6, 7), Some(1))],
            // A put without an answer came, so that it can't come again.
            vec![
                put((1, 0), 1),
                get((2, 3), Some(1)),
                delete((4, 5)),
                get((6, 7), None),
                get((8, 9), Some(1)),
            ],
            // Two who both were first.
            vec![
                operation((1, 4), Requires::Is(None), Writes::This(Some(1))),
                operation((2, 5), Requires::Is(None), Writes::This(Some(2))),
            ],
            vec![put((1, 2), 1), operation((3, 4), Requires::Not(1), Writes::Nothing)],
        ] {
            assert!(check(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
