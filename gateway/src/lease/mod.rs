//! The lease that this process holds while it may write chunks.
//!
//! It is renewed with a steady pace; each renewal publishes the oldest read still running, so
//! that no collector deletes under it, and compares the two clocks. Once the lease was ended by
//! somebody else, a new one is taken; what was written under the old one fails at its commit.

#[cfg(test)]
mod tests;

use crate::data::CurrentLease;
use crate::meta::{Meta, MetaError, Result};
use sixfold_proto::name::LeaseId;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(20);

/// The pause before a failed renewal is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A clock this far from the database's is an alarm.
const CLOCK_ALARM: Duration = Duration::from_secs(60);

/// A clock this far off would refuse signatures that are right: not ready.
const CLOCK_LIMIT: Duration = Duration::from_mins(10);

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
    renew_every: Duration,
    current: AtomicU64,
    clock_ahead_ms: AtomicI64,
    oldest_read: OnceLock<OldestRead>,
}

impl Lease {
    /// Takes a lease; `holder` names the process to operators.
    pub async fn begin(
        meta: Arc<dyn Meta>,
        holder: impl Into<String>,
        renew_every: Duration,
    ) -> Result<Arc<Self>> {
        let holder = holder.into();
        let current = meta.begin_lease(&holder).await?;
        let lease = Self {
            meta,
            holder,
            renew_every,
            current: AtomicU64::new(current.0),
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
        let mut pause = self.renew_every;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.renew().await {
                Ok(()) => self.renew_every,
                Err(error) => {
                    tracing::warn!(%error, "the lease could not be renewed, trying again");
                    RETRY_PAUSE.min(self.renew_every)
                }
            };
        }
    }

    /// Ends the lease: the leftovers of this process may be swept at once.
    pub async fn end(&self) -> Result<()> {
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

    async fn renew(&self) -> Result<()> {
        let oldest_read = self.oldest_read.get().and_then(|oldest| oldest());
        let before = OffsetDateTime::now_utc();
        match self.meta.renew_lease(self.current(), oldest_read).await {
            Ok(renewal) => {
                self.compare_clocks(before, renewal.database_time, OffsetDateTime::now_utc());
                Ok(())
            }
            Err(MetaError::LeaseEnded) => self.replace().await,
            Err(error) => Err(error),
        }
    }

    async fn replace(&self) -> Result<()> {
        let new = self.meta.begin_lease(&self.holder).await?;
        let old = self.current.swap(new.0, Ordering::AcqRel);
        tracing::warn!(
            lease.old = format!("{old:016x}"),
            lease.new = format!("{:016x}", new.0),
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
