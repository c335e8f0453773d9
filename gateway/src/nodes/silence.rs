//! How long a node has been silent, as this process measures it. Pure.
//!
//! The rows say how old a node's last heartbeat is by the database's clock. That age is
//! believed downwards at once, but upwards only as fast as this process's own clock runs, and
//! only over times at whose both ends the database answered: while the database is away no
//! heartbeat can arrive, and no node dies of it.

use std::time::Duration;

/// After this long without a heartbeat a node counts as silent: two heartbeats.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// After this long without a heartbeat a node counts as dead.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(15);

/// The longest time between two looks at the rows that is counted in full.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// What the watcher believes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// It was heard of lately.
    Alive,
    /// No heartbeat lately.
    Silent,
    /// No heartbeat for so long that nothing new is placed there.
    Dead,
}

/// The silence of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence(Duration);

impl Silence {
    /// The first look at a node. An old heartbeat makes it silent but not yet dead: it may be
    /// the database that was away.
    pub(super) fn first(heartbeat_age: Duration) -> Self {
        Self(heartbeat_age.min(SILENT_AFTER))
    }

    /// The next look, `step` after the one before.
    pub(super) fn next(self, heartbeat_age: Duration, step: Duration) -> Self {
        Self(heartbeat_age.min(self.0 + step.min(LONGEST_STEP)))
    }

    /// The liveness; a call that succeeded `last_success` ago outweighs missing heartbeats.
    pub(super) fn liveness(self, last_success: Option<Duration>) -> Liveness {
        match last_success.map_or(self.0, |age| age.min(self.0)) {
            age if age < SILENT_AFTER => Liveness::Alive,
            age if age < DEAD_AFTER => Liveness::Silent,
            _ => Liveness::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_node_without_heartbeats_falls_silent_and_dies() {
        let mut silence = Silence::first(seconds(1));
        let mut seen = vec![silence.liveness(None)];
        for age in [6, 11, 16] {
            silence = silence.next(seconds(age), seconds(5));
            seen.push(silence.liveness(None));
        }
        assert_eq!(seen, [Liveness::Alive, Liveness::Alive, Liveness::Silent, Liveness::Dead]);
        assert_eq!(silence.next(seconds(0), seconds(5)).liveness(None), Liveness::Alive);
    }

    #[test]
    fn a_database_that_was_away_kills_no_node() {
        let silence = Silence::first(seconds(2)).next(seconds(600), seconds(598));
        assert_ne!(silence.liveness(None), Liveness::Dead);
        assert_ne!(Silence::first(seconds(86_400)).liveness(None), Liveness::Dead);
    }

    #[test]
    fn a_call_that_succeeded_outweighs_missing_heartbeats() {
        let dead = Silence(seconds(100));
        assert_eq!(dead.liveness(None), Liveness::Dead);
        assert_eq!(dead.liveness(Some(seconds(3))), Liveness::Alive);
    }
}
