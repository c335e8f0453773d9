//! How far a check is and what it counted: text in its row, for the process that goes on with it and
//! for the command that asked.

use crate::meta::types::NameCursor;
use serde::{Deserialize, Serialize};
use sixfold_proto::name::{ExtentId, NodeNumber};
use std::collections::BTreeMap;

/// A check's state. Fields are only ever added; a missing one has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckState {
    /// What it does now.
    pub phase: Phase,
    /// The last extent id that was compared, in hex.
    after: Option<String>,
    /// How far the naming of findings is.
    pub names_after: Option<NameCursor>,
    /// The last finding that was looked at again, in hex.
    settled_after: Option<String>,
    /// Findings of this pass that wait for heal.
    pub waiting: u64,
    /// Heal gets nowhere: the next pass is the last.
    pub gives_up: bool,
    /// About how many extents there are; 0 when that is not known.
    pub estimate: u64,
    /// Extents compared.
    pub extents: u64,
    /// Chunks that are where rows place them.
    pub present: u64,
    /// Chunks that are absent, and extents that lack any.
    pub absent: u64,
    /// Extents with chunks that are absent or marked missing.
    pub degraded: u64,
    /// Of those, extents with fewer chunks than a read needs.
    pub lost: u64,
    /// Extents with two chunks on a node although there are enough nodes.
    pub crowded: u64,
    /// Findings that were only counted: there are so many.
    pub unlisted: u64,
    /// Chunks that no row wants where they are, by node.
    pub unwanted: BTreeMap<u16, Unwanted>,
    /// Nodes that could not be asked, and why: what they have is not known.
    pub unreached: BTreeMap<u16, String>,
}

/// What a check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It compares the rows with what the nodes list.
    #[default]
    Compare,
    /// It looks for the names of what it found.
    Name,
    /// It waits for heal.
    Heal,
    /// It is over.
    Done,
}

/// Chunks that no row wants where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unwanted {
    /// Their writer may still commit them, or a running read may need them.
    pub held: Count,
    /// The next sweep deletes them.
    pub due: Count,
    /// Kept because the database went back in time.
    pub quarantined: Count,
}

/// Chunks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// How many.
    pub chunks: u64,
    /// Bytes of their cells.
    pub bytes: u64,
}

impl Count {
    /// Counts one more.
    pub fn add(&mut self, bytes: u64) {
        self.chunks += 1;
        self.bytes += bytes;
    }

    /// Adds what another page had.
    pub fn join(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }
}

impl Unwanted {
    /// Adds what another page had.
    pub fn join(&mut self, other: Self) {
        self.held.join(other.held);
        self.due.join(other.due);
        self.quarantined.join(other.quarantined);
    }
}

impl CheckState {
    /// What the row says; of a newer release, as far as it is understood.
    pub fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// For the row.
    pub fn to_text(&self) -> String {
        // Numbers, texts and nothing else: it can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The last extent that was compared.
    pub fn after(&self) -> Option<ExtentId> {
        extent(self.after.as_ref())
    }

    /// Goes on behind an extent.
    pub fn set_after(&mut self, extent: ExtentId) {
        self.after = Some(extent.to_string());
    }

    /// The last finding that was looked at again; `None` before the first of a pass.
    pub fn settled_after(&self) -> Option<ExtentId> {
        extent(self.settled_after.as_ref())
    }

    /// Goes on behind a finding, or with the next pass.
    pub fn set_settled_after(&mut self, finding: Option<ExtentId>) {
        self.settled_after = finding.map(|extent| extent.to_string());
    }

    /// Notes that a node can't be asked.
    pub fn give_up(&mut self, node: NodeNumber, why: impl Into<String>) {
        self.unreached.entry(node.0).or_insert_with(|| why.into());
    }

    /// Whether a node was given up.
    pub fn is_unreached(&self, node: NodeNumber) -> bool {
        self.unreached.contains_key(&node.0)
    }

    /// How far it is, from 0 to 1; `None` where that is not known.
    pub fn progress(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        let part = self.extents as f64 / self.estimate as f64;
        match self.phase {
            Phase::Compare if self.estimate > 0 => Some(part.min(0.99)),
            Phase::Compare => None,
            Phase::Name | Phase::Heal => Some(0.99),
            Phase::Done => Some(1.0),
        }
    }

    /// All that no row wants, over all nodes.
    pub fn unwanted_everywhere(&self) -> Unwanted {
        let mut sum = Unwanted::default();
        self.unwanted.values().for_each(|unwanted| sum.join(*unwanted));
        sum
    }
}

fn extent(text: Option<&String>) -> Option<ExtentId> {
    text.and_then(|text| u128::from_str_radix(text, 16).ok()).map(ExtentId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_from_its_row() {
        let mut state = CheckState { names_after: Some(NameCursor::start()), ..Default::default() };
        assert_eq!(CheckState::from_text("{}"), CheckState::default());
        assert_eq!((state.progress(), state.after()), (None, None));
        state.set_after(ExtentId(7 << 100));
        state.give_up(NodeNumber(3), "silent");
        state.give_up(NodeNumber(3), "late");
        state.unwanted.entry(2).or_default().due.add(9);
        (state.estimate, state.extents) = (10, 5);
        let back = CheckState::from_text(&state.to_text());
        assert_eq!(back, state);
        assert_eq!((back.after(), back.progress()), (Some(ExtentId(7 << 100)), Some(0.5)));
        assert_eq!(back.unreached[&3], "silent");
        assert_eq!(back.unwanted_everywhere().due, Count { chunks: 1, bytes: 9 });
    }
}
