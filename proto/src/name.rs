//! Identifiers that travel between processes.

use std::fmt;
use uuid::Uuid;

/// How many chunks an extent has, in every scheme.
pub const CHUNKS_PER_EXTENT: usize = 6;

/// A node's number: given once at its first registration and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeNumber(pub u16);

/// A lease's random 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// The number that a node gave to one stored copy of a chunk. It only grows on one node,
/// so that "the copy I saw" can't be confused with a later one of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CopyNumber(pub u64);

/// An extent's id: the 64 bits of the lease under which it was written, then 64 random bits,
/// so that a lease's extents stand together in every ordered listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtentId(pub u128);

impl ExtentId {
    /// Joins a lease and 64 random bits.
    pub fn new(lease: LeaseId, random: u64) -> Self {
        Self((u128::from(lease.0) << 64) | u128::from(random))
    }

    /// The lease under which the extent was first written.
    #[allow(clippy::cast_possible_truncation)]
    pub fn lease(self) -> LeaseId {
        LeaseId((self.0 >> 64) as u64)
    }

    /// The lower, random half.
    #[allow(clippy::cast_possible_truncation)]
    pub fn random(self) -> u64 {
        self.0 as u64
    }

    /// The id as PostgreSQL keeps it; byte order and numeric order agree.
    pub fn to_uuid(self) -> Uuid {
        Uuid::from_u128(self.0)
    }

    /// The inverse of [`ExtentId::to_uuid`].
    pub fn from_uuid(id: Uuid) -> Self {
        Self(id.as_u128())
    }
}

impl fmt::Display for ExtentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of an extent's six chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkIndex(u8);

impl ChunkIndex {
    /// All six, in order.
    pub const ALL: [Self; CHUNKS_PER_EXTENT] =
        [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// `None` above 5.
    pub fn new(index: u8) -> Option<Self> {
        (usize::from(index) < CHUNKS_PER_EXTENT).then_some(Self(index))
    }

    /// The index as a number, 0 to 5.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The index into an array of six.
    pub fn as_usize(self) -> usize {
        usize::from(self.0)
    }
}

/// A chunk's name within the cluster. Its bytes are a function of the cluster and this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkName {
    /// The extent.
    pub extent: ExtentId,
    /// Which of its six chunks.
    pub index: ChunkIndex,
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.extent, self.index.get())
    }
}
