//! Looks at the copies, decides whether commits wait for one, and alarms.

use super::super::{Cluster, configuration};
use super::judge::{Judge, LITTLE, Verdict};
use super::receiver::Seen;
use super::{ASK_LIMIT, PostgresError, Protection, Seat, connect, late, required};
use crate::metrics;
use sqlx::PgConnection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

/// How often the copies are looked at.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// A copy that lacks more than this, or is gone, for [`ALARM_AFTER`] is an alarm.
const LAG: u64 = 16 << 20;

/// How long; a receiver that is started again is back sooner.
const ALARM_AFTER: Duration = Duration::from_secs(5);

/// A receiver that moves nothing for so long, though there is something, is ended and begun anew.
const FROZEN_AFTER: Duration = Duration::from_secs(20);

/// How a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// It has everything, or will in a moment.
    InStep,
    /// Its first base backup is being taken.
    Incomplete,
    /// It is received, and lacks more than [`LAG`].
    Behind,
    /// Nothing receives it.
    Gone,
}

/// What is remembered of a copy from one look to the next.
struct Watched {
    seen: Arc<Seen>,
    /// Up to where it was synced at the last look.
    synced: Option<u64>,
    /// Since when that has not moved though the database has.
    still_since: Instant,
    /// How it is, and since when.
    condition: (Condition, Instant),
    /// What was said of it last.
    said: Condition,
}

/// How far everybody is: the database itself, and the receivers by name.
struct Look {
    synced: u64,
    receivers: Vec<(String, Option<i64>)>,
}

/// Watches until `stop`, then requires no copy.
pub(super) async fn watch(
    cluster: Arc<Cluster>,
    seen: Vec<Arc<Seen>>,
    report: Sender<Protection>,
    stop: CancellationToken,
) {
    let now = Instant::now();
    let watched = |seen| Watched {
        seen,
        synced: None,
        still_since: now,
        condition: (Condition::Incomplete, now),
        said: Condition::Incomplete,
    };
    let watched: Vec<_> = seen.into_iter().map(watched).collect();
    let (judge, written) = (Judge::default(), required(&[]));
    let mut watch = Watch { cluster, watched, judge, written };
    let mut database = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => break,
        }
        let looked = tokio::time::timeout(ASK_LIMIT, watch.look(&mut database)).await;
        if let Ok(Ok(now)) = looked {
            report.send_replace(now);
        } else {
            // Others say that the database is away. The copies are not to blame.
            database = None;
            watch.judge.forget();
        }
    }
    let ended = tokio::time::timeout(ASK_LIMIT, watch.require(&mut database, &[])).await;
    if !matches!(ended, Ok(Ok(()))) {
        tracing::debug!("the database was gone before its copies");
    }
}

struct Watch {
    cluster: Arc<Cluster>,
    watched: Vec<Watched>,
    judge: Judge,
    /// What the configuration says now.
    written: String,
}

impl Watch {
    async fn look(
        &mut self,
        database: &mut Option<PgConnection>,
    ) -> Result<Protection, PostgresError> {
        let found = look(self.connected(database).await?).await?;
        let now = Instant::now();
        for watched in &mut self.watched {
            watched.update(now, &found);
            watched.say(now);
        }
        let copied = self.watched.iter().filter(|copy| copy.seen.is_complete());
        let copied = copied.filter_map(|copy| copy.synced).max();
        let verdict = self.judge.judge(now, found.synced, copied);
        announce(verdict);
        let complete = self.watched.iter().map(|copy| &copy.seen).filter(|it| it.is_complete());
        let mut seats: Vec<Seat> = complete.map(|seen| seen.seat).collect();
        if !self.judge.is_required() {
            seats.clear();
        }
        self.require(database, &seats).await?;
        let is_in_step = |copy: &&Watched| copy.condition.0 == Condition::InStep;
        let in_step = self.watched.iter().filter(is_in_step).count();
        metrics::metadata_copies(in_step, self.watched.len(), self.judge.is_required());
        Ok(Protection { in_step, is_required: self.judge.is_required() && !seats.is_empty() })
    }

    /// Writes which copies are required, when that has changed, and has the server read it.
    async fn require(
        &mut self,
        database: &mut Option<PgConnection>,
        seats: &[Seat],
    ) -> Result<(), PostgresError> {
        let text = required(seats);
        if text == self.written {
            return Ok(());
        }
        configuration::write_copies(&self.cluster.home, &text)?;
        let connection = self.connected(database).await?;
        sqlx::query("select pg_reload_conf()").execute(connection).await?;
        self.written = text;
        Ok(())
    }

    async fn connected<'a>(
        &self,
        database: &'a mut Option<PgConnection>,
    ) -> Result<&'a mut PgConnection, PostgresError> {
        if database.is_none() {
            *database = Some(connect(&self.cluster).await?);
        }
        database.as_mut().ok_or_else(|| late().into())
    }
}

impl Watched {
    fn update(&mut self, now: Instant, found: &Look) {
        let name = self.seen.seat.slot();
        let receiver = found.receivers.iter().find(|(receiver, _)| *receiver == name);
        let synced = receiver.and_then(|(_, synced)| u64::try_from((*synced)?).ok());
        let lacks = found.synced.saturating_sub(synced.unwrap_or_default());
        if synced.is_some() && (synced != self.synced || lacks <= LITTLE) {
            self.still_since = now;
        }
        if now.duration_since(self.still_since) > FROZEN_AFTER {
            self.still_since = now;
            self.seen.frozen.notify_waiters();
        }
        self.synced = synced;
        self.seen.note_synced(synced);
        let condition = match lacks {
            _ if synced.is_none() => Condition::Gone,
            _ if !self.seen.is_complete() => Condition::Incomplete,
            lacks if lacks > LAG => Condition::Behind,
            _ => Condition::InStep,
        };
        if condition != self.condition.0 {
            self.condition = (condition, now);
        }
        metrics::metadata_copy_lag(self.seen.seat.number(), lacks);
    }

    /// Says once what has lasted.
    fn say(&mut self, now: Instant) {
        let (condition, since) = self.condition;
        let lasts = condition == Condition::InStep || now.duration_since(since) >= ALARM_AFTER;
        if condition == self.said || !lasts {
            return;
        }
        self.said = condition;
        let dir = self.seen.dir.display();
        match condition {
            Condition::InStep => {
                tracing::info!(copy = %dir, "this copy of the metadata is in step");
            }
            Condition::Incomplete => {
                tracing::warn!(copy = %dir, "this copy of the metadata has no base backup yet");
            }
            Condition::Behind => tracing::error!(copy = %dir, "this copy of the metadata lags"),
            Condition::Gone => tracing::error!(copy = %dir, "this copy of the metadata is gone"),
        }
    }
}

async fn look(database: &mut PgConnection) -> Result<Look, sqlx::Error> {
    let synced = "select (pg_current_wal_flush_lsn() - '0/0')::bigint";
    let synced: i64 = sqlx::query_scalar(synced).fetch_one(&mut *database).await?;
    let receivers = "select application_name, (flush_lsn - '0/0')::bigint
                     from pg_stat_replication where state = 'streaming'";
    let receivers = sqlx::query_as(receivers).fetch_all(database).await?;
    Ok(Look { synced: u64::try_from(synced).unwrap_or_default(), receivers })
}

/// Says that commits wait from now on, or no more.
fn announce(verdict: Verdict) {
    match verdict {
        Verdict::Stay => {}
        Verdict::Require => tracing::info!(
            "a commit is acknowledged from now on when it is on a copy of the metadata, too"
        ),
        Verdict::Release => tracing::error!(
            "no copy of the metadata keeps up: commits are acknowledged WITHOUT a copy until \
             one has caught up; if the database's drive is lost now, what is written now is \
             lost with it. See to the drives that hold the copies"
        ),
    }
}
