//! Ends the leases of processes that are gone, so that their leftovers can be swept.

use super::{Job, JobPace, Paces, Progress, lock};
use crate::meta::Meta;
use crate::points::{crash_point, is_planted};
use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Leases ended by one statement.
const PER_STEP: usize = 100;

/// The job `end_leases`.
pub struct EndLeases {
    meta: Arc<dyn Meta>,
    pace: JobPace,
    silent: Duration,
    answering: Mutex<Option<Answering>>,
}

/// The time in which the database has answered without a failure. After an outage every lease
/// looks silent; their holders must have had the time to renew. The same holds after this process
/// was stopped or its machine asleep.
#[derive(Clone, Copy)]
struct Answering {
    since: Instant,
    last: Instant,
}

impl EndLeases {
    /// With the pace and age of `paces`.
    pub fn new(meta: Arc<dyn Meta>, paces: &Paces) -> Self {
        Self {
            meta,
            pace: paces.end_leases,
            silent: paces.lease_silent,
            answering: Mutex::default(),
        }
    }

    /// Notes an answer or a failure; says for how long there have been answers.
    fn note(&self, is_answer: bool) -> Duration {
        let mut answering = lock(&self.answering);
        let now = Instant::now();
        // A longer gap may hide an outage in which no holder could renew: a call that waits for the
        // database to come back is answered in the end.
        let known = answering.filter(|known| now.duration_since(known.last) < self.silent / 2);
        let since = known.map_or(now, |known| known.since);
        *answering = is_answer.then_some(Answering { since, last: now });
        if is_answer { now.duration_since(since) } else { Duration::ZERO }
    }
}

#[async_trait]
impl Job for EndLeases {
    fn name(&self) -> &'static str {
        "end_leases"
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        let result = self.meta.cluster_id().await;
        let answered_for = self.note(result.is_ok());
        result?;
        if answered_for < self.silent && !is_planted("end_leases.blind_to_outages") {
            return Ok(Progress::Idle(0));
        }
        let is_hasty = is_planted("end_leases.too_early");
        let silent = if is_hasty { self.silent / 8 } else { self.silent };
        // One that comes so late may have waited for a database in which nobody could renew, or in
        // a process that stood still.
        let ended = self.meta.end_expired_leases(silent, PER_STEP);
        let Ok(result) = tokio::time::timeout(self.silent / 2, ended).await else {
            self.note(false);
            return Ok(Progress::Idle(0));
        };
        self.note(result.is_ok());
        let ended = result?;
        crash_point!("end_leases.ended");
        for lease in &ended {
            tracing::info!(lease.id = format!("{:016x}", lease.0), "ended a silent lease");
        }
        let count = ended.len() as u64;
        Ok(if ended.len() == PER_STEP { Progress::More(count) } else { Progress::Idle(count) })
    }
}
