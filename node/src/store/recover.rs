//! What a start finds: large chunks by the names of their files, without opening one; small
//! ones by the indexes at the ends of the segments. Only a segment that was not sealed, the
//! newest as a rule, is read as a whole.

use super::drive::{CHUNK_FOLDERS, Drive};
use super::format::Geometry;
use super::format::{IndexEntry, Subject};
use super::index::{Index, Located, Place};
use super::io::Io;
use super::names;
use super::record::entry;
use super::segment::scan::{Contents, scan};
use super::segment::writer::Active;
use super::segment::{Segment, Segments, parse_file_name};
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::sync::Arc;

/// What is on a drive.
pub(super) struct Found {
    pub(super) index: Index,
    pub(super) segments: Segments,
    /// The highest copy number of any chunk.
    pub(super) highest_copy: u64,
    /// The newest segment, if it was not sealed.
    pub(super) active: Option<Active>,
    /// Whether a torn record stands inside the newest segment: it must be sealed, so that its
    /// index leaves that record out.
    pub(super) seal_active: bool,
    /// The number for the next segment.
    pub(super) next_segment: u32,
}

/// Reads a drive.
pub(super) fn recover(drive: &Drive, io: &Io) -> io::Result<Found> {
    let mut found = Found {
        index: Index::default(),
        segments: Segments::open(drive.segments(), io)?,
        highest_copy: 0,
        active: None,
        seal_active: false,
        next_segment: 1,
    };
    for folder in (0..CHUNK_FOLDERS).filter_map(|folder| u8::try_from(folder).ok()) {
        find_files(drive, io, folder, &mut found)?;
    }
    find_segments(drive, io, &mut found)?;
    Ok(found)
}

fn find_files(drive: &Drive, io: &Io, folder: u8, found: &mut Found) -> io::Result<()> {
    for file in fs::read_dir(drive.chunk_folder(folder))? {
        let file = file?;
        let Some(entry) = file.file_name().to_str().and_then(names::parse) else {
            let path = file.path();
            tracing::warn!(path = %path.display(), "a foreign file among the chunks is left");
            continue;
        };
        found.take(drive, io, Located { entry, place: Place::File })?;
    }
    Ok(())
}

/// Goes through the segments from the newest to the oldest: a tombstone never stands in an
/// older segment than the record that it buries.
fn find_segments(drive: &Drive, io: &Io, found: &mut Found) -> io::Result<()> {
    let mut numbers = Vec::new();
    for file in fs::read_dir(drive.segments())? {
        let name = file?.file_name();
        if let Some(number) = name.to_str().and_then(parse_file_name) {
            numbers.push(number);
        } else {
            tracing::warn!(?name, "a foreign file among the segments is left");
        }
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    // All are known before any tombstone is counted, which asks whether its target is there.
    for number in &numbers {
        found.segments.add(*number, Segment::default());
    }
    let newest = numbers.first().copied();
    found.next_segment = newest.unwrap_or(0) + 1;
    let mut dead = HashSet::new();
    for number in numbers {
        let contents = open_segment(drive, io, number, Some(number) == newest, found)?;
        if contents.rotten_runs > 0 {
            tracing::error!(
                segment.number = number,
                run_count = contents.rotten_runs,
                "a segment has rotten records; heal will see them missing or damaged"
            );
        }
        take_entries(drive, io, number, &contents.entries, &mut dead, found)?;
    }
    Ok(())
}

fn open_segment(
    drive: &Drive,
    io: &Io,
    number: u32,
    newest: bool,
    found: &mut Found,
) -> io::Result<Contents> {
    let path = found.segments.path(number);
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let contents = scan(&file, number, newest, drive.key())?;
    let mut size_bytes = file.metadata()?.len();
    if newest && !contents.indexed {
        if size_bytes > contents.end {
            tracing::info!(
                segment.number = number,
                cut_bytes = size_bytes - contents.end,
                "the unsynced end of the newest segment is cut"
            );
            io.truncate(&file, contents.end)?;
            io.sync_data(&file)?;
            size_bytes = contents.end;
        }
        found.seal_active = contents.torn_inside;
        found.active = Some(Active {
            number,
            file: Arc::new(file),
            end: contents.end,
            batch: u32::try_from(contents.last_batch & u64::from(u32::MAX)).unwrap_or(0),
            entries: contents.entries.clone(),
        });
    }
    let sealed = !newest || contents.indexed;
    found.segments.change(number, |segment| {
        segment.size_bytes = size_bytes;
        segment.sealed = sealed;
    });
    Ok(contents)
}

/// Takes the chunks of one segment; the tombstones in it bury records of its own, too.
fn take_entries(
    drive: &Drive,
    io: &Io,
    number: u32,
    entries: &[IndexEntry],
    dead: &mut HashSet<(u32, u32)>,
    found: &mut Found,
) -> io::Result<()> {
    for entry in entries {
        if let Subject::Tombstone { segment, offset } = entry.header.subject {
            dead.insert((segment, offset));
            found.segments.count_tombstone(number, segment);
        }
        found.highest_copy = found.highest_copy.max(entry.header.copy.0);
    }
    for IndexEntry { header, offset } in entries {
        let Subject::Chunk { writer, cell_bytes, body_bytes } = header.subject else { continue };
        let geometry = Geometry::from_body(cell_bytes, u64::from(body_bytes));
        let Some(geometry) = geometry.filter(|_| !dead.remove(&(number, *offset))) else {
            continue;
        };
        let entry = entry(header.name, writer, header.copy, geometry);
        found.take(
            drive,
            io,
            Located { entry, place: Place::Segment { segment: number, offset: *offset } },
        )?;
    }
    Ok(())
}

impl Found {
    /// Takes a chunk unless a newer copy of it is known. What loses was left by a crash between
    /// a new copy and the removal of the old one, and is removed now.
    fn take(&mut self, drive: &Drive, io: &Io, located: Located) -> io::Result<()> {
        self.highest_copy = self.highest_copy.max(located.entry.copy.0);
        let known = self.index.get(located.entry.name);
        let newest = known.is_none_or(|known| known.entry.copy < located.entry.copy);
        let loser = if newest { self.index.insert(&located) } else { Some(located) };
        if newest {
            self.segments.count_live(&located);
        }
        let Some(loser) = loser else { return Ok(()) };
        if newest {
            self.segments.count_dead(&loser);
        }
        if loser.place != Place::File {
            self.segments.bury_record_of(&loser);
            return Ok(());
        }
        let folder = drive.chunk_folder(names::folder(loser.entry.name));
        io.remove(&folder.join(names::file_name(&loser.entry)))
    }
}
