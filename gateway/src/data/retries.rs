//! When a write is tried again: where too few nodes took its chunks, others are asked at once, and
//! after that, with pauses, whoever can be asked.
//!
//! The pauses grow and are spread by chance, so that what failed together does not come back
//! together, and they stay within a share of all writes, so that an outage is not made worse by them
//! ("Timeouts, retries, and backoff with jitter", Amazon Builders' Library).

use super::budget::Budget;
use super::lanes::{Acks, Target};
use super::spread::SpreadError;
use crate::chance;
use sixfold_proto::chunks::NodeError;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the chunks of an extent are tried, the first time among them.
const TRIES: u32 = 3;

/// About how long the first pause is; each next one is twice that.
const PAUSE: Duration = Duration::from_millis(100);

/// No pause begins later than this after the first try: what is tried after it must still have time
/// before the write is given up as a whole ([`super::DataLimits::last_wait`]).
const WITHIN: Duration = Duration::from_secs(2);

/// What an extent earns, and what a pause costs: one in ten extents may have one.
const EARNED: i64 = 10;
const PRICE: i64 = 100;

/// What can be saved up: a burst of this many pauses. There from the start.
const MOST_SAVED: i64 = 32 * PRICE;

/// The budget of the pauses of a process.
pub(super) struct Retries(Budget);

impl Retries {
    pub(super) fn new() -> Self {
        Self(Budget::new(MOST_SAVED, MOST_SAVED))
    }

    fn earn(&self) {
        self.0.earn(EARNED);
    }

    fn spend(&self) -> bool {
        self.0.spend(PRICE)
    }
}

/// The tries of one extent.
pub(super) struct Tries {
    began: Instant,
    made: u32,
    pauses: u32,
}

impl Tries {
    /// Before the first one.
    pub(super) fn begin(target: &Target) -> Self {
        target.shared.retries.earn();
        Self { began: Instant::now(), made: 1, pauses: 0 }
    }

    /// What the next try puts its chunks to, with what is durable by now; or why there is none.
    pub(super) async fn next(
        &mut self,
        target: &Target,
        acks: &Acks,
    ) -> Result<Target, SpreadError> {
        target.trouble.notify_one();
        let elsewhere = target.with_substitutes(acks);
        self.made += 1;
        if self.made == 2
            && let Some(elsewhere) = elsewhere
        {
            return Ok(elsewhere);
        }
        let may_help =
            acks.lost.iter().all(|(_, error)| matches!(error, NodeError::Unavailable(_)));
        let is_in_time = self.made <= TRIES && self.began.elapsed() < WITHIN;
        if !may_help || !is_in_time || !target.shared.retries.spend() {
            return Err(SpreadError::too_few(&acks.lost));
        }
        sleep(pause(self.pauses, chance::number())).await;
        self.pauses += 1;
        // The nodes may be others by now.
        let elsewhere = target.with_substitutes(acks);
        Ok(elsewhere.unwrap_or_else(|| Target { kept: acks.durable, ..target.clone() }))
    }
}

/// Half of the pause, and up to as much again by chance.
fn pause(number: u32, chance: u64) -> Duration {
    let whole = PAUSE * 2_u32.pow(number);
    let part = u32::try_from(chance % 1024).unwrap_or_default();
    whole / 2 + whole * part / 1024
}

#[cfg(test)]
mod tests {
    use super::{MOST_SAVED, PAUSE, PRICE, Retries, pause};

    #[test]
    fn pauses_grow_and_differ() {
        assert_eq!(pause(0, 0), PAUSE / 2);
        assert!(pause(0, 1023) < PAUSE * 3 / 2 && pause(0, 1023) > PAUSE);
        assert_eq!(pause(1, 512), PAUSE * 2);
    }

    #[test]
    fn one_extent_in_ten_may_pause() {
        let retries = Retries::new();
        let burst = MOST_SAVED / PRICE;
        assert!((0..burst).all(|_| retries.spend()) && !retries.spend());
        (0..19).for_each(|_| retries.earn());
        assert!(retries.spend() && !retries.spend());
        (0..100_000).for_each(|_| retries.earn());
        let spent = (0..100_000).filter(|_| retries.spend()).count();
        assert_eq!(i64::try_from(spent), Ok(burst));
    }
}
