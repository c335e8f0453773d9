//! A circuit breaker: remembers whether calls to a node lately failed. Pure; the clock is an
//! argument.
//!
//! It refuses nothing by itself. Whoever places chunks passes nodes by whose breaker is not
//! closed, and a reader asks them last: an open breaker must not turn a readable object into
//! an unreadable one.

use std::time::{Duration, Instant};

/// Consecutive failures that open it.
const OPENS_AFTER: u32 = 5;

/// How long it stays open before a call may try again.
const HALF_OPEN_AFTER: Duration = Duration::from_secs(30);

/// Consecutive successes that close it again.
const CLOSES_AFTER: u32 = 3;

/// What a breaker says of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls succeed.
    Closed,
    /// Calls failed lately; none is expected to succeed.
    Open,
    /// Calls failed some time ago; a few may try.
    HalfOpen,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    successes: u32,
    opened: Option<Instant>,
    is_half_open: bool,
}

impl Breaker {
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.opened {
            None => BreakerState::Closed,
            Some(opened) if self.is_half_open || now.duration_since(opened) >= HALF_OPEN_AFTER => {
                BreakerState::HalfOpen
            }
            Some(_) => BreakerState::Open,
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        if self.opened.is_none() {
            return;
        }
        self.successes += 1;
        if self.successes >= CLOSES_AFTER {
            *self = Self::default();
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.opened.is_some() || self.failures >= OPENS_AFTER {
            self.opened = Some(now);
            self.is_half_open = false;
        }
    }

    /// The node registered anew: it may be tried at once.
    pub(super) fn half_open(&mut self) {
        self.is_half_open = self.opened.is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..OPENS_AFTER {
            assert_eq!(breaker.state(now), BreakerState::Closed);
            breaker.failed(now);
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.failed(now);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn it_half_opens_in_time_and_closes_after_three_successes() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + HALF_OPEN_AFTER;
        for _ in 0..CLOSES_AFTER {
            assert_eq!(breaker.state(later), BreakerState::HalfOpen);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn a_failure_opens_it_again_at_once() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + HALF_OPEN_AFTER;
        breaker.succeeded();
        breaker.failed(later);
        assert_eq!(breaker.state(later), BreakerState::Open);
        breaker.half_open();
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
    }
}
