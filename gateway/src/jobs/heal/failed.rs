//! What could not be healed although it looked so, and when it is tried again.

use crate::meta::types::{ChunkSet, Extent, Placement};
use sixfold_proto::name::ExtentId;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause after a failure, doubled with each that follows.
const PAUSE: Duration = Duration::from_secs(5);

/// The longest. What stands in the way may have gone without a word.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Extents that are remembered, some ten megabytes of them; what is beyond is tried whenever it is
/// met.
const MOST: usize = 100_000;

struct Failure {
    missing: ChunkSet,
    placement: Placement,
    pause: Duration,
    again: Instant,
}

/// Whether an extent is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It did not fail as it stands in its row now.
    First,
    /// It failed, and it is time for the next try.
    Again,
    /// It failed, and it is not.
    Later,
}

/// The extents that failed. In memory only: another process finds out for itself.
#[derive(Default)]
pub(super) struct Failed(HashMap<ExtentId, Failure>);

impl Failed {
    pub(super) fn turn(&self, extent: &Extent) -> Turn {
        match self.0.get(&extent.id).filter(|failure| failure.is_of(extent)) {
            None => Turn::First,
            Some(failure) if failure.again <= Instant::now() => Turn::Again,
            Some(_) => Turn::Later,
        }
    }

    pub(super) fn add(&mut self, extent: &Extent) {
        let before = self.0.get(&extent.id).filter(|failure| failure.is_of(extent));
        let pause = before.map_or(PAUSE, |failure| (failure.pause * 2).min(LONGEST_PAUSE));
        if self.0.len() >= MOST {
            // Those that are no longer met are healed or deleted.
            let now = Instant::now();
            self.0.retain(|_, failure| failure.again + LONGEST_PAUSE > now);
        }
        if self.0.len() < MOST || self.0.contains_key(&extent.id) {
            let (missing, placement) = (extent.missing, extent.placement);
            let again = Instant::now() + pause;
            self.0.insert(extent.id, Failure { missing, placement, pause, again });
        }
    }

    pub(super) fn remove(&mut self, extent: &Extent) {
        self.0.remove(&extent.id);
    }

    /// Nodes came or went: everything may be tried.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Failure {
    /// Whether the row is still the one that was tried.
    fn is_of(&self, extent: &Extent) -> bool {
        (self.missing, self.placement) == (extent.missing, extent.placement)
    }
}
