//! What a run is made of besides processes: its seed, its chance, its clock, what happened in it,
//! and what was found wrong. The product's code asks for it on the thread that runs it.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;
use twox_hash::XxHash3_64;

/// When every run begins, after 1970: in January 2027.
const BEGUN_AT: Duration = Duration::from_secs(1_800_000_000);

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// The run on this thread.
pub(super) fn world() -> Option<Arc<World>> {
    WORLD.with_borrow(Option::clone)
}

/// One run.
pub(crate) struct World {
    pub(super) seed: u64,
    began: Instant,
    /// Of the network, the clients and the faults.
    chance: Mutex<StdRng>,
    /// Of the product's ids; apart, so that both read well by themselves.
    ids: Mutex<StdRng>,
    /// Of the clocks: what clocks do must change nothing else in a run.
    clocks: Mutex<StdRng>,
    bugs: BTreeSet<&'static str>,
    /// The only crash point of this run, if it is to be passed for sure.
    pub(super) only: Option<&'static str>,
    points: Mutex<Points>,
    events: Mutex<Events>,
}

/// Crash points: how often processes crashed at each, and where the next crash is due.
#[derive(Default)]
struct Points {
    crashed: BTreeMap<&'static str, u32>,
    armed: Option<Armed>,
}

/// Where and how a process ends up, and after how many passes.
#[derive(Clone, Copy)]
struct Armed {
    name: &'static str,
    count: u32,
    end: End,
}

/// What becomes of a process at a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Crash,
    /// It stands still for so long.
    Pause(Duration),
}

#[derive(Default)]
struct Events {
    hash: XxHash3_64,
    lines: Vec<String>,
    wrong: Vec<String>,
}

/// Takes the run off its thread when it is over.
pub(super) struct OnThread;

impl Drop for OnThread {
    fn drop(&mut self) {
        WORLD.with_borrow_mut(|world| *world = None);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Begins a run on this thread.
    pub(super) fn begin(
        seed: u64,
        bugs: &[&'static str],
        only: Option<&'static str>,
    ) -> (Arc<Self>, OnThread) {
        let world = Arc::new(Self {
            seed,
            began: Instant::now(),
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
            ids: Mutex::new(StdRng::seed_from_u64(!seed)),
            clocks: Mutex::new(StdRng::seed_from_u64(seed.rotate_left(32))),
            bugs: bugs.iter().copied().collect(),
            only,
            points: Mutex::default(),
            events: Mutex::default(),
        });
        WORLD.with_borrow_mut(|on_thread| *on_thread = Some(Arc::clone(&world)));
        (world, OnThread)
    }

    /// A number from 0 to below `end`.
    pub(super) fn below(&self, end: u64) -> u64 {
        lock(&self.chance).random_range(0..end.max(1))
    }

    /// Whether something happens that does so in `percent` of all cases.
    pub(super) fn happens(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub(super) fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// A time between two.
    pub(super) fn time(&self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.below(span + 1))
    }

    pub(super) async fn sleep(&self, least_ms: u64, most_ms: u64) {
        let time = self.time(Duration::from_millis(least_ms), Duration::from_millis(most_ms));
        tokio::time::sleep(time).await;
    }

    pub(super) fn next_id(&self) -> u64 {
        lock(&self.ids).next_u64()
    }

    /// Which of so many clocks is set next, after how long, and to how much ahead: seconds, minutes
    /// or hours, to either side.
    pub(super) fn turn_of_clock(&self, clocks: usize) -> (usize, Duration, time::Duration) {
        let mut chance = lock(&self.clocks);
        let (clock, after) = (chance.random_range(0..clocks), chance.random_range(100..6000));
        let most = [5_000, 300_000, 7_200_000][chance.random_range(0..3_usize)];
        let ahead = time::Duration::milliseconds(chance.random_range(-most..=most));
        (clock, Duration::from_millis(after), ahead)
    }

    /// The right time of day.
    pub(super) fn time_of_day(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + BEGUN_AT + self.now()
    }

    /// How long the run has been running, by its own clock.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn has_bug(&self, name: &str) -> bool {
        self.bugs.contains(name)
    }

    /// Writes a line of what happened.
    pub(super) fn note(&self, line: impl AsRef<str>) {
        let line = format!("{:9.4} {}", self.now().as_secs_f64(), line.as_ref());
        let mut events = lock(&self.events);
        events.hash.write(line.as_bytes());
        events.lines.push(line);
    }

    /// Says that an invariant is broken.
    pub(super) fn wrong(&self, what: impl AsRef<str>) {
        self.note(format!("WRONG: {}", what.as_ref()));
        lock(&self.events).wrong.push(what.as_ref().to_owned());
    }

    /// What was found wrong so far.
    pub(super) fn found_wrong(&self) -> Vec<String> {
        lock(&self.events).wrong.clone()
    }

    /// All that happened, and its hash.
    pub(super) fn trace(&self) -> (Vec<String>, u64) {
        let events = lock(&self.events);
        (events.lines.clone(), events.hash.finish())
    }

    /// The next crash is due when the point is passed for the `count`-th time from now on.
    pub(super) fn arm(&self, name: &'static str, count: u32, end: End) {
        lock(&self.points).armed = Some(Armed { name, count, end });
    }

    pub(super) fn disarm(&self) {
        lock(&self.points).armed = None;
    }

    pub(super) fn is_armed(&self) -> bool {
        lock(&self.points).armed.is_some()
    }

    /// Passes a point; answers what becomes of the process there.
    pub(super) fn pass(&self, name: &'static str, process: &str) -> Option<End> {
        let mut points = lock(&self.points);
        let armed = points.armed.as_mut().filter(|armed| armed.name == name)?;
        armed.count -= 1;
        let end = armed.end;
        if armed.count > 0 {
            return None;
        }
        points.armed = None;
        if end == End::Crash {
            *points.crashed.entry(name).or_default() += 1;
        }
        drop(points);
        self.note(format!("{end:?} of {process} at {name}"));
        Some(end)
    }

    /// How often processes crashed, by point.
    pub(super) fn crashed(&self) -> BTreeMap<&'static str, u32> {
        lock(&self.points).crashed.clone()
    }
}
