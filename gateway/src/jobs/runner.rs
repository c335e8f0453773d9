//! Runs jobs: waits, works, backs off after errors, and shows how they are.

use super::{JobPace, lock};
use crate::meta::Meta;
use crate::shutdown::Shutdown;
use async_trait::async_trait;
use sixfold_node::metrics::{Label, counter, gauge, now_seconds};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::metrics as names;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest pause after errors.
const BACK_OFF_LIMIT: Duration = Duration::from_mins(1);

/// The shortest.
const BACK_OFF_START: Duration = Duration::from_secs(1);

/// How often the rows are told how the jobs are.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// After so long without a word a process is gone for good, and how often is looked for such.
const FORGET_AFTER: Duration = Duration::from_hours(24);
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Whether a unit of work left more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Did this many things and has more to do.
    More(u64),
    /// Did this many things, and there is nothing left.
    Idle(u64),
}

/// A piece of background work.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// Its name, for logs and the operator.
    fn name(&self) -> &'static str;
    /// When it runs.
    fn pace(&self) -> JobPace;
    /// How far a long round is, from 0 to 1; `None` where there is none.
    fn progress(&self) -> Option<f64> {
        None
    }
    /// What it did and what is left, in words; `None`: the things of the last unit say enough.
    fn told(&self) -> Option<String> {
        None
    }
    /// Does one bounded, idempotent unit of work. It is dropped when the process stops.
    async fn step(&self) -> anyhow::Result<Progress>;
}

/// How a job is.
#[derive(Clone, Debug, Default)]
struct JobState {
    /// Units of work that succeeded.
    steps: u64,
    /// Things done: bodies collected, chunks swept, uploads expired, leases ended.
    things: u64,
    /// When a unit of work last ended, and what it came to.
    ended: Option<(Instant, String)>,
    /// When the next one begins.
    next: Option<Instant>,
    /// How far a long one is.
    progress: Option<f64>,
    every: Duration,
    /// Units of work that failed in a row, and in all.
    failures: u32,
    failed: u64,
    /// What the last failure said; kept until a unit succeeds.
    last_error: Option<String>,
}

impl JobState {
    fn report(&self, name: &str) -> JobReport {
        let now = Instant::now();
        let ended = self.ended.as_ref();
        let next_in = self.next.map(|next| next.saturating_duration_since(now));
        JobReport {
            name: name.to_owned(),
            runs: self.steps,
            things: self.things,
            ran_s_ago: ended.map(|(at, _)| at.elapsed().as_secs_f64()),
            result: ended.map(|(_, result)| result.clone()),
            progress: self.progress,
            next_in_s: next_in.map(|next_in| next_in.as_secs_f64()),
            every_s: self.every.as_secs_f64(),
            failures: self.failures,
            error: self.last_error.clone(),
        }
    }
}

/// The jobs of a process.
#[derive(Clone, Default)]
pub struct Runner {
    states: Arc<Mutex<BTreeMap<&'static str, JobState>>>,
}

impl Runner {
    /// Starts jobs; they end with the process's stop.
    pub fn start(&self, jobs: Vec<Arc<dyn Job>>, shutdown: &Shutdown) {
        for job in jobs {
            show(job.name(), &JobState::default());
            let (runner, stop) = (self.clone(), shutdown.token().clone());
            let name = format!("job {}", job.name());
            shutdown.spawn(name, async move { runner.run(&*job, &stop).await });
        }
    }

    /// How each job is, by name.
    pub fn reports(&self) -> Vec<JobReport> {
        self.states().iter().map(|(name, state)| state.report(name)).collect()
    }

    /// Tells the rows how the jobs of this process are, and what `also` reports, until its stop.
    pub async fn tell(
        self,
        meta: Arc<dyn Meta>,
        process: String,
        also: impl Fn() -> JobReport + Send + Sync,
        stop: CancellationToken,
    ) {
        let mut looked_for_old = None::<Instant>;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TELL_EVERY) => {}
            }
            self.tell_once(meta.as_ref(), &process, also()).await;
            if looked_for_old.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                looked_for_old = Some(Instant::now());
                if let Err(error) = meta.forget_jobs(FORGET_AFTER).await {
                    tracing::debug!("jobs of processes that are gone stay listed: {error}");
                }
            }
        }
    }

    async fn tell_once(&self, meta: &dyn Meta, process: &str, also: JobReport) {
        let mut reports = self.reports();
        reports.push(also);
        if let Err(error) = meta.report_jobs(process, &reports).await {
            tracing::debug!("the database was not told how the jobs are: {error}");
        }
    }

    async fn run(&self, job: &dyn Job, stop: &CancellationToken) {
        let mut pause = job.pace().first_after;
        loop {
            self.change(job, |state| {
                state.every = job.pace().every;
                state.next = Some(Instant::now() + pause);
            });
            let work = async {
                tokio::time::sleep(pause).await;
                self.change(job, |state| state.next = None);
                job.step().await
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                result = work => pause = self.record(job, result),
            }
        }
    }

    fn change<T>(&self, job: &dyn Job, change: impl FnOnce(&mut JobState) -> T) -> T {
        change(self.states().entry(job.name()).or_default())
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, JobState>> {
        lock(&self.states)
    }

    /// Notes how a unit ended and says how long to wait.
    fn record(&self, job: &dyn Job, result: anyhow::Result<Progress>) -> Duration {
        let pace = job.pace();
        let failures = self.change(job, |state| {
            state.progress = job.progress();
            let outcome = match (&result, job.told()) {
                (Err(_), _) => "failed".to_owned(),
                (Ok(_), Some(told)) => told,
                (Ok(Progress::More(things)), None) => format!("{things} done, there is more"),
                (Ok(Progress::Idle(things)), None) => format!("{things} done"),
            };
            state.ended = Some((Instant::now(), outcome));
            state.last_error = result.as_ref().err().map(|error| format!("{error:#}"));
            if let Ok(Progress::More(things) | Progress::Idle(things)) = result {
                (state.steps, state.failures) = (state.steps + 1, 0);
                state.things += things;
                gauge(&names::JOB_SUCCESS, &label(job.name())).set(now_seconds());
            } else {
                state.failures = state.failures.saturating_add(1);
                state.failed += 1;
            }
            show(job.name(), state);
            state.failures
        });
        match result {
            Ok(Progress::More(_)) => pace.between,
            Ok(Progress::Idle(_)) => pace.every,
            Err(error) => {
                let pause = back_off(failures);
                tracing::warn!(
                    job.name = job.name(),
                    job.failures = failures,
                    retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    error = format!("{error:#}"),
                    "a background job failed, trying again"
                );
                pause
            }
        }
    }
}

fn label(job: &str) -> [Label; 1] {
    [("job_name", job.to_owned())]
}

fn show(job: &str, state: &JobState) {
    let label = label(job);
    counter(&names::JOB_RUNS, &label).absolute(state.steps);
    counter(&names::JOB_FAILURES, &label).absolute(state.failed);
    counter(&names::JOB_THINGS, &label).absolute(state.things);
    gauge(&names::JOB_FAILING, &label).set(f64::from(state.failures));
}

/// Doubles from a second to the limit.
fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (BACK_OFF_START * 2_u32.pow(doublings)).min(BACK_OFF_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Flaky(AtomicU32);

    #[async_trait]
    impl Job for Flaky {
        fn name(&self) -> &'static str {
            "flaky"
        }

        fn pace(&self) -> JobPace {
            let soon = Duration::from_millis(1);
            JobPace { first_after: soon, every: soon, between: soon }
        }

        async fn step(&self) -> anyhow::Result<Progress> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => anyhow::bail!("no luck"),
                1 => Ok(Progress::More(3)),
                2 => Ok(Progress::Idle(4)),
                _ => std::future::pending().await,
            }
        }
    }

    async fn wait_for(runner: &Runner, what: impl Fn(&JobReport) -> bool) {
        while !runner.reports().first().is_some_and(&what) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_job_backs_off_goes_on_and_stops() {
        let (runner, shutdown) = (Runner::default(), Shutdown::default());
        runner.start(vec![Arc::new(Flaky(AtomicU32::new(0)))], &shutdown);
        wait_for(&runner, |report| {
            let is_waiting = report.next_in_s.is_some_and(|seconds| seconds > 0.0);
            (report.failures, report.error.as_deref()) == (1, Some("no luck")) && is_waiting
        })
        .await;
        wait_for(&runner, |report| {
            let result = report.result.as_deref();
            (report.failures, report.runs, report.things, result) == (0, 2, 7, Some("4 done"))
        })
        .await;
        wait_for(&runner, |report| report.error.is_none() && report.next_in_s.is_none()).await;
        assert_eq!(runner.reports()[0].name, "flaky");
        assert_eq!(shutdown.finish().await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_rows_are_told() {
        let meta = crate::meta::model::Model::new();
        let runner = Runner::default();
        runner.change(&Flaky(AtomicU32::new(0)), |state| state.things = 3);
        let also = JobReport { name: "also".to_owned(), ..JobReport::default() };
        runner.tell_once(&meta, "here:1", also).await;
        let rows = meta.job_standings().await.unwrap();
        let told = rows.iter().map(|row| (row.report.name.as_str(), row.report.things));
        assert_eq!(told.collect::<Vec<_>>(), [("also", 0), ("flaky", 3)]);
        assert!(rows.iter().all(|row| row.process == "here:1"));
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        assert_eq!(back_off(1), Duration::from_secs(1));
        assert_eq!(back_off(3), Duration::from_secs(4));
        assert_eq!(back_off(7), BACK_OFF_LIMIT);
        assert_eq!(back_off(u32::MAX), BACK_OFF_LIMIT);
    }
}
