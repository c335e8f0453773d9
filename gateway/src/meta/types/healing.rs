//! What healing and moving chunks writes, and how far it has come.

use super::{ChunkSet, Extent, Placement};
use sixfold_proto::name::{ExtentId, LeaseId, NodeNumber};

/// Chunks of an extent that were made anew or moved, to be written into its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The lease under which they were written.
    pub lease: LeaseId,
    /// The extent.
    pub extent: ExtentId,
    /// Its placement so far; with another one in its row, nothing is changed.
    pub from: Placement,
    /// Its placement from now on.
    pub to: Placement,
    /// Chunks that are missing no longer.
    pub healed: ChunkSet,
}

/// Which of the chunks on nodes that are away count as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// All: the nodes are not expected back.
    Every,
    /// Those of extents that have no chunk to spare without them: they can't wait.
    AtRisk,
}

/// Which extents a walk by placement meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed<'a> {
    /// Those with a chunk on one of these nodes.
    On(&'a [NodeNumber]),
    /// Those with two chunks on a node.
    Crowded,
    /// Every one.
    Anywhere,
}

/// A job that one process does for all, as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its name.
    pub name: String,
    /// What it is doing, for people.
    pub doing: String,
    /// Seconds since it last said so.
    pub silent_for: f64,
}

/// Who wants to do a job for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Random; the same for as long as the process lives.
    pub id: u64,
    /// A lease of it: with that the claim ends.
    pub lease: LeaseId,
}

/// How far a walk over extents by placement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentCursor {
    /// The placement's row.
    pub placement: i32,
    /// The extent.
    pub extent: ExtentId,
}

/// A place in the order of [`crate::meta::Meta::degraded_extents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RiskCursor {
    /// How many more chunks the extent can lose.
    pub spare: i32,
    /// The extent.
    pub extent: ExtentId,
}

impl RiskCursor {
    /// The place of `extent`.
    pub fn of(extent: &Extent) -> Self {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let missing = count(extent.missing.0.count_ones() as usize);
        Self { spare: count(extent.scheme.parity_count()) - missing, extent: extent.id }
    }
}
