//! A circuit breaker: remembers whether calls to a node lately failed. Pure; the clock is an
//! argument.
//!
//! It refuses nothing by itself. Whoever places chunks passes nodes by whose breaker is not
//! closed, and a reader asks them last: an open breaker must not turn a readable object into
//! an unreadable one.

use super::limits::BreakerLimits;
use tokio::time::Instant;

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
    limits: BreakerLimits,
    failures: u32,
    successes: u32,
    opened: Option<Instant>,
    is_half_open: bool,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(limits: BreakerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.opened {
            None => BreakerState::Closed,
            Some(_) if self.is_half_open => BreakerState::HalfOpen,
            Some(opened) if now.duration_since(opened) >= self.limits.half_open_after => {
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
        if self.successes >= self.limits.successes {
            *self = Self::new(self.limits);
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.opened.is_some() || self.failures >= self.limits.failures {
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
    use std::time::Duration;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..breaker.limits.failures {
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
        let later = now + breaker.limits.half_open_after;
        for _ in 0..breaker.limits.successes {
            assert_eq!(breaker.state(later), BreakerState::HalfOpen);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn a_failure_opens_it_again_at_once() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + breaker.limits.half_open_after;
        breaker.succeeded();
        breaker.failed(later);
        assert_eq!(breaker.state(later), BreakerState::Open);
        breaker.half_open();
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
    }

    #[test]
    fn its_limits_are_settings() {
        let now = Instant::now();
        let half_open_after = Duration::from_millis(5);
        let limits = BreakerLimits { failures: 1, half_open_after, successes: 1 };
        let mut breaker = Breaker::new(limits);
        breaker.failed(now);
        assert_eq!(breaker.state(now), BreakerState::Open);
        assert_eq!(breaker.state(now + half_open_after), BreakerState::HalfOpen);
        breaker.succeeded();
        assert_eq!(breaker.state(now), BreakerState::Closed);
        breaker.failed(now);
        assert_eq!(breaker.state(now), BreakerState::Open, "the limits outlive a closing");
    }
}
