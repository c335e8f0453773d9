//! Which requests are traced.
//!
//! A request that comes without `traceparent` is traced with the probability `ratio`; one that comes
//! with it as its caller wishes, so that a client's trace is whole or absent. Each of the two has a
//! budget per second, its own: a stranger who asks for every trace costs no more than that, and keeps
//! no other from being traced. Not being traced hides nothing, since logs and metrics tell of all.

use super::context::{SpanId, TraceContext, TraceId};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many requests are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Of those whose caller does not say, from 0 to 1.
    pub ratio: f64,
    /// At most, of those, and of those whose caller asks for it, each.
    pub per_second: u32,
}

impl Default for Sampling {
    /// Every request of a quiet system, and a bounded cost on a busy one: a traced request costs some
    /// twenty spans.
    fn default() -> Self {
        Self { ratio: 1.0, per_second: 100 }
    }
}

/// Decides. See the module.
pub(super) struct Sampler {
    /// Fresh ids below it are sampled; they are random.
    below: u64,
    ours: Budget,
    clients: Budget,
}

/// What a sampled request begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) trace: TraceId,
    pub(super) parent: Option<SpanId>,
}

/// Ids are compared by 63 bits, as other implementations do.
const ID_BITS: u64 = 1 << 63;

impl Sampler {
    pub(super) fn new(sampling: Sampling) -> Self {
        let budget = || Budget { per_second: sampling.per_second, second: Mutex::new(None) };
        let below = (sampling.ratio * ID_BITS as f64) as u64;
        Self { below, ours: budget(), clients: budget() }
    }

    /// `None`: not sampled. `fresh` is the trace's id when the caller has none.
    pub(super) fn decide(&self, caller: Option<TraceContext>, fresh: TraceId) -> Option<Begun> {
        self.decide_at(Instant::now(), caller, fresh)
    }

    fn decide_at(
        &self,
        now: Instant,
        caller: Option<TraceContext>,
        fresh: TraceId,
    ) -> Option<Begun> {
        let Some(caller) = caller else {
            let is_wanted = low_bits(&fresh) < self.below && self.ours.spend(now);
            return is_wanted.then_some(Begun { trace: fresh, parent: None });
        };
        let is_wanted = caller.is_sampled && self.clients.spend(now);
        is_wanted.then_some(Begun { trace: caller.trace, parent: Some(caller.span) })
    }
}

fn low_bits(id: &TraceId) -> u64 {
    let (_, low) = id.split_at(size_of::<u64>());
    low.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)) >> 1
}

/// Traces of one second.
struct Budget {
    per_second: u32,
    second: Mutex<Option<(Instant, u32)>>,
}

impl Budget {
    fn spend(&self, now: Instant) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over =
            |begun: Instant| now.saturating_duration_since(begun) >= Duration::from_secs(1);
        match &mut *second {
            Some((begun, spent)) if !is_over(*begun) => {
                let is_left = *spent < self.per_second;
                *spent += u32::from(is_left);
                is_left
            }
            _ => {
                *second = Some((now, 1));
                self.per_second > 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Begun, Sampler, Sampling};
    use crate::trace::TraceContext;
    use std::time::{Duration, Instant};

    fn fresh(low: u64) -> [u8; 16] {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&low.to_be_bytes());
        id
    }

    fn caller(is_sampled: bool) -> TraceContext {
        TraceContext { trace: [1; 16], span: [2; 8], is_sampled }
    }

    #[test]
    fn the_ratio_holds_for_those_who_do_not_say() {
        let now = Instant::now();
        for (ratio, expected) in [(0.0, 0), (0.25, 256), (0.5, 512), (1.0, 1024)] {
            let sampler = Sampler::new(Sampling { ratio, per_second: 1000 });
            let sampled = (0..1024_u64).filter(|number| {
                let second = Duration::from_secs(number / 64);
                sampler.decide_at(now + second, None, fresh(number << 54)).is_some()
            });
            assert_eq!(sampled.count(), expected, "{ratio}");
        }
    }

    #[test]
    fn a_caller_is_followed_whatever_the_ratio() {
        for ratio in [0.0, 1.0] {
            let sampler = Sampler::new(Sampling { ratio, per_second: 10 });
            let begun = sampler.decide(Some(caller(true)), fresh(5));
            assert_eq!(begun, Some(Begun { trace: [1; 16], parent: Some([2; 8]) }));
            assert_eq!(sampler.decide(Some(caller(false)), fresh(5)), None);
        }
    }

    #[test]
    fn strangers_who_ask_for_all_get_their_budget_and_take_nobody_elses() {
        let sampler = Sampler::new(Sampling { ratio: 1.0, per_second: 3 });
        let now = Instant::now();
        let count = |at: Instant, caller: Option<TraceContext>| {
            (0..100).filter(|_| sampler.decide_at(at, caller, fresh(1)).is_some()).count()
        };
        assert_eq!(count(now, Some(caller(true))), 3);
        assert_eq!(count(now, None), 3);
        assert_eq!(count(now + Duration::from_millis(999), None), 0);
        let later = now + Duration::from_secs(1);
        assert_eq!((count(later, None), count(later, Some(caller(true)))), (3, 3));
    }
}
