//! The names of WAL segments: 8 hexadecimal digits of the timeline, 16 of the segment. Segments
//! have 16 MiB, what `initdb` gives them unless told otherwise.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a segment.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;

/// Segments below the upper half of a segment's number.
const PER_UPPER: u64 = 256;

/// What the newest, unfinished segment's name ends with.
const PARTIAL: &str = ".partial";

/// How much is read at once in search of a segment's end.
const PIECE_BYTES: usize = 64 << 10;

/// One segment of one timeline; ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Segment {
    timeline: u32,
    number: u64,
}

impl Segment {
    /// Reads a file's name, with or without `.partial`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.strip_suffix(PARTIAL).unwrap_or(name);
        if name.len() != 24 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let part = |from: usize| u32::from_str_radix(&name[from..from + 8], 16).ok();
        let (timeline, upper, lower) = (part(0)?, part(8)?, part(16)?);
        let number = u64::from(upper) * PER_UPPER + u64::from(lower);
        (u64::from(lower) < PER_UPPER).then_some(Self { timeline, number })
    }

    /// The file's name when it is finished.
    pub(in super::super) fn name(self) -> String {
        let (upper, lower) = (self.number / PER_UPPER, self.number % PER_UPPER);
        format!("{:08X}{upper:08X}{lower:08X}", self.timeline)
    }

    /// Whether the log up to this position ends in this segment, or in an earlier one.
    pub(super) fn reaches(self, position: u64) -> bool {
        self.number >= position.saturating_sub(1) / SEGMENT_BYTES
    }

    fn follows(self, other: Self) -> bool {
        self.number == other.number + 1 && self.timeline >= other.timeline
    }
}

/// The segments in a directory, each with its file; a finished one wins over its `.partial`.
pub(super) fn segments(dir: &Path) -> io::Result<BTreeMap<Segment, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(segment) = Segment::parse(name) else { continue };
        if name.ends_with(PARTIAL) {
            found.entry(segment).or_insert(path);
        } else {
            found.insert(segment, path);
        }
    }
    Ok(found)
}

/// The last segment of a run without a gap, from `first` on, and its file. None when `first` itself
/// is missing.
pub(super) fn last_of(
    segments: &BTreeMap<Segment, PathBuf>,
    first: Segment,
) -> Option<(Segment, &Path)> {
    let mut last: Option<(Segment, &PathBuf)> = None;
    for (segment, path) in segments.range(first..) {
        match last {
            None if *segment != first => return None,
            Some((before, _)) if !segment.follows(before) => break,
            _ => last = Some((*segment, path)),
        }
    }
    last.map(|(segment, path)| (segment, path.as_path()))
}

/// How far such a run goes: its last segment and the bytes that are written in it.
pub(super) fn end_of(
    segments: &BTreeMap<Segment, PathBuf>,
    first: Segment,
) -> io::Result<Option<(Segment, u64)>> {
    let Some((segment, path)) = last_of(segments, first) else { return Ok(None) };
    Ok(Some((segment, written(path)?)))
}

/// Empties what a receiver that was killed while it laid a segment out, all zeros, left of it: the
/// next one takes an empty file or a whole one, and refuses anything between.
pub(super) fn empty_unfinished(dir: &Path) -> io::Result<()> {
    for path in segments(dir)?.into_values() {
        let bytes = path.metadata()?.len();
        let is_part = bytes > 0 && bytes < SEGMENT_BYTES;
        if is_part && path.extension().is_some_and(|name| name == "partial") && written(&path)? == 0
        {
            File::options().write(true).open(&path)?.set_len(0)?;
        }
    }
    Ok(())
}

/// The bytes of a segment up to its last one that is not zero: what is not written yet is zero.
fn written(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let mut piece = vec![0; PIECE_BYTES];
    while end > 0 {
        let from = end.saturating_sub(PIECE_BYTES as u64);
        let read = &mut piece[..(end - from) as usize];
        file.read_exact_at(read, from)?;
        if let Some(last) = read.iter().rposition(|byte| *byte != 0) {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::{SEGMENT_BYTES, Segment, empty_unfinished, end_of, segments};

    fn segment(name: &str) -> Segment {
        Segment::parse(name).unwrap()
    }

    #[test]
    fn names_are_read_written_and_ordered() {
        for name in ["000000010000000000000006", "0000000A00000012000000FF"] {
            assert_eq!(segment(name).name(), name);
            assert_eq!(segment(&format!("{name}.partial")), segment(name));
        }
        for other in ["00000002.history", "000000010000000000000100", "archive_status", "é"] {
            assert_eq!(Segment::parse(other), None, "{other}");
        }
        let last = segment("0000000100000000000000FF");
        assert!(segment("000000010000000100000000").follows(last));
        assert!(segment("000000020000000100000000").follows(last));
        assert!(!segment("000000010000000100000001").follows(last));
        assert!(last < segment("000000010000000100000000"));
    }

    #[test]
    fn a_run_ends_at_a_gap_and_in_the_bytes_of_its_last_segment() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, written: usize| {
            let mut bytes = vec![7; written];
            bytes.resize(200_000, 0);
            std::fs::write(dir.path().join(name), bytes).unwrap();
        };
        put("000000010000000000000006", 200_000);
        put("000000010000000000000007.partial", 150_001);
        put("00000002.history", 3);
        let first = segment("000000010000000000000006");
        let end = || end_of(&segments(dir.path()).unwrap(), first).unwrap();
        assert_eq!(end(), Some((segment("000000010000000000000007"), 150_001)));
        let last = segment("000000010000000000000007");
        assert!(last.reaches(0) && last.reaches(8 * SEGMENT_BYTES));
        assert!(!last.reaches(8 * SEGMENT_BYTES + 1));
        put("000000010000000000000009", 200_000);
        assert_eq!(end(), Some((segment("000000010000000000000007"), 150_001)));
        put("000000010000000000000007", 0);
        assert_eq!(end(), Some((segment("000000010000000000000007"), 0)));
        let earlier = segment("000000010000000000000005");
        assert_eq!(end_of(&segments(dir.path()).unwrap(), earlier).unwrap(), None);
    }

    #[test]
    fn a_segment_that_was_being_laid_out_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8], size: u64| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        };
        put("000000010000000000000004", b"", 4096);
        put("000000010000000000000005.partial", b"", 4096);
        put("000000010000000000000006.partial", b"", SEGMENT_BYTES);
        put("000000010000000000000007.partial", b"WAL", 4096);
        empty_unfinished(dir.path()).unwrap();
        let sizes = segments(dir.path()).unwrap().into_values();
        let sizes = sizes.map(|path| path.metadata().unwrap().len()).collect::<Vec<_>>();
        assert_eq!(sizes, [4096, 0, SEGMENT_BYTES, 4096]);
    }
}
