//! The lease that this process holds while it may write chunks.
//!
//! It is renewed with a steady pace; each renewal publishes the oldest read still running, so
//! that no collector deletes under it, and compares the two clocks. Once the lease was ended by
//! somebody else, a new one is taken; what was written under the old one fails at its commit.
//!
//! A process may live for months, and nothing that it wrote and gave up can be swept while the
//! lease it was written under lives. So the lease is changed from time to time: writes begin
//! under the new one, and the old one is renewed for as long as a write may take, then ended.

#[cfg(test)]
mod tests;

use crate::clock;
use crate::data::CurrentLease;
use crate::meta::{Meta, MetaError, Result};
use crate::points::{crash_point, is_planted};
use sixfold_proto::name::LeaseId;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(20);

/// How often a lease gives way to a new one.
pub const CHANGE_EVERY: Duration = Duration::from_hours(1);

/// How long a lease is kept once it gave way: no upload of one object or part takes longer.
pub const KEEP_CHANGED: Duration = Duration::from_hours(12);

/// The pause before a failed renewal is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A clock this far from the database's is an alarm.
const CLOCK_ALARM: Duration = Duration::from_mins(1);

/// A clock this far off would refuse signatures that are right: not ready.
const CLOCK_LIMIT: Duration = Duration::from_mins(10);

/// When a lease is renewed, changed and ended. Tests override it.
#[derive(Clone, Copy, Debug)]
pub struct LeasePace {
    /// How often it is renewed.
    pub renew_every: Duration,
    /// How often it gives way to a new one.
    pub change_every: Duration,
    /// How long it is kept after that.
    pub keep_changed: Duration,
}

impl LeasePace {
    /// Of a lease that chunks are healed and moved under: short ones, so that what was written in
    /// vain can be swept soon. No chunk takes longer than it is kept.
    pub fn of_movers(renew_every: Duration) -> Self {
        let (change_every, keep_changed) = (Duration::from_mins(5), Duration::from_mins(10));
        Self { renew_every, change_every, keep_changed }
    }
}

impl Default for LeasePace {
    fn default() -> Self {
        RENEW_EVERY.into()
    }
}

impl From<Duration> for LeasePace {
    fn from(renew_every: Duration) -> Self {
        Self { renew_every, change_every: CHANGE_EVERY, keep_changed: KEEP_CHANGED }
    }
}

/// How far this machine's clock is from the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Close enough.
    Fine,
    /// Worth an alarm.
    Off,
    /// Signatures can't be judged by it.
    Unusable,
}

/// How long the oldest read of this process has been running.
type OldestRead = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

/// The process's lease.
pub struct Lease {
    meta: Arc<dyn Meta>,
    holder: String,
    pace: LeasePace,
    current: AtomicU64,
    /// When the current one was taken.
    taken: Mutex<Instant>,
    /// Those that gave way, and when.
    changed: Mutex<Vec<(LeaseId, Instant)>>,
    clock_ahead_ms: AtomicI64,
    oldest_read: OnceLock<OldestRead>,
}

impl Lease {
    /// Takes a lease; `holder` names the process to operators.
    pub async fn begin(
        meta: Arc<dyn Meta>,
        holder: impl Into<String>,
        pace: impl Into<LeasePace>,
    ) -> Result<Arc<Self>> {
        let holder = holder.into();
        let current = meta.begin_lease(&holder).await?;
        let lease = Self {
            meta,
            holder,
            pace: pace.into(),
            current: AtomicU64::new(current.0),
            taken: Mutex::new(Instant::now()),
            changed: Mutex::default(),
            clock_ahead_ms: AtomicI64::new(0),
            oldest_read: OnceLock::new(),
        };
        // Measures the clocks before the first request is judged by them.
        lease.renew().await?;
        Ok(Arc::new(lease))
    }

    /// From now on renewals publish these reads. The first call counts.
    pub fn publish_reads(&self, oldest: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
        let _ = self.oldest_read.set(Box::new(oldest));
    }

    /// Renews until `stop`. Ending the lease comes after the last write: [`Lease::end`].
    pub async fn keep(&self, stop: &CancellationToken) {
        let mut pause = self.pace.renew_every;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.turn().await {
                Ok(()) => self.pace.renew_every,
                Err(error) => {
                    tracing::warn!(%error, "the lease could not be renewed, trying again");
                    RETRY_PAUSE.min(self.pace.renew_every)
                }
            };
        }
    }

    /// Ends the lease, and those that gave way to it: the leftovers of this process may be swept
    /// at once.
    pub async fn end(&self) -> Result<()> {
        for (lease, _) in self.changed() {
            self.meta.end_lease(lease).await?;
        }
        self.meta.end_lease(self.current()).await
    }

    /// How much this clock is ahead of the database's; negative: behind.
    pub fn clock_ahead(&self) -> time::Duration {
        time::Duration::milliseconds(self.clock_ahead_ms.load(Ordering::Relaxed))
    }

    /// What that means.
    pub fn clock_state(&self) -> ClockState {
        let off = self.clock_ahead().unsigned_abs();
        match off {
            _ if off >= CLOCK_LIMIT => ClockState::Unusable,
            _ if off >= CLOCK_ALARM => ClockState::Off,
            _ => ClockState::Fine,
        }
    }

    /// Renews the lease and those that gave way; ends what has been kept for long enough.
    async fn turn(&self) -> Result<()> {
        self.renew().await?;
        crash_point!("lease.renewed");
        for (lease, since) in self.changed() {
            if since.elapsed() >= self.pace.keep_changed {
                self.meta.end_lease(lease).await?;
                self.forget(lease);
                continue;
            }
            match self.meta.renew_lease(lease, self.oldest_read()).await {
                Ok(_) => {}
                Err(MetaError::LeaseEnded) => self.forget(lease),
                Err(error) => return Err(error),
            }
        }
        if lock(&self.taken).elapsed() >= self.pace.change_every {
            self.change().await?;
        }
        Ok(())
    }

    /// Takes a new lease for the writes that begin from now on.
    async fn change(&self) -> Result<()> {
        let old = self.take().await?;
        lock(&self.changed).push((old, Instant::now()));
        crash_point!("lease.changed");
        Ok(())
    }

    /// Makes a new lease the current one; answers the one before it.
    async fn take(&self) -> Result<LeaseId> {
        let new = self.meta.begin_lease(&self.holder).await?;
        crash_point!("lease.taken");
        *lock(&self.taken) = Instant::now();
        Ok(LeaseId(self.current.swap(new.0, Ordering::AcqRel)))
    }

    fn changed(&self) -> Vec<(LeaseId, Instant)> {
        lock(&self.changed).clone()
    }

    fn forget(&self, lease: LeaseId) {
        lock(&self.changed).retain(|(changed, _)| *changed != lease);
    }

    fn oldest_read(&self) -> Option<Duration> {
        self.oldest_read.get().and_then(|oldest| oldest())
    }

    async fn renew(&self) -> Result<()> {
        if is_planted("lease.not_renewed") {
            return Ok(());
        }
        let oldest_read = self.oldest_read();
        let before = clock::now();
        match self.meta.renew_lease(self.current(), oldest_read).await {
            Ok(renewal) => {
                self.compare_clocks(before, renewal.database_time, clock::now());
                Ok(())
            }
            Err(MetaError::LeaseEnded) if is_planted("lease.loss_ignored") => Ok(()),
            Err(MetaError::LeaseEnded) => self.replace().await,
            Err(error) => Err(error),
        }
    }

    async fn replace(&self) -> Result<()> {
        let old = self.take().await?;
        tracing::warn!(
            lease.old = format!("{:016x}", old.0),
            lease.new = format!("{:016x}", self.current().0),
            "the lease was ended by another process: writes under it fail, a new one is taken"
        );
        Ok(())
    }

    /// The database answered at some moment between `before` and `after`.
    fn compare_clocks(
        &self,
        before: OffsetDateTime,
        database: OffsetDateTime,
        after: OffsetDateTime,
    ) {
        let answered: OffsetDateTime = before + (after - before) / 2;
        let ahead = (answered - database).whole_milliseconds();
        self.clock_ahead_ms.store(i64::try_from(ahead).unwrap_or(i64::MAX), Ordering::Relaxed);
        if self.clock_state() != ClockState::Fine {
            tracing::error!(
                clock.ahead_ms = i64::try_from(ahead).unwrap_or(i64::MAX),
                "this machine's clock differs from the database's: set one of them right"
            );
        }
    }
}

impl CurrentLease for Lease {
    fn current(&self) -> LeaseId {
        LeaseId(self.current.load(Ordering::Acquire))
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
