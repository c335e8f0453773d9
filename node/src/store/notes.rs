//! Small texts that a node keeps on its drive for itself, each replaced as a whole: what they say
//! is durable once the call has returned.

use super::drive::replace_file;
use super::{Inner, Store};
use sixfold_proto::chunks::NodeError;
use std::fs;
use std::io;

/// What there are notes about; the name is the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// How far the scrub is.
    Scrub,
    /// What is remembered of the database's history.
    Marks,
}

impl Note {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Scrub => "scrub",
            Self::Marks => "marks",
        }
    }
}

impl Store {
    /// The text of a note; `None` before the first. Blocks.
    pub fn note(&self, note: Note) -> io::Result<Option<String>> {
        match fs::read_to_string(self.inner.drive.root().join(note.file())) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a note. Blocks.
    pub fn keep_note(&self, note: Note, text: &str) -> Result<(), NodeError> {
        let inner: &Inner = &self.inner;
        inner.refuse_when_fenced()?;
        let root = inner.drive.root();
        inner.written(replace_file(root, note.file(), text.as_bytes(), &inner.io))
    }
}
