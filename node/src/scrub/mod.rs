//! The scrub: reads every chunk of the drive once per cycle, cell by cell, and compares each with
//! its keyed checksum, so that rot is found while enough other chunks are whole to mend it.
//!
//! The node does it itself: it knows its cluster and with it the keys of all cells, so that no byte
//! travels. It reads no faster than its pace ([`pace`]), makes room for callers, and goes on after a
//! restart where it was ([`cycle`]). A rotten chunk is marked missing in the rows; heal makes it anew,
//! here or elsewhere. The scrub itself changes nothing on the drive but its note.

mod cycle;
mod pace;
#[cfg(test)]
mod tests;

use crate::metrics::{ScrubShown, show_scrub};
use crate::rows::Rows;
use crate::store::{Note, Store};
use cycle::Cycle;
use pace::{Load, Pace, longest_pause, rate};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{ChunkEntry, Chunks, NodeError};
use sixfold_proto::jobs::JobReport;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;
use uuid::Uuid;

/// Chunks named at a time.
const PAGE: usize = 256;

/// Cells read without a pause: 1 MiB at full size.
const CELLS_PER_STEP: u32 = 4;

/// A chunk costs at least as much as so many bytes: finding it is most of the work.
const LEAST_COST_BYTES: u64 = 64 * 1024;

/// How often the place is noted on the drive. A killed process repeats that much.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// How often is told how it goes.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How long until another look at a busy drive.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The wait after a failure.
const BACK_OFF: Duration = Duration::from_secs(5);

/// How often and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubSettings {
    /// From the beginning of one cycle to that of the next.
    pub cycle: Duration,
    /// The most bytes read per second. Half a cycle is taken where that is slower.
    pub bytes_per_second: u64,
}

impl Default for ScrubSettings {
    fn default() -> Self {
        let two_weeks = Duration::from_secs(14 * 24 * 3600);
        // 19 TB in the week that a cycle may take.
        Self { cycle: two_weeks, bytes_per_second: 32 * 1024 * 1024 }
    }
}

/// The scrub of one drive.
pub struct Scrub {
    store: Arc<Store>,
    rows: Arc<dyn Rows>,
    cluster: Uuid,
    settings: ScrubSettings,
    /// What the reports tell.
    shown: Mutex<Shown>,
}

#[derive(Clone, Default)]
struct Shown {
    cycle: Cycle,
    /// Cycles ended by this process.
    ended: u64,
    /// Chunks verified by this process, their bytes, and those found rotten.
    verified: u64,
    verified_bytes: u64,
    rotten: u64,
    last: Option<Instant>,
    failures: u32,
    error: Option<String>,
}

/// How fast it goes right now.
struct Speed {
    pace: Pace,
    load: Load,
    noted: Instant,
}

impl Scrub {
    /// The scrub of a drive whose chunks belong to `cluster`.
    pub fn new(
        store: Arc<Store>,
        rows: Arc<dyn Rows>,
        cluster: Uuid,
        settings: ScrubSettings,
    ) -> Self {
        Self { store, rows, cluster, settings, shown: Mutex::default() }
    }

    /// Scrubs and tells until it is dropped.
    pub async fn run(self) {
        let scrub = async {
            let mut cycle = self.load_cycle().await;
            loop {
                self.show(|shown| shown.cycle = cycle);
                sleep(cycle.due_in(unix_now(), self.settings.cycle)).await;
                if cycle.is_ended {
                    cycle = Cycle::beginning(unix_now());
                }
                if let Err(error) = self.go_on(&mut cycle).await {
                    tracing::warn!(error = format!("{error:#}"), "the scrub waits");
                    self.show(|shown| {
                        shown.failures = shown.failures.saturating_add(1);
                        shown.error = Some(format!("{error:#}"));
                    });
                    sleep(BACK_OFF).await;
                }
            }
        };
        let report = async {
            loop {
                self.show_metrics();
                sleep(REPORT_EVERY.min(self.settings.cycle)).await;
                if let Err(error) = self.rows.report_jobs(&[self.report()]).await {
                    tracing::debug!("the scrub's report was not taken: {error:#}");
                }
            }
        };
        tokio::join!(scrub, report);
    }

    /// How far a cycle is, from 0 to 1.
    fn progress(&self, cycle: &Cycle) -> f64 {
        if cycle.is_ended {
            return 1.0;
        }
        let total = self.store.chunk_count().max(cycle.chunks);
        (cycle.chunks as f64 / total.max(1) as f64).min(1.0)
    }

    fn show_metrics(&self) {
        let Shown { cycle, verified, verified_bytes, rotten, .. } = *self.shown();
        let shown = ScrubShown {
            chunks: verified,
            bytes: verified_bytes,
            rotten,
            progress: self.progress(&cycle),
            began: cycle.began,
            cycle_s: self.settings.cycle.as_secs_f64(),
        };
        show_scrub(self.store.node(), &shown);
    }

    /// How it goes.
    fn report(&self) -> JobReport {
        let shown = self.shown().clone();
        let cycle = shown.cycle;
        let due = cycle.due_in(unix_now(), self.settings.cycle);
        JobReport {
            name: "scrub".to_owned(),
            runs: shown.ended,
            things: shown.verified,
            ran_s_ago: shown.last.map(|last| last.elapsed().as_secs_f64()),
            result: Some(format!(
                "{} chunks with {} bytes verified in this cycle, {} rotten",
                cycle.chunks, cycle.bytes, cycle.rotten
            )),
            progress: Some(self.progress(&cycle)),
            next_in_s: cycle.is_ended.then_some(due.as_secs_f64()),
            every_s: (self.settings.cycle / 2).as_secs_f64(),
            failures: shown.failures,
            error: shown.error,
        }
    }

    /// Goes on with a cycle until it is over. After an error it can be called again.
    async fn go_on(&self, cycle: &mut Cycle) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut speed = Speed { pace: Pace::new(now), load: Load::default(), noted: now };
        loop {
            let page = self.store.list(cycle.after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                let is_rotten = self.verify(&entry, &mut speed).await?;
                if is_rotten {
                    self.rows.mark_rotten(&[entry.name]).await?;
                }
                cycle.pass(&entry, is_rotten);
                self.show(|shown| {
                    shown.cycle = *cycle;
                    shown.verified += 1;
                    shown.verified_bytes += entry.size_bytes;
                    shown.rotten += u64::from(is_rotten);
                    shown.last = Some(Instant::now());
                    (shown.failures, shown.error) = (0, None);
                });
                if speed.noted.elapsed() >= NOTE_EVERY {
                    self.note(cycle).await?;
                    speed.noted = Instant::now();
                }
            }
        }
        cycle.is_ended = true;
        self.note(cycle).await?;
        self.show(|shown| {
            shown.cycle = *cycle;
            shown.ended += 1;
            (shown.failures, shown.error) = (0, None);
        });
        self.announce(cycle);
        Ok(())
    }

    /// Says that a cycle is over. Over an empty drive there is nothing to say.
    fn announce(&self, cycle: &Cycle) {
        if cycle.chunks == 0 {
            return;
        }
        tracing::info!(
            drive.id = %self.store.drive_id(),
            chunk_count = cycle.chunks,
            size_bytes = cycle.bytes,
            rotten_count = cycle.rotten,
            "every chunk was verified, {} of them rotten",
            cycle.rotten
        );
    }

    /// Reads a chunk at the pace; says whether it is rotten. One that is gone by now is not.
    async fn verify(&self, chunk: &ChunkEntry, speed: &mut Speed) -> anyhow::Result<bool> {
        let name = chunk.name;
        let key = CellKey::new(self.cluster, name);
        for (cells, cost) in steps(chunk) {
            self.wait_turn(cost, speed).await;
            match self.store.verify(name, key, cells).await {
                Ok(rotten) if rotten.is_empty() => {}
                Ok(rotten) => {
                    tracing::error!(chunk.name = %name, ?rotten, "chunk {name} has rotten cells");
                    return Ok(true);
                }
                Err(NodeError::Damaged(what)) => {
                    tracing::error!(chunk.name = %name, "a chunk is rotten: {what}");
                    return Ok(true);
                }
                Err(NodeError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Waits until so many bytes may be read, and longer while callers keep the drive busy.
    async fn wait_turn(&self, cost: u64, speed: &mut Speed) {
        let rate = rate(self.store.stored_bytes(), &self.settings);
        sleep(speed.pace.wait_for(Instant::now(), cost, rate)).await;
        let until = Instant::now() + longest_pause(cost, rate);
        while speed.load.is_busy(Instant::now(), self.store.activity()) && Instant::now() < until {
            sleep(LOOK_AGAIN.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Where the last process was. A note that can't be read costs a cycle, no more.
    async fn load_cycle(&self) -> Cycle {
        let store = Arc::clone(&self.store);
        let note = tokio::task::spawn_blocking(move || store.note(Note::Scrub)).await;
        let text = note.ok().and_then(Result::ok).flatten();
        let cycle = text.as_deref().and_then(Cycle::parse);
        cycle.unwrap_or_else(|| Cycle::beginning(unix_now()))
    }

    async fn note(&self, cycle: &Cycle) -> anyhow::Result<()> {
        let (store, text) = (Arc::clone(&self.store), cycle.to_text());
        match tokio::task::spawn_blocking(move || store.keep_note(Note::Scrub, &text)).await? {
            // A drive that takes no writes is read on; a restart begins anew.
            Err(NodeError::Fenced | NodeError::Full) => Ok(()),
            noted => Ok(noted?),
        }
    }

    fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.shown());
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runs of cells in which a chunk is read, with what each costs.
fn steps(chunk: &ChunkEntry) -> impl Iterator<Item = (Range<u32>, u64)> {
    let count = chunk.cell_count;
    let cell_bytes = chunk.size_bytes.div_ceil(u64::from(count.max(1)));
    (0..count).step_by(CELLS_PER_STEP as usize).map(move |start| {
        let end = count.min(start + CELLS_PER_STEP);
        (start..end, (cell_bytes * u64::from(end - start)).max(LEAST_COST_BYTES))
    })
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
