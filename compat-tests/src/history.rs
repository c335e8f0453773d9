//! Whether what clients saw of one key is what a single register would have shown them.
//!
//! Every write has a value of its own, which makes the question easy (Gibbons and Korach, "Testing
//! shared memories", 1997): all operations of one value must fit between the writes of others. The
//! zone of a value reaches from the first end of its operations to the last start. Where the
//! first end comes before the last start, the value must have been there all the time between; no two
//! values can be. Otherwise its operations all overlap, and any moment in which no other value
//! has to be there is good enough.

use std::collections::BTreeMap;

/// A value that was written, or read; 0 is what was there before all writes.
pub type Value = u64;

/// One operation. Times are of one clock, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whether it wrote its value; it read it otherwise.
    pub is_write: bool,
    /// What it wrote or read.
    pub value: Value,
    /// When the client began.
    pub began: u64,
    /// When it had its answer; `None` for a write of which nobody knows whether it happened. A
    /// read without an answer has no place in a history.
    pub ended: Option<u64>,
}

/// The operations of one value.
#[derive(Default)]
struct Cluster {
    write: Option<Operation>,
    reads: Vec<Operation>,
}

/// When a value must have been there: from `first_end` to `last_start`, or at some moment of the
/// other way round.
#[derive(Clone, Copy, Debug)]
struct Zone {
    value: Value,
    first_end: u64,
    last_start: u64,
}

impl Zone {
    fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }
}

/// Says what can't be, if anything.
///
/// # Errors
/// Names the values that contradict each other.
pub fn check(operations: &[Operation]) -> Result<(), String> {
    let mut zones = zones(operations)?;
    zones.sort_by_key(|zone| zone.first_end.min(zone.last_start));
    let (forward, backward): (Vec<_>, Vec<_>) = zones.into_iter().partition(Zone::is_forward);
    for pair in forward.windows(2) {
        if pair[1].first_end < pair[0].last_start {
            let values = (pair[0].value, pair[1].value);
            return Err(format!("{values:?} must be there at the same time: {pair:?}"));
        }
    }
    for zone in backward {
        let holds =
            |other: &&Zone| other.first_end < zone.last_start && zone.first_end < other.last_start;
        if let Some(other) = forward.iter().find(holds) {
            let values = (zone.value, other.value);
            return Err(format!("{values:?}: no moment for the first: {zone:?}, {other:?}"));
        }
    }
    Ok(())
}

fn zones(operations: &[Operation]) -> Result<Vec<Zone>, String> {
    let mut clusters: BTreeMap<Value, Cluster> = BTreeMap::new();
    let first = Operation { is_write: true, value: 0, began: 0, ended: Some(0) };
    clusters.entry(0).or_default().write = Some(first);
    for operation in operations {
        let cluster = clusters.entry(operation.value).or_default();
        if !operation.is_write {
            cluster.reads.push(*operation);
        } else if cluster.write.replace(*operation).is_some() {
            return Err(format!("the value {} is written twice", operation.value));
        }
    }
    let mut zones = Vec::new();
    for (value, Cluster { write, reads }) in clusters {
        let write = write.ok_or(format!("{value} was read and never written: {reads:?}"))?;
        if write.ended.is_none() && reads.is_empty() {
            // It may never have happened.
            continue;
        }
        if let Some(early) = reads.iter().find(|read| read.ended < Some(write.began)) {
            return Err(format!("read before it was written: {early:?}, {write:?}"));
        }
        let all = reads.iter().chain([&write]);
        let first_end = all.clone().filter_map(|operation| operation.ended).min();
        let last_start = all.map(|operation| operation.began).max();
        let (first_end, last_start) = (first_end.unwrap_or(u64::MAX), last_start.unwrap_or(0));
        zones.push(Zone { value, first_end, last_start });
    }
    Ok(zones)
}

#[cfg(test)]
mod tests {
    use super::{Operation, Value, check};

    fn write(value: Value, began: u64, ended: impl Into<Option<u64>>) -> Operation {
        Operation { is_write: true, value, began, ended: ended.into() }
    }

    fn read(value: Value, began: u64, ended: u64) -> Operation {
        Operation { is_write: false, value, began, ended: Some(ended) }
    }

    #[test]
    fn f17_known_histories_are_judged_rightly() {
        let good: [&[Operation]; 5] = [
            &[write(1, 1, 2), read(1, 3, 4), write(2, 5, 6), read(2, 7, 8)],
            &[read(0, 1, 2), write(1, 3, 9), read(0, 4, 5), read(1, 6, 7), read(1, 10, 11)],
            // Which of two writes at the same time comes last is open.
            &[write(1, 1, 5), write(2, 1, 5), read(1, 6, 7), read(1, 8, 9)],
            // An unknown write may show late, or never.
            &[write(1, 1, 2), write(2, 3, None), read(1, 10, 11), read(2, 20, 21)],
            &[write(1, 1, 2), write(2, 3, None), read(1, 10, 11)],
        ];
        for history in good {
            assert_eq!(check(history), Ok(()), "{history:?}");
        }
        let bad: [&[Operation]; 5] = [
            // Stale, lost, back and forth, from the future, out of nowhere.
            &[write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)],
            &[write(1, 1, 2), read(0, 3, 4)],
            &[write(1, 1, 9), write(2, 1, 9), read(1, 10, 11), read(2, 12, 13), read(1, 14, 15)],
            &[read(1, 1, 2), write(1, 3, 4)],
            &[read(7, 1, 2)],
        ];
        for history in bad {
            assert!(check(history).is_err(), "{history:?}");
        }
    }

    /// Tries every order.
    fn has_order(left: &[Operation], current: Value) -> bool {
        if left.iter().all(|operation| operation.is_write && operation.ended.is_none()) {
            return true;
        }
        (0..left.len()).any(|index| {
            let next = left[index];
            let is_first =
                left.iter().all(|other| other.ended.is_none_or(|ended| ended >= next.began));
            let fits = next.is_write || next.value == current;
            let rest: Vec<_> = [&left[..index], &left[index + 1..]].concat();
            is_first && fits && has_order(&rest, next.value)
        })
    }

    #[test]
    fn f17_every_small_history_is_judged_as_by_trying_all_orders() {
        let mut state = 17_u64;
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % limit
        };
        let mut good = 0;
        for _ in 0..20_000 {
            let writes = 1 + below(3);
            let mut history: Vec<Operation> = Vec::new();
            for value in 1..=writes {
                let began = 1 + below(12);
                let ended = (below(5) > 0).then(|| began + 1 + below(6));
                history.push(write(value, began, ended));
            }
            for _ in 0..below(4) {
                let began = 1 + below(12);
                history.push(read(below(writes + 1), began, began + 1 + below(6)));
            }
            let expected = has_order(&history, 0);
            assert_eq!(check(&history).is_ok(), expected, "{history:?}: {:?}", check(&history));
            good += u32::from(expected);
        }
        assert!(
            (2000..18_000).contains(&good),
            "{good} of 20000 are good: a test of one side only"
        );
    }
}
