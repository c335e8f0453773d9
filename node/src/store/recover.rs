//! What a start finds: large chunks by the names of their files, without opening one.

use super::drive::{CHUNK_FOLDERS, Drive};
use super::index::{Index, Located, Place};
use super::io::Io;
use super::names;
use super::segment::Segments;
use std::fs;
use std::io;

/// What is on a drive.
pub(super) struct Found {
    pub(super) index: Index,
    pub(super) segments: Segments,
    /// The highest copy number of any chunk.
    pub(super) highest_copy: u64,
}

/// Reads a drive.
pub(super) fn recover(drive: &Drive, io: &Io) -> io::Result<Found> {
    let segments = Segments::new(drive.segments());
    let mut found = Found { index: Index::default(), segments, highest_copy: 0 };
    for folder in (0..CHUNK_FOLDERS).filter_map(|folder| u8::try_from(folder).ok()) {
        for file in fs::read_dir(drive.chunk_folder(folder))? {
            let file = file?;
            let Some(entry) = file.file_name().to_str().and_then(names::parse) else {
                let path = file.path();
                tracing::warn!(path = %path.display(), "a foreign file among the chunks is left");
                continue;
            };
            let copy = entry.copy.0;
            found.highest_copy = found.highest_copy.max(copy);
            let located = Located { entry, place: Place::File };
            let known = found.index.get(entry.name);
            let newest = known.is_none_or(|known| known.entry.copy.0 < copy);
            let loser = if newest { found.index.insert(&located) } else { Some(located) };
            // A crash came between the name of a new copy and the removal of the old one.
            if let Some(loser) = loser {
                io.remove(&drive.chunk_folder(folder).join(names::file_name(&loser.entry)))?;
            }
        }
    }
    Ok(found)
}
