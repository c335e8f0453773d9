//! The database's history, and what nodes keep when it went back.

use super::state::State;
use crate::chance;
use crate::meta::Result;
use crate::meta::types::Quarantine;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::name::{CopyNumber, NodeNumber};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The marks, and what each node keeps.
#[derive(Debug, Default)]
pub(super) struct History {
    marks: Vec<(Mark, OffsetDateTime)>,
    kept: BTreeMap<NodeNumber, Kept>,
}

#[derive(Debug)]
struct Kept {
    copy: CopyNumber,
    since: OffsetDateTime,
    counted: Option<(u64, u64)>,
    released: CopyNumber,
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn witness(
    state: &mut State,
    node: NodeNumber,
    marks: &[Mark],
    kept: CopyNumber,
    is_first: bool,
) -> Result<Witnessed> {
    let now = state.now();
    let history = &mut state.history;
    let newest = history.marks.last().copied();
    let is_due = newest.is_none_or(|(_, made)| now - made > time::Duration::MINUTE);
    let number = newest.map_or(0, |(mark, _)| mark.number);
    let mark = match newest {
        Some((mark, _)) if !is_first && !is_due => mark,
        _ => Mark { number: number + 1, tag: chance::uuid() },
    };
    if newest.is_none_or(|(newest, _)| newest != mark) {
        history.marks.push((mark, now));
    }
    if kept == CopyNumber(0) {
        history.kept.remove(&node);
    } else {
        let new = || Kept { copy: kept, since: now, counted: None, released: CopyNumber(0) };
        let row = history.kept.entry(node).or_insert_with(new);
        if row.copy != kept {
            (row.copy, row.counted) = (kept, None);
        }
    }
    let is_known = |mark: &&Mark| history.marks.iter().any(|(known, _)| known == *mark);
    let known = marks.iter().filter(is_known).copied().collect();
    let released = history.kept.get(&node).map_or(CopyNumber(0), |row| row.released);
    Ok(Witnessed { mark, known, released })
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn is_recent(state: &mut State, mark: Mark) -> Result<bool> {
    let since = state.now() - time::Duration::minutes(5);
    Ok(state.history.marks.iter().any(|(known, made)| *known == mark && *made > since))
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn count_quarantine(
    state: &mut State,
    node: NodeNumber,
    kept: CopyNumber,
    chunks: u64,
    bytes: u64,
) -> Result<()> {
    let row = state.history.kept.get_mut(&node);
    if let Some(row) = row.filter(|row| row.copy == kept) {
        row.counted = Some((chunks, bytes));
    }
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn quarantines(state: &mut State) -> Result<Vec<Quarantine>> {
    let now = state.now();
    let rows = state.history.kept.iter();
    Ok(rows
        .map(|(node, row)| Quarantine {
            node: *node,
            kept: row.copy,
            for_s: (now - row.since).as_seconds_f64(),
            chunks: row.counted.map(|(chunks, _)| chunks),
            bytes: row.counted.map(|(_, bytes)| bytes),
        })
        .collect())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn release_quarantine(
    state: &mut State,
    node: NodeNumber,
    kept: CopyNumber,
) -> Result<bool> {
    let row = state.history.kept.get_mut(&node).filter(|row| row.copy == kept);
    Ok(row.map(|row| row.released = kept).is_some())
}
