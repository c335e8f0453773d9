//! Runs jobs: waits, works, backs off after errors, and shows how they are.

use super::JobPace;
use crate::shutdown::Shutdown;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// The longest pause after errors.
const BACK_OFF_LIMIT: Duration = Duration::from_mins(1);

/// The shortest.
const BACK_OFF_START: Duration = Duration::from_secs(1);

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
    /// Does one bounded, idempotent unit of work. It is dropped when the process stops.
    async fn step(&self) -> anyhow::Result<Progress>;
}

/// How a job is, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobState {
    /// Units of work that succeeded.
    pub steps: u64,
    /// Things done: bodies collected, chunks swept, uploads expired, leases ended.
    pub things: u64,
    /// Units of work that failed in a row.
    pub failures: u32,
    /// What the last failure said; kept until a unit succeeds.
    pub last_error: Option<String>,
    /// When a unit of work last succeeded.
    pub last_success: Option<OffsetDateTime>,
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
            let (runner, stop) = (self.clone(), shutdown.token().clone());
            let name = format!("job {}", job.name());
            shutdown.spawn(name, async move { runner.run(&*job, &stop).await });
        }
    }

    /// How each job is, by name.
    pub fn states(&self) -> BTreeMap<&'static str, JobState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run(&self, job: &dyn Job, stop: &CancellationToken) {
        let mut pause = job.pace().first_after;
        loop {
            let work = async {
                tokio::time::sleep(pause).await;
                job.step().await
            };
            tokio::select! {
                () = stop.cancelled() => return,
                result = work => pause = self.record(job, result),
            }
        }
    }

    /// Notes how a unit ended and says how long to wait.
    fn record(&self, job: &dyn Job, result: anyhow::Result<Progress>) -> Duration {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(job.name()).or_default();
        match result {
            Ok(progress) => {
                let (Progress::More(things) | Progress::Idle(things)) = progress;
                state.steps += 1;
                state.things += things;
                state.failures = 0;
                state.last_error = None;
                state.last_success = Some(OffsetDateTime::now_utc());
                let pace = job.pace();
                if matches!(progress, Progress::More(_)) { pace.between } else { pace.every }
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.last_error = Some(format!("{error:#}"));
                let pause = back_off(state.failures);
                tracing::warn!(
                    job.name = job.name(),
                    job.failures = state.failures,
                    retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    error = format!("{error:#}"),
                    "a background job failed, trying again"
                );
                pause
            }
        }
    }
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

    async fn wait_for(runner: &Runner, what: impl Fn(&JobState) -> bool) {
        while !runner.states().get("flaky").is_some_and(&what) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_job_backs_off_goes_on_and_stops() {
        let (runner, shutdown) = (Runner::default(), Shutdown::default());
        runner.start(vec![Arc::new(Flaky(AtomicU32::new(0)))], &shutdown);
        wait_for(&runner, |state| {
            (state.failures, state.last_error.as_deref()) == (1, Some("no luck"))
        })
        .await;
        wait_for(&runner, |state| {
            (state.failures, state.steps, state.things) == (0, 2, 7) && state.last_error.is_none()
        })
        .await;
        assert_eq!(shutdown.finish().await, Vec::<String>::new());
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        assert_eq!(back_off(1), Duration::from_secs(1));
        assert_eq!(back_off(3), Duration::from_secs(4));
        assert_eq!(back_off(7), BACK_OFF_LIMIT);
        assert_eq!(back_off(u32::MAX), BACK_OFF_LIMIT);
    }
}
