//! How fast the scrub reads. Pure: the clock and the drive's counter are arguments.

use super::ScrubSettings;
use std::time::{Duration, Instant};

/// The slowest rate, unless the settings name a slower one.
const LEAST_RATE: u64 = 1024 * 1024;

/// Callers that read or write more pieces of up to a MiB per second than this make a drive busy: a
/// spinning one moves its heads about a hundred times a second.
const BUSY_PIECES_PER_SECOND: f64 = 25.0;

/// Over how long the callers' pieces are counted at least.
const WINDOW: Duration = Duration::from_millis(100);

/// On a drive that is always busy a tenth of the pace is left, so that the cycle ends all the same.
const LONGEST_PAUSE: u32 = 9;

/// The bytes per second for a drive with so many: all of them in half of the time within which every
/// chunk is to be read, within the limits.
pub(super) fn rate(stored_bytes: u64, settings: &ScrubSettings) -> u64 {
    let most = settings.bytes_per_second.max(1);
    let cycle_ms = settings.cycle.as_millis().max(1);
    let needed = u128::from(stored_bytes) * 2 * 1000 / cycle_ms;
    u64::try_from(needed).unwrap_or(u64::MAX).clamp(LEAST_RATE.min(most), most)
}

/// How long reading so many bytes may be put off for callers.
pub(super) fn longest_pause(bytes: u64, rate: u64) -> Duration {
    time_for(bytes, rate) * LONGEST_PAUSE
}

#[expect(clippy::cast_precision_loss, reason = "a duration for sleeping")]
fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64)
}

/// Spreads reads evenly; what was not used is lost.
pub(super) struct Pace {
    /// When the bytes read so far are paid for.
    free_at: Instant,
}

impl Pace {
    /// Nothing was read yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { free_at: now }
    }

    /// How long to wait before reading so many bytes more.
    pub(super) fn wait_for(&mut self, now: Instant, bytes: u64, rate: u64) -> Duration {
        let start = self.free_at.max(now);
        self.free_at = start + time_for(bytes, rate);
        start - now
    }
}

/// Tells from a counter of the callers' pieces whether they keep the drive busy.
#[derive(Default)]
pub(super) struct Load {
    seen: Option<(Instant, u64)>,
    is_busy: bool,
}

impl Load {
    /// Whether the drive is busy, now that the counter stands at `activity`.
    pub(super) fn is_busy(&mut self, now: Instant, activity: u64) -> bool {
        let Some((at, count)) = self.seen else {
            self.seen = Some((now, activity));
            return false;
        };
        let elapsed = now.saturating_duration_since(at);
        if elapsed >= WINDOW {
            #[expect(clippy::cast_precision_loss, reason = "a rate to compare with")]
            let pieces = activity.saturating_sub(count) as f64;
            self.is_busy = pieces / elapsed.as_secs_f64() > BUSY_PIECES_PER_SECOND;
            self.seen = Some((now, activity));
        }
        self.is_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn half_a_cycle_is_taken_within_the_limits() {
        let settings = ScrubSettings::default();
        let terabyte = 1_000_000_000_000;
        assert_eq!(rate(0, &settings), MIB);
        assert_eq!(rate(terabyte, &settings), 2 * terabyte / (14 * 24 * 3600));
        assert_eq!(rate(30 * terabyte, &settings), 32 * MIB);
        let slow = ScrubSettings { bytes_per_second: 1000, ..settings };
        assert_eq!(rate(terabyte, &slow), 1000);
    }

    proptest! {
        /// Whatever is asked when: what is read in any time is at most the rate's, plus one piece.
        #[test]
        fn no_more_is_read_than_the_rate_allows(
            reads in proptest::collection::vec((1..4 * MIB, 0..500_u64), 1..50),
            rate in 1000..64 * MIB,
        ) {
            let begin = Instant::now();
            let (mut pace, mut now, mut before) = (Pace::new(begin), begin, 0);
            for (bytes, later_ms) in reads {
                now += pace.wait_for(now, bytes, rate);
                let allowed = (now - begin).as_secs_f64() * rate as f64;
                prop_assert!(before as f64 <= allowed + 1.0 + allowed * 1e-6, "{before} {allowed}");
                before += bytes;
                now += Duration::from_millis(later_ms);
            }
        }
    }

    #[test]
    fn a_busy_drive_is_told_from_a_calm_one() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut load = Load::default();
        assert!(!load.is_busy(at(0), 1000), "nothing is known yet");
        assert!(!load.is_busy(at(50), 2000), "not for long enough");
        assert!(load.is_busy(at(200), 2000));
        assert!(load.is_busy(at(210), 2000), "as before");
        assert!(!load.is_busy(at(1200), 2010));
        assert_eq!(longest_pause(MIB, MIB), Duration::from_secs(9));
    }
}
