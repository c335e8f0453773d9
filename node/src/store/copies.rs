//! Copy numbers: they only grow on one drive, also over restarts and after every chunk is gone.

use super::drive::replace_file;
use super::index::MAX_COPY_NUMBER;
use super::io::Io;
use sixfold_proto::name::CopyNumber;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const FILE: &str = "copies";

/// How many numbers are set aside with one sync. A start gives up what is left of them; 2^48
/// numbers last for 268 million starts.
const SET_ASIDE: u64 = 1 << 20;

/// Gives copy numbers.
pub(super) struct CopyNumbers {
    root: PathBuf,
    io: Io,
    state: Mutex<State>,
}

struct State {
    /// The number that is given next.
    next: u64,
    /// The first number that the file does not cover yet.
    end: u64,
}

impl CopyNumbers {
    /// Goes on behind what the drive's file says, and behind `seen`, the highest number found.
    pub(super) fn open(root: &Path, io: &Io, seen: u64) -> io::Result<Self> {
        let given = match fs::read_to_string(root.join(FILE)) {
            Ok(text) => text.trim().parse().map_err(|_| {
                let text = "the file of copy numbers is damaged";
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let next = given.max(seen) + 1;
        let state = Mutex::new(State { next, end: next });
        Ok(Self { root: root.to_owned(), io: io.clone(), state })
    }

    /// The highest number that was ever given, or a higher one.
    pub(super) fn highest(&self) -> CopyNumber {
        CopyNumber(super::lock(&self.state).next - 1)
    }

    /// The next number. Once in a million calls it syncs.
    pub(super) fn take(&self) -> io::Result<CopyNumber> {
        let mut state = super::lock(&self.state);
        if state.next >= state.end {
            let end = state.next + SET_ASIDE;
            if end > MAX_COPY_NUMBER {
                return Err(io::Error::other("copy numbers are used up"));
            }
            replace_file(&self.root, FILE, format!("{end}\n").as_bytes(), &self.io)?;
            state.end = end;
        }
        let number = CopyNumber(state.next);
        state.next += 1;
        Ok(number)
    }
}
