//! The files of the copies: made, named, and found again.

use super::super::Cluster;
use super::super::error::{IoContext, PostgresError};
use super::wal::{self, Segment};
use super::{Place, Seat, sync_dir};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a copy's directory is called below a DIR.
const NAME: &str = "meta-copy";

/// What says which copy it is.
const NOTE: &str = "copy.json";

/// The version of everything in the directory.
const FORMAT: u64 = 1;

/// What a base backup's name begins with; its first segment follows.
const BASE: &str = "base-";

/// The note.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) seat: Seat,
    /// PostgreSQL's own name for the database that is copied.
    pub(super) database: String,
}

impl Note {
    /// What is noted below a DIR; none when nothing was ever copied there.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, PostgresError> {
        let file = dir.join(NAME).join(NOTE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &file),
        };
        let note = Self::parse(&text);
        note.map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)).at("use", &file)
    }

    fn parse(text: &str) -> Option<Self> {
        let note: serde_json::Value = serde_json::from_str(text).ok()?;
        if note["format"] != FORMAT {
            return None;
        }
        let seat = Seat::numbered(note["seat"].as_u64()?)?;
        Some(Self { seat, database: note["database"].as_str()?.to_owned() })
    }

    fn write(&self, dir: &Path) -> Result<(), PostgresError> {
        let (file, new) = (dir.join(NOTE), dir.join("copy.new"));
        let text = serde_json::json!({
            "format": FORMAT, "seat": self.seat.number(), "database": self.database,
        });
        std::fs::write(&new, format!("{text}\n")).at("write", &new)?;
        std::fs::File::open(&new).and_then(|file| file.sync_all()).at("sync", &new)?;
        std::fs::rename(&new, &file).at("write", &file)?;
        sync_dir(dir)
    }
}

/// Which copy is below a DIR, if any can be told.
pub fn seat_at(dir: &Path) -> Option<Seat> {
    Note::read(dir).ok().flatten().map(|note| note.seat)
}

/// One generation of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

impl Generation {
    /// Where the receiver writes.
    pub(super) fn wal(&self) -> PathBuf {
        self.path.join("wal")
    }

    /// Where a base backup grows.
    pub(super) fn new_base(&self) -> PathBuf {
        self.path.join("base.new")
    }

    /// Where one is that begins with a segment.
    pub(super) fn base(&self, first: Segment) -> PathBuf {
        self.path.join(format!("{BASE}{}", first.name()))
    }

    /// The complete base backups, oldest first.
    pub(super) fn bases(&self) -> Result<BTreeMap<Segment, PathBuf>, PostgresError> {
        let names = entries(&self.path)?.into_iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((Segment::parse(name.strip_prefix(BASE)?)?, path))
        });
        Ok(names.collect())
    }

    /// The WAL in one of its base backups and what was received; of a segment that is in both, the
    /// finished one.
    pub(super) fn segments(
        &self,
        base: &Path,
    ) -> Result<BTreeMap<Segment, PathBuf>, PostgresError> {
        let mut segments = wal::segments(&base.join("pg_wal")).at("read", base)?;
        for (segment, path) in wal::segments(&self.wal()).at("read", &self.path)? {
            let is_finished = path.extension().is_none();
            if is_finished || !segments.contains_key(&segment) {
                segments.insert(segment, path);
            }
        }
        Ok(segments)
    }
}

/// Makes a copy's directories, unless they are there, and notes whose copy it is. One of another
/// database is refused: it may be all that is left of it.
pub(super) async fn prepare(
    cluster: &Cluster,
    place: &Place,
    database: &str,
) -> Result<PathBuf, PostgresError> {
    let dir = place.dir.join(NAME);
    let note = Note { seat: place.seat, database: database.to_owned() };
    let found = Note::read(&place.dir)?;
    if found.as_ref().is_some_and(|found| found.database != note.database) {
        return Err(PostgresError::OtherCopy { dir });
    }
    if !dir.exists() {
        // The database's account passes through it, and nobody needs to list it.
        std::fs::DirBuilder::new().mode(0o711).create(&dir).at("create", &dir)?;
        super::super::set_mode(&dir, 0o711)?;
        sync_dir(&place.dir)?;
    }
    let own = dir.join("postgres");
    make(cluster, &own)?;
    if found.as_ref() != Some(&note) {
        note.write(&dir)?;
    }
    let own = own.canonicalize().at("resolve", &own)?;
    cluster.account.check_reach(&own, &cluster.binaries).await?;
    Ok(own)
}

/// Makes the next generation below the account's own directory.
pub(super) fn next_generation(cluster: &Cluster, own: &Path) -> Result<Generation, PostgresError> {
    let number = generations(own)?.last().map_or(1, |last| last.number + 1);
    let generation = Generation { number, path: own.join(number.to_string()) };
    make(cluster, &generation.path)?;
    make(cluster, &generation.wal())?;
    Ok(generation)
}

/// All generations, oldest first.
pub(super) fn generations(own: &Path) -> Result<Vec<Generation>, PostgresError> {
    let mut found: Vec<_> = entries(own)?
        .into_iter()
        .filter_map(|path| {
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some(Generation { number, path })
        })
        .collect();
    found.sort_by_key(|generation| generation.number);
    Ok(found)
}

/// A private directory of the database's account.
fn make(cluster: &Cluster, dir: &Path) -> Result<(), PostgresError> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error).at("create", dir),
    }
    cluster.account.give(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, PostgresError> {
    let entries = std::fs::read_dir(dir).at("read", dir)?;
    entries.map(|entry| entry.map(|entry| entry.path()).at("read", dir)).collect()
}

/// A copy from which the database can be made anew.
#[derive(Clone, Debug)]
pub(in super::super) struct CopyFound {
    /// The DIR that it is below.
    pub(in super::super) dir: PathBuf,
    /// PostgreSQL's own name for the database that was copied.
    pub(in super::super) database: String,
    /// The base backup.
    pub(in super::super) base: PathBuf,
    /// When that was complete.
    pub(in super::super) taken: SystemTime,
    /// The files of the WAL from the base backup to the end.
    pub(in super::super) wal: Vec<(Segment, PathBuf)>,
    /// The histories of the timelines, which a replay across a former recovery needs.
    pub(in super::super) histories: Vec<PathBuf>,
    /// The last segment without a gap before it, and the bytes that are written in it. The
    /// greatest is the newest copy.
    pub(in super::super) end: (Segment, u64),
}

/// All that is below these DIRs, the newest first. A DIR that can't be read is said and passed
/// over: it may be the lost drive.
pub(in super::super) fn find(dirs: &[PathBuf]) -> Vec<CopyFound> {
    let mut found = Vec::new();
    for dir in dirs {
        match find_below(dir) {
            Ok(copies) => found.extend(copies),
            Err(error) => tracing::warn!("no copy of the metadata can be told: {error}"),
        }
    }
    found.sort_by_key(|copy| std::cmp::Reverse(copy.end));
    found
}

fn find_below(dir: &Path) -> Result<Vec<CopyFound>, PostgresError> {
    let Some(note) = Note::read(dir)? else { return Ok(Vec::new()) };
    let own = dir.join(NAME).join("postgres");
    let mut found = Vec::new();
    for generation in generations(&own)? {
        for (first, base) in generation.bases()? {
            let segments = generation.segments(&base)?;
            let end = wal::end_of(&segments, first).at("read", &generation.path)?;
            let Some(end) = end else { continue };
            let taken = std::fs::metadata(base.join("backup_manifest"))
                .and_then(|manifest| manifest.modified())
                .at("look at", &base)?;
            let is_history = |path: &PathBuf| path.extension().is_some_and(|it| it == "history");
            found.push(CopyFound {
                dir: dir.to_owned(),
                database: note.database.clone(),
                base,
                taken,
                wal: segments.range(first..=end.0).map(|(s, path)| (*s, path.clone())).collect(),
                histories: entries(&generation.wal())?.into_iter().filter(is_history).collect(),
                end,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Seat;
    use super::{Generation, NAME, Note, find, generations};
    use std::path::Path;

    /// A copy below a DIR, whose last segment holds so many bytes.
    fn copy(dir: &Path, generation: &str, bytes: usize) {
        let own = dir.join(NAME).join("postgres");
        let base = own.join(generation).join("base-000000010000000000000006");
        std::fs::create_dir_all(base.join("pg_wal")).unwrap();
        std::fs::create_dir_all(own.join(generation).join("base.new")).unwrap();
        std::fs::create_dir_all(own.join(generation).join("wal")).unwrap();
        std::fs::write(base.join("backup_manifest"), "").unwrap();
        std::fs::write(base.join("pg_wal/000000010000000000000006"), "full").unwrap();
        let wal = own.join(generation).join("wal");
        std::fs::write(wal.join("000000010000000000000006.partial"), "f").unwrap();
        std::fs::write(wal.join("000000010000000000000007.partial"), vec![1; bytes]).unwrap();
        let note = Note { seat: Seat::ALL[0], database: "7".to_owned() };
        note.write(&dir.join(NAME)).unwrap();
    }

    #[test]
    fn the_newest_copy_comes_first() {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = ["a", "b", "c"].map(|name| temporary.path().join(name));
        dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        copy(&dirs[0], "1", 100);
        copy(&dirs[1], "2", 300);
        copy(&dirs[1], "10", 200);
        let found = find(&dirs);
        let ends: Vec<_> = found.iter().map(|copy| copy.end.1).collect();
        assert_eq!(ends, [300, 200, 100]);
        assert_eq!(found[0].dir, dirs[1]);
        assert!(found[0].wal[0].1.ends_with("pg_wal/000000010000000000000006"));
        let own = dirs[1].join(NAME).join("postgres");
        let numbers: Vec<_> = generations(&own).unwrap().iter().map(|g| g.number).collect();
        assert_eq!(numbers, [2, 10], "by number, not by name");
    }

    #[test]
    fn a_base_backup_that_is_being_taken_does_not_count() {
        let temporary = tempfile::tempdir().unwrap();
        let generation = Generation { number: 1, path: temporary.path().to_owned() };
        std::fs::create_dir(generation.new_base()).unwrap();
        assert!(generation.bases().unwrap().is_empty());
    }

    #[test]
    fn notes_of_another_format_are_not_understood() {
        assert!(Note::parse(r#"{"format":2,"seat":1,"database":"7"}"#).is_none());
        assert!(Note::parse(r#"{"format":1,"seat":3,"database":"7"}"#).is_none());
        let note = Note::parse(r#"{"format":1,"seat":2,"database":"7"}"#).unwrap();
        assert_eq!(note, Note { seat: Seat::ALL[1], database: "7".to_owned() });
    }
}
