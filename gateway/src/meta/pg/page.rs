//! Puts the rows of a list together: entries and common prefixes, and whether more follows.

use super::super::Result;
use super::super::types::Page;
use super::columns::text_from;

/// One row of a list.
pub(super) enum Listed<T> {
    /// An entry.
    Entry(T),
    /// A common prefix.
    Prefix(Vec<u8>),
}

/// The page out of up to `limit` + 1 rows.
pub(super) fn page<T>(rows: Vec<Listed<T>>, limit: usize) -> Result<Page<T>> {
    let mut page =
        Page { entries: Vec::new(), prefixes: Vec::new(), is_truncated: rows.len() > limit };
    for row in rows.into_iter().take(limit) {
        match row {
            Listed::Entry(entry) => page.entries.push(entry),
            Listed::Prefix(prefix) => page.prefixes.push(text_from(prefix)?),
        }
    }
    Ok(page)
}

/// What a list of nothing answers.
pub(super) fn empty<T>() -> Page<T> {
    Page { entries: Vec::new(), prefixes: Vec::new(), is_truncated: false }
}
