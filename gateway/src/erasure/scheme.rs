//! The three schemes: how an extent's six chunks are made, and what follows from it.

use sixfold_proto::name::CHUNKS_PER_EXTENT;

/// How the six chunks of an extent are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Four data chunks, two parity chunks: any two may be gone.
    FourTwo,
    /// Five data chunks, one parity chunk: one may be gone.
    FiveOne,
    /// Six data chunks: none may be gone. Scratch data.
    SixZero,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FourTwo, Self::FiveOne, Self::SixZero];

    /// Data chunks; also the fewest chunks from which an extent can be read.
    pub const fn data_count(self) -> usize {
        match self {
            Self::FourTwo => 4,
            Self::FiveOne => 5,
            Self::SixZero => 6,
        }
    }

    /// Parity chunks; also how many chunks may be gone.
    pub const fn parity_count(self) -> usize {
        CHUNKS_PER_EXTENT - self.data_count()
    }

    /// The fewest durable chunks with which a version may be committed. Under 4+2 one may be
    /// marked missing and left to heal.
    pub const fn commit_at(self) -> usize {
        match self {
            Self::FourTwo => 5,
            Self::FiveOne | Self::SixZero => 6,
        }
    }

    /// The fewest durable chunks from which the lost ones are rebuilt on other nodes before the
    /// commit. Below it the extent is lost and the PUT answers 503.
    pub const fn rebuild_at(self) -> usize {
        self.data_count()
    }

    /// The most chunks of one extent on one node.
    pub const fn max_chunks_per_node(self) -> usize {
        match self {
            Self::FourTwo => 2,
            Self::FiveOne | Self::SixZero => 1,
        }
    }

    /// The scheme's number in PostgreSQL. Never reused.
    pub const fn number(self) -> i16 {
        match self {
            Self::FourTwo => 1,
            Self::FiveOne => 2,
            Self::SixZero => 3,
        }
    }

    /// The inverse of [`Scheme::number`].
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.number() == number)
    }
}
