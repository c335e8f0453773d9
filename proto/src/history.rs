//! What a node remembers of the database's history, by which it sees that a database went back in
//! time: was restored from a backup, or lost its newest commits.

use crate::name::CopyNumber;
use uuid::Uuid;

/// A moment in the history of a database: a number that grows by one every minute, and a random id,
/// so that two histories that parted never have the same mark again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Which one, from 1.
    pub number: u64,
    /// Its id.
    pub tag: Uuid,
}

/// What a node says of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The newest mark that it saw; `None` before the first.
    pub mark: Option<Mark>,
    /// Copies up to this number were made under a history that the database of today does not
    /// know to its end: none of them may be deleted only because no row wants it. 0: none.
    pub kept: CopyNumber,
}

/// What the database answers to a node that tells what it remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// The newest mark.
    pub mark: Mark,
    /// Those of the node's marks that are part of the database's history.
    pub known: Vec<Mark>,
    /// Copies up to this number an operator does not want to be kept any longer.
    pub released: CopyNumber,
}
