//! What a drive remembers of the database's history, and what follows for its chunks.
//!
//! A database that went back in time knows nothing of what was written since, and a sweep by it
//! would delete that. So the drive keeps the newest mark of the history that it saw. When the
//! database does not know this mark, the history of before is *lost*: no copy made until then is
//! deleted for want of a row, until a database comes back that knows its end, or an operator gives
//! it up. Chunks stay where they are meanwhile and are served like others.
//!
//! ```text
//! sixfold marks 1
//! mark 1207 6f2c…            the newest mark seen
//! lost 1190 03ab… 5521       the last mark of a lost history, the highest copy number of then
//! ```

use super::notes::Note;
use super::{Store, lock};
use sixfold_proto::chunks::NodeError;
use sixfold_proto::history::{Mark, Memory, Witnessed};
use sixfold_proto::name::CopyNumber;
use std::fs;
use std::io;
use std::path::Path;
use uuid::Uuid;

const TITLE: &str = "sixfold marks 1";

/// Lost histories that are told apart. Of more, the oldest two become one that no database knows
/// and only an operator gives up.
const MOST_LOST: usize = 16;
const NEVER: Mark = Mark { number: 0, tag: Uuid::nil() };

/// What a drive remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The newest mark seen.
    newest: Option<Mark>,
    /// The last marks of lost histories, and the highest copy number of then.
    lost: Vec<(Mark, CopyNumber)>,
}

impl Marks {
    /// What the drive's note says. A note that can't be read is an error: without it everything
    /// looks forgettable.
    pub(super) fn load(root: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(root.join(Note::Marks.file())) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let damaged = "the file `marks` is damaged: remove it if the database was never restored";
        Self::parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, damaged))
    }

    /// What is told of it.
    pub(super) fn memory(&self) -> Memory {
        let kept = self.lost.iter().map(|(_, copy)| *copy).max().unwrap_or_default();
        Memory { mark: self.newest, kept }
    }

    /// All marks: what the database is asked for.
    fn all(&self) -> Vec<Mark> {
        self.newest.into_iter().chain(self.lost.iter().map(|(mark, _)| *mark)).collect()
    }

    /// What is remembered after the database's answer; `highest` copy numbers are given.
    fn after(&self, answer: &Witnessed, highest: CopyNumber) -> Self {
        let is_known = |mark: &Mark| answer.known.contains(mark);
        let mut lost = self.lost.clone();
        if let Some(newest) = self.newest.filter(|newest| !is_known(newest)) {
            lost.push((newest, highest));
        }
        lost.retain(|(mark, copy)| !is_known(mark) && *copy > answer.released);
        while lost.len() > MOST_LOST {
            let (_, oldest) = lost.remove(0);
            lost[0] = (NEVER, lost[0].1.max(oldest));
        }
        Self { newest: Some(answer.mark), lost }
    }

    fn to_text(&self) -> String {
        let line = |word: &str, mark: &Mark| format!("{word} {} {}", mark.number, mark.tag);
        let newest = self.newest.iter().map(|mark| line("mark", mark));
        let lost =
            self.lost.iter().map(|(mark, copy)| format!("{} {}", line("lost", mark), copy.0));
        let lines = [TITLE.to_owned()].into_iter().chain(newest).chain(lost);
        lines.map(|line| line + "\n").collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return None;
        }
        let mut marks = Self::default();
        for line in lines {
            let fields = line.split(' ').collect::<Vec<_>>();
            let mark = |number: &str, tag: &str| {
                Some(Mark { number: number.parse().ok()?, tag: tag.parse().ok()? })
            };
            match fields[..] {
                ["mark", number, tag] => marks.newest = Some(mark(number, tag)?),
                ["lost", number, tag, copy] => {
                    marks.lost.push((mark(number, tag)?, CopyNumber(copy.parse().ok()?)));
                }
                _ => return None,
            }
        }
        Some(marks)
    }
}

impl Store {
    /// What the node remembers of the database's history.
    pub fn memory(&self) -> Memory {
        lock(&self.inner.marks).memory()
    }

    /// The marks that the database is to be asked for.
    pub fn marks(&self) -> Vec<Mark> {
        lock(&self.inner.marks).all()
    }

    /// Takes the database's answer, durably. Blocks.
    pub fn witness(&self, answer: &Witnessed) -> Result<Memory, NodeError> {
        let before = lock(&self.inner.marks).clone();
        let after = before.after(answer, self.inner.copies.highest());
        if after != before {
            // Known at once, so that nothing is deleted while it is being written.
            *lock(&self.inner.marks) = after.clone();
            self.keep_note(Note::Marks, &after.to_text())?;
        }
        Ok(after.memory())
    }
}

#[cfg(test)]
mod tests;
