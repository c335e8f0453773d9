//! How long a node has been silent, as this process measures it. Pure.
//!
//! The rows say how old a node's last heartbeat is by the database's clock. That age is
//! believed downwards at once, but upwards only as fast as this process's own clock runs, and
//! only over times at whose both ends the database answered: while the database is away no
//! heartbeat can arrive, and no node dies of it.

use super::limits::NodeLimits;
use std::time::Duration;

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
    pub(super) fn first(heartbeat_age: Duration, limits: &NodeLimits) -> Self {
        Self(heartbeat_age.min(limits.silent_after))
    }

    /// The next look, `step` after the one before. At most the time of two looks is counted:
    /// what is beyond, this process may have slept through.
    pub(super) fn next(self, heartbeat_age: Duration, step: Duration, limits: &NodeLimits) -> Self {
        Self(heartbeat_age.min(self.0 + step.min(limits.refresh_every * 2)))
    }

    /// For how long nothing was heard of it, neither a heartbeat nor an answer.
    pub(super) fn age(self, last_success: Option<Duration>) -> Duration {
        last_success.map_or(self.0, |age| age.min(self.0))
    }

    /// The liveness; a call that succeeded `last_success` ago outweighs missing heartbeats.
    pub(super) fn liveness(self, last_success: Option<Duration>, limits: &NodeLimits) -> Liveness {
        match self.age(last_success) {
            age if age < limits.silent_after => Liveness::Alive,
            age if age < limits.dead_after => Liveness::Silent,
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

    fn first(age: u64) -> Silence {
        Silence::first(seconds(age), &NodeLimits::default())
    }

    fn next(silence: Silence, age: u64, step: u64) -> Silence {
        silence.next(seconds(age), seconds(step), &NodeLimits::default())
    }

    fn liveness(silence: Silence) -> Liveness {
        silence.liveness(None, &NodeLimits::default())
    }

    #[test]
    fn f28_a_node_without_heartbeats_falls_silent_and_dies() {
        let mut silence = first(1);
        let mut seen = vec![liveness(silence)];
        for age in [6, 11, 16] {
            silence = next(silence, age, 5);
            seen.push(liveness(silence));
        }
        assert_eq!(seen, [Liveness::Alive, Liveness::Alive, Liveness::Silent, Liveness::Dead]);
        assert_eq!(liveness(next(silence, 0, 5)), Liveness::Alive);
    }

    #[test]
    fn f36_a_database_that_was_away_kills_no_node() {
        assert_ne!(liveness(next(first(2), 600, 598)), Liveness::Dead);
        assert_ne!(liveness(first(86_400)), Liveness::Dead);
    }

    #[test]
    fn f28_a_call_that_succeeded_outweighs_missing_heartbeats() {
        let dead = Silence(seconds(100));
        assert_eq!(liveness(dead), Liveness::Dead);
        assert_eq!(dead.liveness(Some(seconds(3)), &NodeLimits::default()), Liveness::Alive);
    }

    #[test]
    fn when_a_node_is_dead_is_a_setting() {
        let limits = NodeLimits {
            silent_after: seconds(1),
            dead_after: seconds(2),
            ..NodeLimits::default()
        };
        let after = |age| Silence(seconds(age)).liveness(None, &limits);
        assert_eq!(
            [after(0), after(1), after(2)],
            [Liveness::Alive, Liveness::Silent, Liveness::Dead]
        );
    }
}
