//! Whether what a copy has received is still there, under its names.
//!
//! A receiver goes on writing to files that somebody has removed, or whose drive was unmounted under
//! it, and says that they are synced. To PostgreSQL such a copy is in step; nothing could be made
//! anew from it.

use super::super::error::{IoContext, PostgresError};
use super::files::Generation;
use super::wal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A directory itself, whatever is at its path later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of what is at this path now.
    pub(super) fn of(dir: &Path) -> Result<Self, PostgresError> {
        let found = std::fs::metadata(dir).at("look at", dir)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }

    /// Whether both are on the same file system.
    pub(super) fn shares_device(self, other: Self) -> bool {
        self.device == other.device
    }
}

/// Whether the receiver's directory still is the one that it began with and, of a complete copy, all
/// WAL is there from its base backup up to where it said that it has synced. What can't be read is
/// not there.
pub(super) fn is_there(
    generation: &Generation,
    began: Identity,
    synced: u64,
    is_complete: bool,
) -> bool {
    let is_its_own = Identity::of(&generation.wal()).is_ok_and(|now| now == began);
    is_its_own && (!is_complete || reaches(generation, synced).unwrap_or(false))
}

/// Whether all WAL is there from the newest base backup up to a position.
fn reaches(generation: &Generation, synced: u64) -> Result<bool, PostgresError> {
    let Some((first, base)) = generation.bases()?.pop_last() else { return Ok(false) };
    let segments = generation.segments(&base)?;
    Ok(wal::last_of(&segments, first).is_some_and(|(last, _)| last.reaches(synced)))
}

#[cfg(test)]
mod tests {
    use super::super::wal::SEGMENT_BYTES;
    use super::{Generation, Identity, is_there};

    #[test]
    fn what_was_removed_under_its_receiver_is_missed() {
        let temporary = tempfile::tempdir().unwrap();
        let generation = Generation { number: 1, path: temporary.path().join("1") };
        let base = generation.path.join("base-000000010000000000000006");
        let began = || Identity::of(&generation.wal()).unwrap();
        let make = || {
            std::fs::create_dir_all(base.join("pg_wal")).unwrap();
            std::fs::create_dir_all(generation.wal()).unwrap();
            std::fs::write(base.join("pg_wal/000000010000000000000006"), "").unwrap();
            for name in ["000000010000000000000007", "000000010000000000000008.partial"] {
                std::fs::write(generation.wal().join(name), "").unwrap();
            }
        };
        make();
        let (first, synced) = (began(), 9 * SEGMENT_BYTES);
        assert!(is_there(&generation, first, synced, true));
        // It said more than there is.
        assert!(!is_there(&generation, first, synced + 1, true));
        std::fs::remove_file(generation.wal().join("000000010000000000000007")).unwrap();
        assert!(!is_there(&generation, first, synced, true));
        // Without a base backup nothing is promised yet.
        assert!(is_there(&generation, first, synced, false));
        make();
        assert!(is_there(&generation, first, synced, true));
        std::fs::remove_dir_all(&base).unwrap();
        assert!(!is_there(&generation, first, synced, true));
        std::fs::remove_dir_all(&generation.path).unwrap();
        assert!(!is_there(&generation, first, synced, false));
        // Another one at the same path.
        std::fs::create_dir(temporary.path().join("other")).unwrap();
        make();
        let other = Identity::of(&temporary.path().join("other")).unwrap();
        assert!(!is_there(&generation, other, synced, true));
    }
}
