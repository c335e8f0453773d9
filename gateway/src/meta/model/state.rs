//! All rows of the model.

use crate::meta::types::{
    BodyId, Bucket, BucketId, CompleteOutcome, Extent, Key, NewBody, Part, Tags, Upload, UploadId,
    Version,
};
use crate::meta::{MetaError, Result};
use crate::points::is_planted;
use sixfold_proto::name::{ExtentId, LeaseId};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) buckets: BTreeMap<BucketId, Bucket>,
    /// The tags of the buckets that have any.
    pub(super) bucket_tags: BTreeMap<BucketId, Tags>,
    /// The last bucket number given; none is given twice.
    pub(super) last_bucket: i64,
    /// Every key's versions, oldest first; the last one is the current one. Never empty.
    pub(super) versions: BTreeMap<(BucketId, Key), Vec<Version>>,
    pub(super) bodies: BTreeMap<BodyId, Body>,
    /// When a chunk of an extent was last placed elsewhere.
    pub(super) moved: BTreeMap<ExtentId, OffsetDateTime>,
    /// Extents that had moved and are deleted, while the lease of their commit lives.
    pub(super) forgotten: BTreeSet<ExtentId>,
    pub(super) uploads: BTreeMap<UploadId, UploadRow>,
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    pub(super) jobs: super::jobs::Jobs,
    pub(super) reports: super::background::Reports,
    pub(super) history: super::history::History,
    pub(super) checks: super::checks::CheckRows,
    pub(super) users: super::users::Users,
    pub(super) nodes: super::nodes::Nodes,
    clock: Clock,
    last_moment: Option<OffsetDateTime>,
}

/// The database's clock: it shows the time of day and runs with the runtime's own clock, which
/// tests may stop and move.
#[derive(Debug)]
struct Clock {
    began: Instant,
    began_at: OffsetDateTime,
}

impl Default for Clock {
    fn default() -> Self {
        Self { began: Instant::now(), began_at: crate::clock::now() }
    }
}

/// A body: what is counted and shared.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) refs: u32,
    /// Since when nobody refers to it.
    pub(super) freed: Option<OffsetDateTime>,
    pub(super) extents: Vec<Extent>,
}

/// An upload with its parts, or what its completion answered.
#[derive(Debug)]
pub(super) struct UploadRow {
    pub(super) upload: Upload,
    pub(super) parts: BTreeMap<u16, PartRow>,
    pub(super) completed: Option<Completed>,
}

/// A part with its body; none when it is empty.
#[derive(Debug)]
pub(super) struct PartRow {
    pub(super) part: Part,
    pub(super) body: Option<BodyId>,
}

/// A completion, kept so that the same list gets the same answer.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) at: OffsetDateTime,
    pub(super) parts: Vec<(u16, String)>,
    pub(super) outcome: CompleteOutcome,
}

/// A lease.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) renewed: OffsetDateTime,
    pub(super) oldest_read: Option<OffsetDateTime>,
}

impl State {
    /// The time in microseconds, as PostgreSQL keeps it; it never stands still.
    pub(super) fn now(&mut self) -> OffsetDateTime {
        let now = self.clock.began_at + self.clock.began.elapsed();
        let now = now - Duration::nanoseconds(i64::from(now.nanosecond() % 1000));
        let after_last = self.last_moment.map(|last| last + Duration::microseconds(1));
        let now = after_last.map_or(now, |least| now.max(least));
        self.last_moment = Some(now);
        now
    }

    pub(super) fn check_lease(&self, lease: LeaseId) -> Result<()> {
        let is_live = self.leases.contains_key(&lease) || is_planted("commit.lease_unchecked");
        if is_live { Ok(()) } else { Err(MetaError::LeaseEnded) }
    }

    /// The bucket as it is, for a write that was decided by `seen`.
    pub(super) fn check_bucket(&self, seen: &Bucket) -> Result<Bucket> {
        let bucket = self.buckets.get(&seen.id).ok_or(MetaError::NoSuchBucket)?;
        if bucket.config_epoch != seen.config_epoch {
            return Err(MetaError::BucketChanged);
        }
        Ok(bucket.clone())
    }

    pub(super) fn add_body(&mut self, body: NewBody) {
        let refs = 1 + u32::from(is_planted("commit.counted_twice"));
        self.bodies.insert(body.id, Body { refs, freed: None, extents: body.extents });
    }

    /// Counts one reference down.
    pub(super) fn free_body(&mut self, body: Option<BodyId>) {
        let now = self.now();
        let Some(body) = body.and_then(|id| self.bodies.get_mut(&id)) else { return };
        if is_planted("commit.replaced_not_freed") {
            return;
        }
        body.refs -= 1;
        if body.refs == 0 || is_planted("copy.freed_with_its_source") {
            body.freed = Some(now);
        }
    }
}
