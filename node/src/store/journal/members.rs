//! Who needs a journal: the drives in whose segments something may be missing that it has.
//!
//! ```text
//! FOLDER/ID/log       the batches of the journal ID, see `format`
//! FOLDER/ID/MEMBER    empty; a drive that may need them
//! DRIVE/needs-journal "sixfold journal", the version of `format`, and ID, MEMBER and FOLDER
//! ```
//!
//! A drive has its mark before the journal has anything of it, and until its segments are synced.
//! A new journal is begun at each start, and each drive is a new member when it is opened: what
//! stands in a journal can mean no other segments than those that it was written for. The last
//! member takes its journal away.

use super::format::{ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, PieceHeader, VERSION};
use crate::store::OpenError;
use crate::store::drive::{Drive, replace_file};
use crate::store::io::{Io, read_at};
use crate::store::segment::{SEGMENT_BYTES, file_name};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The mark in a drive's directory.
const MARK: &str = "needs-journal";
const MARK_TITLE: &str = "sixfold journal";
/// The batches, in a journal's folder.
pub(super) const LOG: &str = "log";

/// What a drive's mark says.
pub(in crate::store) struct Mark {
    journal: Uuid,
    member: Uuid,
    /// Where the journals were when it was written; told, not relied on.
    folder: String,
}

impl Mark {
    pub(super) fn read(root: &Path) -> Result<Option<Self>, OpenError> {
        let text = match fs::read_to_string(root.join(MARK)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(root, error)),
        };
        let path = root.to_owned();
        let journal = || PathBuf::from("that its mark does not name");
        match Self::parse(&text) {
            Some((VERSION, Some(mark))) => Ok(Some(mark)),
            Some((found, _)) if found != VERSION => {
                Err(OpenError::Version { path, found, known: VERSION })
            }
            _ => Err(OpenError::NoJournal { path, journal: journal() }),
        }
    }

    /// The version, and what is said in the one that is known.
    fn parse(text: &str) -> Option<(u16, Option<Self>)> {
        let mut lines = text.lines();
        (lines.next()? == MARK_TITLE).then_some(())?;
        let mut field = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let version = field("version")?.parse().ok()?;
        let mut mark = || {
            let (journal, member) = (field("id")?.parse().ok()?, field("member")?.parse().ok()?);
            Some(Self { journal, member, folder: field("folder")?.to_owned() })
        };
        Some((version, mark()))
    }
}

/// The folder of one journal.
pub(super) fn home(folder: &Path, journal: Uuid) -> PathBuf {
    folder.join(journal.to_string())
}

/// Writes into a drive's segments what its mark says that they may lack; to be synced by the
/// caller. `folder` has the journals. Answers the mark.
pub(in crate::store) fn restore(
    drive: &Drive,
    folder: Option<&Path>,
    io: &Io,
) -> Result<Option<Mark>, OpenError> {
    let Some(mark) = Mark::read(drive.root())? else { return Ok(None) };
    let fail = |error| OpenError::io(drive.root(), error);
    let log = folder.map(|folder| home(folder, mark.journal).join(LOG));
    let log = match log.map(File::open) {
        Some(Ok(log)) => log,
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {
            let journal = home(Path::new(&mark.folder), mark.journal);
            return Err(OpenError::NoJournal { path: drive.root().to_owned(), journal });
        }
    };
    let replayed = replay(&log, &mark, drive, io).map_err(fail)?;
    tracing::info!(
        path = %drive.root().display(),
        journal.id = %mark.journal,
        piece_count = replayed.pieces,
        "the last stop was no clean one: a drive's segments were completed from the journal"
    );
    if replayed.damaged_batches > 0 {
        tracing::error!(
            path = %drive.root().display(),
            journal.id = %mark.journal,
            batch_count = replayed.damaged_batches,
            "batches in the journal are damaged: the last chunks may be missing; heal will see"
        );
    }
    Ok(Some(mark))
}

/// Makes a drive whose segments lack nothing a member of a journal; any mark that it has gives
/// way. Answers what the journal calls it.
pub(super) fn join(
    drive: &Drive,
    folder: &Path,
    journal: Uuid,
    io: &Io,
) -> Result<Uuid, OpenError> {
    let fail = |error| OpenError::io(drive.root(), error);
    let member = Uuid::new_v4();
    let home = home(folder, journal);
    let names = io.open_directory(&home).map_err(fail)?;
    io.create(&home.join(member.to_string())).map_err(fail)?;
    io.sync_directory(&names).map_err(fail)?;
    let place = folder.canonicalize().map_err(fail)?;
    let place = place.display();
    let named = format!("id {journal}\nmember {member}\nfolder {place}\n");
    let text = format!("{MARK_TITLE}\nversion {VERSION}\n{named}");
    replace_file(drive.root(), MARK, text.as_bytes(), io).map_err(fail)?;
    Ok(member)
}

/// Where a drive's mark stands.
pub(super) fn mark_of(drive: &Drive) -> PathBuf {
    drive.root().join(MARK)
}

/// Takes away the mark of a drive whose segments lack nothing.
pub(super) fn leave(drive: &Drive, io: &Io) -> io::Result<()> {
    let names = io.open_directory(drive.root())?;
    io.remove(&mark_of(drive))?;
    io.sync_directory(&names)
}

impl Mark {
    /// Strikes out the member whose mark this was.
    pub(super) fn forget(&self, folder: &Path, io: &Io) {
        forget(folder, self.journal, self.member, io);
    }
}

/// Strikes out a member whose drive does not name it any more; a journal without any is removed.
/// What stays behind by a failure takes room and does no harm.
pub(super) fn forget(folder: &Path, journal: Uuid, member: Uuid, io: &Io) {
    let home = home(folder, journal);
    let removed =
        io.remove(&home.join(member.to_string())).and_then(|()| remove_unneeded(&home, io));
    if let Err(error) = removed {
        tracing::warn!(%error, path = %home.display(), "a journal stays behind");
    }
}

/// Removes the journals in `folder` that no drive needs, which a kill has left.
pub(super) fn remove_all_unneeded(folder: &Path, io: &Io) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(journal) = name.to_str().and_then(|name| name.parse().ok()) {
            remove_unneeded(&home(folder, journal), io)?;
        }
    }
    Ok(())
}

/// Removes a journal if no drive needs it.
pub(super) fn remove_unneeded(home: &Path, io: &Io) -> io::Result<()> {
    let others = match fs::read_dir(home) {
        Ok(files) => files.filter(|file| file.as_ref().is_ok_and(|f| f.file_name() != LOG)).count(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if others > 0 {
        return Ok(());
    }
    io.remove(&home.join(LOG))?;
    fs::remove_dir(home)
}

/// What a journal had for a drive.
#[derive(Default)]
pub(super) struct Replayed {
    /// Pieces that were written.
    pub(super) pieces: usize,
    /// Batches, of any drives, that should be there as a whole and are not.
    pub(super) damaged_batches: usize,
}

/// Writes a drive's whole pieces of all batches where they belong. A segment that is not there
/// was compacted away, after it was durable elsewhere.
pub(super) fn replay(log: &File, mark: &Mark, drive: &Drive, io: &Io) -> io::Result<Replayed> {
    let (mut at, mut replayed) = (0, Replayed::default());
    let (mut whole, mut newest) = (BTreeSet::new(), None);
    let end = log.metadata()?.len();
    while at < end {
        let Some((header, pieces)) = read_batch(log, at, mark.journal)? else {
            at += ALIGNMENT as u64;
            continue;
        };
        let mut rest = &pieces[..];
        let mut is_whole = pieces.len() == header.bytes as usize;
        while !rest.is_empty() {
            let Some((piece, following)) = PieceHeader::split_first(rest) else {
                is_whole = false;
                break;
            };
            rest = following;
            is_whole &= piece.is_some();
            let theirs = piece.filter(|(header, _)| header.member == mark.member);
            if let Some((header, bytes)) = theirs {
                replayed.pieces += usize::from(write_piece(drive, &header, bytes, io)?);
            }
        }
        // Behind a damaged one the next may begin at any page.
        let size = if is_whole { BATCH_HEADER_BYTES + pieces.len() } else { 1 };
        at += size.next_multiple_of(ALIGNMENT) as u64;
        if is_whole {
            whole.insert(header.number);
            newest = newest.max(Some((header.number, header.oldest)));
        }
    }
    // Behind the newest whole one there may be one that was torn, which nobody was told of.
    if let Some((newest, oldest)) = newest {
        let is_missing = |number: &u64| !whole.contains(number);
        replayed.damaged_batches = (oldest..=newest).filter(is_missing).count();
    }
    Ok(replayed)
}

/// The batch at this place, if one of this journal begins there; of a torn one what there is.
fn read_batch(log: &File, at: u64, journal: Uuid) -> io::Result<Option<(BatchHeader, Vec<u8>)>> {
    let header = BatchHeader::decode(&read_at(log, at, BATCH_HEADER_BYTES)?);
    let Some(header) = header.filter(|header| header.journal == journal) else { return Ok(None) };
    let pieces = read_at(log, at + BATCH_HEADER_BYTES as u64, header.bytes as usize)?;
    Ok(Some((header, pieces)))
}

/// Writes one piece; whether its segment is there.
fn write_piece(drive: &Drive, piece: &PieceHeader, bytes: &[u8], io: &Io) -> io::Result<bool> {
    if u64::from(piece.offset) + bytes.len() as u64 > SEGMENT_BYTES {
        return Ok(false);
    }
    let path = drive.segments().join(file_name(piece.segment));
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => {
            io.write_all_at(&file, &mut [IoSlice::new(bytes)], u64::from(piece.offset))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
