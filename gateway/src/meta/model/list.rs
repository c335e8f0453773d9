//! The rule of all lists of keys.

use crate::meta::types::{ListQuery, Page};

/// A page out of `entries`, which come in order with their keys. `continues` says of an entry of
/// the key `query.after` whether it is behind the last one shown.
pub(super) fn page<T>(
    entries: impl Iterator<Item = (String, T)>,
    query: &ListQuery,
    continues: impl Fn(&T) -> bool,
) -> Page<T> {
    let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), is_truncated: false };
    if query.limit == 0 {
        return page;
    }
    for (key, entry) in entries.filter(|(key, _)| key.starts_with(&query.prefix)) {
        let common = common_prefix(&key, query);
        let is_shown_before = match (&query.after, &common) {
            (None, _) => false,
            (Some(after), Some(common)) => common <= after,
            (Some(after), None) => key < *after || (key == *after && !continues(&entry)),
        };
        if is_shown_before || (common.is_some() && page.prefixes.last() == common.as_ref()) {
            continue;
        }
        if page.entries.len() + page.prefixes.len() == query.limit {
            page.is_truncated = true;
            return page;
        }
        match common {
            Some(common) => page.prefixes.push(common),
            None => page.entries.push(entry),
        }
    }
    page
}

/// What a key is rolled up to: up to and with the first delimiter after the prefix.
fn common_prefix(key: &str, query: &ListQuery) -> Option<String> {
    let delimiter = query.delimiter.as_deref()?;
    let at = key[query.prefix.len()..].find(delimiter)?;
    Some(key[..query.prefix.len() + at + delimiter.len()].to_owned())
}
