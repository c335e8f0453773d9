//! Whether commits wait for a copy: a plain function of what was seen, without a clock of its own.
//!
//! Availability goes before the copy, within bounds: a copy that keeps up is waited for, and when
//! none does, no commit waits longer than [`PATIENCE`] and a look. Otherwise two dead drives
//! would stop every write of a cluster that could lose two drives.

use std::time::{Duration, Instant};

/// How long the copies may take for what the database has synced before none is required. With a
/// look every [`super::watch::EVERY`], a waiting commit is still answered, before the limit of a
/// call to the database makes a 503 of it. A busy drive's sync takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a copy must have kept up before one is required again: a copy that comes and goes
/// would cost every commit [`PATIENCE`] each time.
const STEADY: Duration = Duration::from_secs(5);

/// A copy keeps up when it lacks no more than this: the rest is sent in a moment.
pub(super) const LITTLE: u64 = 1 << 20;

/// What is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Stay,
    /// Commits wait for a copy from now on.
    Require,
    /// No commit waits any more.
    Release,
}

/// What was seen and decided so far.
#[derive(Debug, Default)]
pub(super) struct Judge {
    is_required: bool,
    /// A position of the database that a copy must reach, and since when.
    mark: Option<(Instant, u64)>,
    /// Since when a copy has kept up.
    steady_since: Option<Instant>,
    /// Whether the copies have failed once.
    has_released: bool,
}

impl Judge {
    /// Whether commits wait.
    pub(super) fn is_required(&self) -> bool {
        self.is_required
    }

    /// The database was away: what was seen before says nothing about the copies.
    pub(super) fn forget(&mut self) {
        self.mark = None;
        self.steady_since = None;
    }

    /// Judges one look: the database has synced its WAL up to `synced`, and the furthest copy up
    /// to `copied`; none is there when that is `None`.
    pub(super) fn judge(&mut self, now: Instant, synced: u64, copied: Option<u64>) -> Verdict {
        let is_late = self.is_late(now, synced, copied);
        if self.is_required {
            if !is_late {
                return Verdict::Stay;
            }
            self.is_required = false;
            self.has_released = true;
            self.forget();
            return Verdict::Release;
        }
        if is_late || copied.is_none_or(|copied| copied + LITTLE < synced) {
            self.forget();
            return Verdict::Stay;
        }
        let since = *self.steady_since.get_or_insert(now);
        if self.has_released && now.duration_since(since) < STEADY {
            return Verdict::Stay;
        }
        self.is_required = true;
        Verdict::Require
    }

    /// Whether no copy has reached the mark in time. One that is reached is moved to where the
    /// database is now.
    fn is_late(&mut self, now: Instant, synced: u64, copied: Option<u64>) -> bool {
        let (since, mark) = *self.mark.get_or_insert((now, synced));
        if copied.is_some_and(|copied| copied >= mark) {
            self.mark = Some((now, synced));
            return false;
        }
        now.duration_since(since) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::{Judge, LITTLE, Verdict};
    use std::time::{Duration, Instant};

    const LOOK: Duration = Duration::from_millis(250);

    /// Looks every quarter of a second for so many seconds; answers what was decided, and when.
    fn looks(
        judge: &mut Judge,
        from: &mut Instant,
        seconds: u32,
        mut seen: impl FnMut(u64) -> (u64, Option<u64>),
    ) -> Vec<(Verdict, Duration)> {
        let start = *from;
        let mut decided = Vec::new();
        for look in 0..u64::from(seconds * 4) {
            *from += LOOK;
            let (synced, copied) = seen(look);
            let verdict = judge.judge(*from, synced, copied);
            if verdict != Verdict::Stay {
                decided.push((verdict, *from - start));
            }
        }
        decided
    }

    #[test]
    fn a_copy_is_required_at_once_at_first_and_steadily_after_a_failure() {
        let (mut judge, mut now) = (Judge::default(), Instant::now());
        assert_eq!(looks(&mut judge, &mut now, 2, |_| (LITTLE * 3, Some(0))), []);
        let first = looks(&mut judge, &mut now, 9, |n| (n, Some(n)));
        assert_eq!(first, [(Verdict::Require, LOOK)]);
        let gone = looks(&mut judge, &mut now, 9, |_| (100, None));
        assert!(
            matches!(gone[..], [(Verdict::Release, after)] if after < Duration::from_millis(2500))
        );
        // Comes and goes: never steady.
        let flapping = looks(&mut judge, &mut now, 30, |n| (100, (n % 16 != 0).then_some(100)));
        assert_eq!(flapping, []);
        let back = looks(&mut judge, &mut now, 9, |_| (100, Some(100)));
        assert!(matches!(back[..], [(Verdict::Require, _)]), "{back:?}");
    }

    #[test]
    fn a_copy_that_stands_still_is_given_up_and_a_slow_one_is_not() {
        let (mut judge, mut now) = (Judge::default(), Instant::now());
        looks(&mut judge, &mut now, 1, |_| (0, Some(0)));
        let slow =
            looks(&mut judge, &mut now, 20, |n| (n * 100, Some((n * 100).saturating_sub(300))));
        assert_eq!(slow, [], "what it must reach it reaches in time");
        let still = looks(&mut judge, &mut now, 20, |n| (9000 + n, Some(8000)));
        assert!(
            matches!(still[..], [(Verdict::Release, after)] if after < Duration::from_millis(2500))
        );
    }

    #[test]
    fn an_idle_database_releases_too_before_the_next_commit_would_hang() {
        let (mut judge, mut now) = (Judge::default(), Instant::now());
        looks(&mut judge, &mut now, 1, |_| (50, Some(50)));
        let gone = looks(&mut judge, &mut now, 5, |_| (50, None));
        assert_eq!(gone.len(), 1);
        assert!(!judge.is_required());
    }

    #[test]
    fn an_outage_of_the_database_is_not_held_against_the_copies() {
        let (mut judge, mut now) = (Judge::default(), Instant::now());
        looks(&mut judge, &mut now, 1, |_| (50, Some(50)));
        now += Duration::from_secs(60);
        judge.forget();
        assert_eq!(judge.judge(now, 70, None), Verdict::Stay);
        assert_eq!(looks(&mut judge, &mut now, 1, |_| (70, Some(70))), []);
        assert!(judge.is_required());
    }
}
