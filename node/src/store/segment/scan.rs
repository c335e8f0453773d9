//! Reading a segment: by the index at its end, or, where there is none, record by record.
//!
//! A record that can't be believed is either *torn* (a crash came before its sync, so nobody
//! was told that it is durable) or *rotten*. It is torn only if it is in the last batch of the
//! newest segment: a later valid batch proves that the sync before it had succeeded.

use crate::store::format::{
    DriveKey, HEADER_BYTES, Header, INDEX_ENTRY_BYTES, IndexEntry, RECORD_ALIGNMENT, SEAL_BYTES,
    Seal, Subject, TRAILER_BYTES, Trailer,
};
use crate::store::io::read_at;
use std::fs::File;
use std::io;
use twox_hash::XxHash3_64;

/// What a segment holds.
#[derive(Debug, Default)]
pub(in crate::store) struct Contents {
    /// Its records in order; also rotten ones whose header is whole, so that a read of them
    /// says "damaged" and not "not found".
    pub(in crate::store) entries: Vec<IndexEntry>,
    /// Where the last of them ends.
    pub(in crate::store) end: u64,
    /// Whether the index at the end was read.
    pub(in crate::store) indexed: bool,
    /// The last batch found.
    pub(in crate::store) last_batch: u64,
    /// Runs of bytes that hold rotten records.
    pub(in crate::store) rotten_runs: usize,
    /// Whether a torn record stands before a whole one.
    pub(in crate::store) torn_inside: bool,
}

/// Reads the segment `number`; `newest` allows for a torn end.
pub(in crate::store) fn scan(
    file: &File,
    number: u32,
    newest: bool,
    key: DriveKey,
) -> io::Result<Contents> {
    if let Some(contents) = by_index(file, number)? {
        return Ok(contents);
    }
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let bytes = read_at(file, 0, length)?;
    Ok(by_record(&bytes, number, newest, key))
}

fn by_index(file: &File, number: u32) -> io::Result<Option<Contents>> {
    let length = file.metadata()?.len();
    let Some(start) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let trailer = Trailer::decode(&read_at(file, start, TRAILER_BYTES)?);
    let Some(trailer) = trailer.filter(|trailer| trailer.segment == number) else {
        return Ok(None);
    };
    let bytes = trailer.entry_count as usize * INDEX_ENTRY_BYTES;
    if u64::from(trailer.offset) + bytes as u64 != start {
        return Ok(None);
    }
    let index = read_at(file, u64::from(trailer.offset), bytes)?;
    Ok(trailer.entries(&index).map(|entries| Contents {
        entries,
        end: u64::from(trailer.offset),
        indexed: true,
        ..Contents::default()
    }))
}

/// A run of bytes that is no whole record.
struct BadRun {
    /// The record whose header is whole but whose rest is not.
    entry: Option<IndexEntry>,
    /// How many whole records stand before it.
    position: usize,
}

fn by_record(bytes: &[u8], number: u32, newest: bool, key: DriveKey) -> Contents {
    let mut whole: Vec<IndexEntry> = Vec::new();
    let mut bad: Vec<BadRun> = Vec::new();
    let mut end = 0;
    let mut at = 0;
    let mut lost = false;
    while at + HEADER_BYTES <= bytes.len() {
        let header = Header::decode(&bytes[at..], key);
        let header = header.filter(|header| header.batch >> 32 == u64::from(number));
        let sized = header.and_then(|header| Some((header, header.record_bytes()?)));
        let Some((header, length)) = sized else {
            if !lost {
                bad.push(BadRun { entry: None, position: whole.len() });
            }
            lost = true;
            at += RECORD_ALIGNMENT;
            continue;
        };
        lost = false;
        let entry = IndexEntry { header, offset: u32::try_from(at).unwrap_or(u32::MAX) };
        match bytes.get(at..at + length) {
            Some(record) if is_whole(record, &header) => {
                whole.push(entry);
                end = at + length;
            }
            _ => bad.push(BadRun { entry: Some(entry), position: whole.len() }),
        }
        at += length;
    }
    judge(whole, bad, end as u64, newest)
}

/// Tells torn runs from rotten ones and adds the rotten records that can be named.
fn judge(whole: Vec<IndexEntry>, bad: Vec<BadRun>, end: u64, newest: bool) -> Contents {
    let last_batch = whole.last().map_or(0, |entry| entry.header.batch);
    let mut contents = Contents { end, last_batch, ..Contents::default() };
    let mut named = Vec::new();
    for run in bad {
        let following = whole.get(run.position).map(|entry| entry.header.batch);
        let batch = run.entry.map(|entry| entry.header.batch).or(following);
        let rotten = !newest || batch.is_some_and(|batch| batch < last_batch);
        if rotten {
            contents.rotten_runs += 1;
            named.extend(run.entry);
        } else {
            contents.torn_inside |= following.is_some();
        }
    }
    contents.entries = whole;
    contents.entries.extend(named);
    contents.entries.sort_unstable_by_key(|entry| entry.offset);
    contents
}

/// Whether a record's seal is there and closes just these cells.
pub(in crate::store) fn is_whole(record: &[u8], header: &Header) -> bool {
    let Subject::Chunk { body_bytes, .. } = header.subject else { return true };
    let body_end = HEADER_BYTES + body_bytes as usize;
    let (Some(body), Some(seal)) =
        (record.get(HEADER_BYTES..body_end), record.get(body_end..body_end + SEAL_BYTES))
    else {
        return false;
    };
    Seal::decode(seal, header.name, header.copy)
        .is_some_and(|seal| seal.content == XxHash3_64::oneshot(body))
}
