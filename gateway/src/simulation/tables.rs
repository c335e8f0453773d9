//! The crash points and the bugs, by name. A test compares them with the code and with the page.

/// Every place at which a simulated process may crash.
pub(super) const CRASH_POINTS: [&str; 44] = [
    "abort.aborted",
    "collect.chunk_deleted",
    "collect.deleted",
    "collect.forgotten",
    "collect.listed",
    "complete.before_commit",
    "complete.committed",
    "copy.before_commit",
    "copy.committed",
    "delete.deleted",
    "discard.chunk_deleted",
    "end_leases.ended",
    "expire_uploads.expired",
    "get.first_stripe",
    "get.stripe",
    "heal.begun",
    "heal.marked",
    "heal.switched",
    "heal.written",
    "lease.changed",
    "lease.renewed",
    "lease.taken",
    "missing.reported",
    "move.begun",
    "move.copied",
    "move.switched",
    "node.cell_received",
    "node.deleted",
    "node.put_received",
    "node.put_synced",
    "part.before_commit",
    "part.committed",
    "put.before_commit",
    "put.chunk_durable",
    "put.committed",
    "put.durable",
    "put.extent_durable",
    "put.placed",
    "put.rebuilding",
    "put.stripe_sent",
    "put.substituting",
    "rebalance.claimed",
    "sweep.chunk_deleted",
    "sweep.condemned",
];

/// A bug that is planted on purpose.
pub(super) struct Bug {
    pub(super) name: &'static str,
    /// What it does.
    pub(super) what: &'static str,
    /// A seed that found it; if the code has changed since, others do.
    pub(super) seed: u64,
}

const fn bug(name: &'static str, what: &'static str, seed: u64) -> Bug {
    Bug { name, what, seed }
}

/// Every bug.
pub(super) const BUGS: [Bug; 25] = [
    bug("abort.parts_not_freed", "an upload that is given up keeps its parts", 1),
    bug("collect.by_age", "collect goes by age alone and not by running reads", 8),
    bug("commit.condition_unchecked", "a commit does not test its condition", 8),
    bug("commit.counted_twice", "a new body counts two references", 1),
    bug("commit.lease_unchecked", "a commit does not look whether its lease lives", 58),
    bug("commit.replaced_not_freed", "an overwritten body is never let go", 1),
    bug("complete.parts_unchecked", "a completion does not compare its parts", 1),
    bug("copy.freed_with_its_source", "a body that is shared goes with its first owner", 5),
    bug("copy.not_counted", "a copy does not count its body's reference", 1),
    bug("delete.only_acknowledged", "a delete is acknowledged and not carried out", 1),
    bug("end_leases.blind_to_outages", "leases end of an outage of the database", 6),
    bug("end_leases.by_own_clock", "the age of leases is told by a gateway's clock", 1),
    bug("end_leases.too_early", "leases end after an eighth of the time", 1),
    bug("get.checksum_ignored", "a reader takes cells that fail their checksum", 2),
    bug("heal.presence_not_verified", "heal believes a chunk to be whole unread", 60),
    bug("lease.loss_ignored", "a process goes on with a lease that was ended", 2),
    bug("lease.not_renewed", "a process does not renew its lease", 1),
    bug("node.sync_skipped", "a node acknowledges what it has not synced", 1),
    bug("part.replaced_not_freed", "a part that was replaced is never let go", 1),
    bug("put.discarded_when_unknown", "chunks are discarded after an unknown outcome", 2),
    bug("put.failures_counted", "a put that failed counts as durable", 5),
    bug("put.missing_not_marked", "a commit does not say which chunks are missing", 1),
    bug("put.quorum_off_by_one", "a commit with one chunk too few", 2),
    bug("sweep.lease_unchecked", "the sweep deletes under leases that live", 1),
    bug("sweep.rows_unchecked", "the sweep deletes what rows want", 1),
];
