//! Calls of the database: each bounded, counted and timed under the name of its operation.

use super::connect::within;
use crate::meta::{MetaError, Result};
use crate::telemetry::trace::{self, Attributes, Part};
use metrics::{Counter, Histogram};
use sixfold_node::metrics::{counter, gauge, histogram};
use sixfold_proto::metrics as names;
use sqlx::PgPool;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Awaits a call in the place where it is made: moving it on would copy kilobytes.
macro_rules! call {
    ($self:ident.$how:ident($name:literal), $call:expr) => {{
        let call = std::pin::pin!($call);
        $self.calls.$how($name, call).await
    }};
}
pub(super) use call;

/// The operations, as [`crate::meta::Meta`] and [`crate::meta::checks::Checks`] have them.
const OPERATIONS: &[&str] = &[
    "abort_upload",
    "ask_check",
    "backlogs",
    "begin_lease",
    "bucket",
    "bucket_tags",
    "buckets",
    "check",
    "claim_job",
    "cluster_id",
    "commit",
    "commit_part",
    "complete",
    "completed",
    "condemned",
    "count_quarantine",
    "create_bucket",
    "create_key",
    "create_upload",
    "create_user",
    "degraded_extents",
    "delete",
    "delete_bucket",
    "delete_key",
    "end_expired_leases",
    "end_lease",
    "expire_uploads",
    "extent_count",
    "extents",
    "extents_by_id",
    "extents_of",
    "find",
    "finding_names",
    "findings",
    "forget_bodies",
    "forget_jobs",
    "freed_bodies",
    "heartbeat",
    "is_recent",
    "job_standings",
    "jobs",
    "key",
    "keys",
    "list_objects",
    "list_uploads",
    "list_versions",
    "lose_chunks_on",
    "mark_missing",
    "mark_rotten",
    "move_chunks",
    "name_page",
    "next_check",
    "nodes",
    "parts",
    "placed_extents",
    "quarantines",
    "register_node",
    "release_quarantine",
    "remove_node",
    "renew_lease",
    "report_jobs",
    "set_bucket_tags",
    "set_node_state",
    "set_node_weight",
    "set_tags",
    "set_versioning",
    "settle_findings",
    "step_check",
    "unplaced",
    "upload",
    "user",
    "withdraw_check",
    "witness",
];

/// What calls count.
pub(super) struct Calls {
    in_flight: AtomicUsize,
    /// One for each of [`OPERATIONS`], taken before the first call.
    durations: HashMap<&'static str, Histogram>,
    unavailable: Counter,
}

impl Calls {
    pub(super) fn new() -> Self {
        let duration = |op: &&'static str| {
            (*op, histogram(&names::DATABASE_DURATION, &[("op", (*op).to_owned())]))
        };
        Self {
            in_flight: AtomicUsize::new(0),
            durations: OPERATIONS.iter().map(duration).collect(),
            unavailable: counter(&names::DATABASE_ERRORS, &[]),
        }
    }

    /// Bounds a call that changes nothing, or whose loss is no secret to the caller.
    pub(super) async fn within<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.timed(op, within(call)).await
    }

    /// A call with limits of its own.
    pub(super) async fn timed<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let _under_way = UnderWay::new(&self.in_flight);
        let begun = Instant::now();
        let mut span = trace::span(Part::Database, op).with(|note| describe(note, op));
        let answer = call.await;
        match &answer {
            Ok(_) => span.answered(),
            Err(error) => span.failed(error_name(error)),
        }
        let duration = self.durations.get(op);
        debug_assert!(duration.is_some(), "{op} is missing among the operations");
        if let Some(duration) = duration {
            duration.record(begun.elapsed());
        }
        if let Err(MetaError::Unavailable(_)) = answer {
            self.unavailable.increment(1);
        }
        answer
    }

    pub(super) fn show(&self, pool: &PgPool) {
        let idle = pool.num_idle();
        let used = (pool.size() as usize).saturating_sub(idle);
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        for (state, count) in [("used", used), ("idle", idle)] {
            gauge(&names::POOL, &[("state", state.to_owned())]).set(count as f64);
        }
        let limit = pool.options().get_max_connections();
        gauge(&names::POOL_LIMIT, &[]).set(f64::from(limit));
        gauge(&names::DATABASE_CALLS, &[]).set(in_flight as f64);
        gauge(&names::DATABASE_WAITING, &[]).set(in_flight.saturating_sub(used) as f64);
    }
}

/// What a span says of a call: its name, and no statement and no parameter.
fn describe(note: &mut Attributes, op: &'static str) {
    note.text("db.system", "postgresql");
    note.text("db.system.name", "postgresql");
    note.text("db.operation.name", op);
}

/// The error without its text, which may hold what a statement was about.
fn error_name(error: &MetaError) -> &'static str {
    match error {
        MetaError::Unavailable(_) => "unavailable",
        MetaError::LeaseEnded => "lease_ended",
        MetaError::BucketChanged => "bucket_changed",
        MetaError::NoSuchBucket => "no_such_bucket",
        MetaError::BucketExists { .. } => "bucket_exists",
        MetaError::BucketNotEmpty => "bucket_not_empty",
        MetaError::Exists(_) => "exists",
        MetaError::Broken(_) => "broken",
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// Counts a call off also when it is dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
