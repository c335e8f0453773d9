//! What a check of the rows against the nodes' chunks asks, finds and names.

use super::{BodyId, ChunkSet, Extent, Placement, UploadId, VersionId};
use serde::{Deserialize, Serialize};
use sixfold_proto::name::ExtentId;

/// A check that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckRun {
    /// Its number; later ones have higher ones.
    pub id: i64,
    /// Whether what is missing is to be healed.
    pub heals: bool,
    /// Units of work done.
    pub step: u64,
    /// Whether it is over.
    pub is_done: bool,
    /// How far it is and what it counted, as the job wrote it.
    pub state: String,
}

/// An extent as a check looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The extent.
    pub extent: Extent,
    /// Whose it is.
    pub body: BodyId,
    /// Nobody refers to the body any more: its chunks are being deleted.
    pub is_freed: bool,
}

/// An extent that has not six chunks on six nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The extent.
    pub extent: ExtentId,
    /// Chunks that rows place on a node which does not have them.
    pub absent: ChunkSet,
    /// Chunks that were marked missing already.
    pub known: ChunkSet,
    /// Two chunks stand on a node although there are enough nodes.
    pub is_crowded: bool,
    /// Fewer chunks are left than a read needs.
    pub is_lost: bool,
    /// The placement by which that was found.
    pub placement: Placement,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a finding while the check ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands.
    Open,
    /// All six chunks are there again, on six nodes.
    Healed,
    /// Nobody refers to the bytes any more.
    Deleted,
    /// It could be healed, and was not in the time given.
    Waits,
}

impl Outcome {
    /// All, in the order of their numbers in the rows.
    pub const ALL: [Self; 4] = [Self::Open, Self::Healed, Self::Deleted, Self::Waits];
}

/// Whose bytes an extent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundName {
    /// The bucket's name; empty when it was deleted meanwhile.
    pub bucket: String,
    /// The object's key, or that of the upload.
    pub key: String,
    /// What of that key.
    pub what: Named,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The current version.
    Current(VersionId),
    /// An older one.
    Noncurrent(VersionId),
    /// A part of an upload under way.
    Part(UploadId, u16),
}

/// How far the naming of findings has come: through the current versions, then the older ones, then
/// the parts of uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameCursor {
    /// Behind a current version.
    Current {
        /// The bucket's number.
        bucket: i64,
        /// The key.
        key: String,
    },
    /// Behind an older version.
    Noncurrent {
        /// The bucket's number.
        bucket: i64,
        /// The key.
        key: String,
        /// The version's place in the order of the key's.
        seq: i64,
    },
    /// Behind a part.
    Part {
        /// The upload's id as a number.
        upload: u128,
        /// The part's number.
        number: i32,
    },
}

impl NameCursor {
    /// Before everything.
    pub fn start() -> Self {
        Self::Current { bucket: 0, key: String::new() }
    }

    /// The start of what comes behind all of its kind.
    pub fn next_kind(&self) -> Option<Self> {
        match self {
            Self::Current { .. } => {
                Some(Self::Noncurrent { bucket: 0, key: String::new(), seq: i64::MAX })
            }
            Self::Noncurrent { .. } => Some(Self::Part { upload: 0, number: 0 }),
            Self::Part { .. } => None,
        }
    }
}
