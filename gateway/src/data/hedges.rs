//! The budget of hedges: extra reads stay within a share of all reads, so that a slow time is
//! not made slower by them.

use super::budget::Budget;
use metrics::Counter;
use sixfold_node::metrics::counter;
use sixfold_proto::metrics as names;

/// The price of one extra cell, in hundredths of a cell.
const CELL: i64 = 100;

/// What can be saved up: a burst of this many extra cells.
const MOST_SAVED: i64 = 64 * CELL;

/// See the module.
pub(super) struct Hedges {
    budget: Budget,
    percent: i64,
    read: Counter,
    sent: Counter,
    refused: Counter,
}

impl Hedges {
    pub(super) fn new(percent: u32) -> Self {
        Self {
            budget: Budget::new(0, MOST_SAVED),
            percent: i64::from(percent),
            read: counter(&names::CELLS_READ, &[]),
            sent: counter(&names::HEDGES, &[]),
            refused: counter(&names::HEDGES_REFUSED, &[]),
        }
    }

    /// A cell was read; that pays for a share of a later hedge.
    pub(super) fn earn(&self) {
        self.read.increment(1);
        self.budget.earn(self.percent);
    }

    /// Pays for `cells` extra cells, if there is enough.
    pub(super) fn spend(&self, cells: usize) -> bool {
        let price = CELL * i64::try_from(cells).unwrap_or(i64::MAX / CELL);
        let is_paid = self.budget.spend(price);
        if is_paid { &self.sent } else { &self.refused }.increment(1);
        is_paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_reads_pay_for_five_extra_ones() {
        let hedges = Hedges::new(5);
        assert!(!hedges.spend(1));
        (0..100).for_each(|_| hedges.earn());
        assert!(hedges.spend(4) && hedges.spend(1) && !hedges.spend(1));
    }

    #[test]
    fn savings_are_bounded() {
        let hedges = Hedges::new(5);
        (0..100_000).for_each(|_| hedges.earn());
        assert!(!hedges.spend(66) && hedges.spend(64));
    }
}
