//! Shared syncs of directories: whoever needs one while another runs waits for the next, which
//! serves everybody who came in the meantime.

use super::io::Io;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

/// Syncs the folders of one drive. Blocks; to be called from threads that may.
#[derive(Default)]
pub(super) struct DirectorySync {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    /// Folders, opened, whose names wait for the next round.
    waiting: BTreeMap<PathBuf, File>,
    /// The number of the round that will sync them.
    next_round: u64,
    /// Rounds below this one are over.
    finished: u64,
    /// Whether a round runs.
    running: bool,
    /// Set by the first failure; a failed sync is final.
    failed: Option<io::ErrorKind>,
}

impl DirectorySync {
    /// Returns when what was named in `folder` before this call is durable; `opened` is that
    /// folder. An error is always one of the sync.
    pub(super) fn sync(&self, folder: PathBuf, opened: File, io: &Io) -> io::Result<()> {
        let mut state = super::lock(&self.state);
        state.waiting.insert(folder, opened);
        let round = state.next_round;
        while state.finished <= round {
            if let Some(kind) = state.failed {
                return Err(kind.into());
            }
            if state.running {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            state.next_round += 1;
            let folders = std::mem::take(&mut state.waiting);
            drop(state);
            let result = folders.values().try_for_each(|folder| io.sync_directory(folder));
            state = super::lock(&self.state);
            state.running = false;
            match &result {
                Ok(()) => state.finished = state.next_round,
                Err(error) => state.failed = Some(error.kind()),
            }
            self.done.notify_all();
            result?;
        }
        Ok(())
    }
}
