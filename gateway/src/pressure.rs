//! Who makes room when requests wait for it.
//!
//! What a request holds (room for stripes, its place among the requests) it may hold for as long
//! as its client takes, and a client may be as slow as it likes: until others wait. Then, for each
//! that waits, one client that has been too slow for a while is cut. Without this, a hundred
//! clients that take a byte a second would keep everybody else out.
//!
//! Only the time in which the client alone is waited for counts, so that nobody is cut because
//! the drives are slow.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a client must have been waited for before it can be called slow.
const SLOW_FOR: Duration = Duration::from_secs(10);

/// How soon a slow client learns that others wait.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The most that is asked for at a time: a burst of refused requests must not cut clients for long
/// after it is over.
const MOST_ASKED: usize = 64;

/// The wishes of those that wait. A cheap handle; clones share everything.
#[derive(Clone, Debug)]
pub struct Pressure {
    asked: Arc<AtomicUsize>,
    least_bytes_per_s: u64,
}

impl Pressure {
    /// Clients that send or take fewer bytes per second than `least` may be cut.
    pub fn new(least_bytes_per_s: u64) -> Self {
        Self { asked: Arc::default(), least_bytes_per_s }
    }

    /// Somebody waits, or was sent away: one slow client should make room.
    pub fn ask(&self) {
        let add = |asked: usize| (asked < MOST_ASKED).then_some(asked + 1);
        let _ = self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes a wish back that nobody has followed: what it was for has come.
    pub fn withdraw(&self) {
        self.follow();
    }

    /// Follows one wish, if there is any.
    fn follow(&self) -> bool {
        let take = |asked: usize| asked.checked_sub(1);
        self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// How fast one client is, and whether it must go.
#[derive(Debug)]
pub struct ClientPace {
    pressure: Pressure,
    window: Window,
    look: Option<Pin<Box<Sleep>>>,
}

impl ClientPace {
    /// Of a client that has done nothing yet.
    pub fn new(pressure: Pressure) -> Self {
        Self { pressure, window: Window::default(), look: None }
    }

    /// The client sent or took bytes.
    pub fn moved(&mut self, bytes: usize) {
        self.window.moved(bytes as u64, Instant::now());
    }

    /// The client is waited for; whether it is to be cut. Wakes the task to look again.
    pub fn is_to_go(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        self.window.waits(now);
        let look =
            self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(now + LOOK_EVERY)));
        if look.as_mut().poll(cx).is_pending() {
            return false;
        }
        while look.as_mut().poll(cx).is_ready() {
            look.as_mut().reset(Instant::now() + LOOK_EVERY);
        }
        self.is_slow_and_wanted()
    }

    /// As [`ClientPace::is_to_go`], for somebody who looks each [`LOOK_EVERY`] without being woken.
    pub fn is_slow_and_wanted(&mut self) -> bool {
        let now = Instant::now();
        self.window.waits(now);
        self.window.is_slow(now, self.pressure.least_bytes_per_s) && self.pressure.follow()
    }
}

/// What came of waiting for a client. Pure: the clock is an argument.
#[derive(Debug, Default)]
struct Window {
    /// Since when the client is waited for.
    waits_since: Option<Instant>,
    /// For how long it was waited for before that.
    waited: Duration,
    /// What it sent or took meanwhile.
    bytes: u64,
}

impl Window {
    fn waits(&mut self, now: Instant) {
        self.waits_since.get_or_insert(now);
    }

    fn moved(&mut self, bytes: u64, now: Instant) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now - since;
        }
        self.bytes += bytes;
    }

    /// Whether it was too slow over the last [`SLOW_FOR`] or more. One that was not begins anew.
    fn is_slow(&mut self, now: Instant, least_bytes_per_s: u64) -> bool {
        let waits = self.waits_since.map_or(Duration::ZERO, |since| now - since);
        let waited = self.waited + waits;
        if waited < SLOW_FOR {
            return false;
        }
        let least = u128::from(least_bytes_per_s) * waited.as_millis() / 1000;
        if u128::from(self.bytes) < least {
            return true;
        }
        *self = Self { waits_since: Some(now), ..Self::default() };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_ASKED, Pressure, SLOW_FOR, Window};
    use std::time::Duration;
    use tokio::time::Instant;

    const LEAST: u64 = 16 * 1024;
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn f30_a_client_that_does_nothing_is_slow_after_a_while() {
        let (mut window, mut now) = (Window::default(), Instant::now());
        window.moved(100_000, now);
        window.waits(now);
        assert!(!window.is_slow(now + SLOW_FOR - SECOND, LEAST));
        assert!(window.is_slow(now + SLOW_FOR, LEAST));
        // A byte a second is as good as nothing.
        for _ in 0..10 {
            now += SECOND;
            window.moved(1, now);
            window.waits(now);
        }
        assert!(window.is_slow(now, LEAST));
    }

    #[test]
    fn f30_a_client_that_is_fast_enough_is_not_and_begins_anew() {
        let (mut window, mut now) = (Window::default(), Instant::now());
        for _ in 0..60 {
            window.waits(now);
            now += SECOND;
            window.moved(20_000, now);
            assert!(!window.is_slow(now, LEAST));
        }
        // What it did long ago counts no longer.
        window.waits(now);
        assert!(window.is_slow(now + SLOW_FOR * 2, LEAST));
    }

    #[test]
    fn f30_time_in_which_nobody_waits_for_the_client_does_not_count() {
        let (mut window, mut now) = (Window::default(), Instant::now());
        for _ in 0..9 {
            window.waits(now);
            now += SECOND;
            window.moved(1, now);
            now += SLOW_FOR * 6;
            assert!(!window.is_slow(now, LEAST));
        }
    }

    #[test]
    fn f30_each_wish_is_followed_once() {
        let pressure = Pressure::new(LEAST);
        assert!(!pressure.follow(), "nobody waits");
        pressure.ask();
        assert!(pressure.clone().follow() && !pressure.follow());
        pressure.ask();
        pressure.withdraw();
        assert!(!pressure.follow());
        (0..MOST_ASKED * 2).for_each(|_| pressure.ask());
        let followed = (0..MOST_ASKED * 2).filter(|_| pressure.follow()).count();
        assert_eq!(followed, MOST_ASKED);
    }
}
