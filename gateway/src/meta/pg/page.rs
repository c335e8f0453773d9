//! The lists of keys: which page is asked for, and how its rows are put together: entries and
//! common prefixes, and whether more follows.

use super::super::Result;
use super::super::types::{ListQuery, Page};
use super::columns::{limit_and_one, text_from};

/// Which page is asked for, as the functions of the migrations take it.
pub(super) struct Asked<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) delimiter: Option<&'a [u8]>,
    pub(super) after: Option<&'a [u8]>,
    /// One more than the page holds, which says whether more follows.
    pub(super) limit: i32,
}

impl<'a> Asked<'a> {
    pub(super) fn of(query: &'a ListQuery) -> Self {
        Self {
            prefix: query.prefix.as_bytes(),
            delimiter: query.delimiter.as_deref().map(str::as_bytes),
            after: query.after.as_deref().map(str::as_bytes),
            limit: limit_and_one(query.limit),
        }
    }
}

/// One row of a list.
pub(super) trait Listed: Sized {
    /// What is listed.
    type Entry;

    /// The common prefix that it stands for; `None`: it is an entry.
    fn common_prefix(&mut self) -> Option<Vec<u8>>;

    fn entry(self) -> Result<Self::Entry>;
}

/// The page out of up to `limit` + 1 rows.
pub(super) fn page<R: Listed>(rows: Vec<R>, limit: usize) -> Result<Page<R::Entry>> {
    let mut page =
        Page { entries: Vec::new(), prefixes: Vec::new(), is_truncated: rows.len() > limit };
    for mut row in rows.into_iter().take(limit) {
        match row.common_prefix() {
            Some(prefix) => page.prefixes.push(text_from(prefix)?),
            None => page.entries.push(row.entry()?),
        }
    }
    Ok(page)
}

/// What a list of nothing answers.
pub(super) fn empty<T>() -> Page<T> {
    Page { entries: Vec::new(), prefixes: Vec::new(), is_truncated: false }
}
