//! What healing and moving chunks writes, and how far it has come.

use super::{ChunkSet, Extent, Placement};
use sixfold_proto::name::{ExtentId, LeaseId};

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
