//! What may be done beyond the needful: it stays within a share of what is done anyway, so that a bad
//! time is not made worse by it.

use std::sync::atomic::{AtomicI64, Ordering};

/// Savings, in a unit of the owner's.
pub(super) struct Budget {
    saved: AtomicI64,
    most: i64,
}

impl Budget {
    /// With `saved` from the start, and room for `most`.
    pub(super) fn new(saved: i64, most: i64) -> Self {
        Self { saved: AtomicI64::new(saved), most }
    }

    /// Saves `amount`, unless there is enough.
    pub(super) fn earn(&self, amount: i64) {
        if self.saved.load(Ordering::Relaxed) < self.most {
            self.saved.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Pays the price, if it is there.
    pub(super) fn spend(&self, price: i64) -> bool {
        let pay = |saved: i64| (saved >= price).then(|| saved - price);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}
