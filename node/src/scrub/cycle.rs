//! How far a cycle is, as it is kept on the drive:
//!
//! ```text
//! sixfold scrub 1
//! began 1764000000         seconds since 1970, by the node's clock
//! after 0000…00ff.3        the last chunk verified; left out before the first
//! chunks 12                verified in this cycle
//! bytes 34567
//! rotten 1
//! ended                    left out while it runs
//! ```

use sixfold_proto::chunks::ChunkEntry;
use sixfold_proto::name::{ChunkIndex, ChunkName, ExtentId};
use std::time::Duration;

const TITLE: &str = "sixfold scrub 1";

/// A cycle: once over all chunks, in the order of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cycle {
    /// When it began, in seconds since 1970.
    pub(super) began: u64,
    /// The last chunk verified.
    pub(super) after: Option<ChunkName>,
    /// How many were.
    pub(super) chunks: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Those that were rotten.
    pub(super) rotten: u64,
    /// All are verified.
    pub(super) is_ended: bool,
}

impl Cycle {
    /// A cycle that begins now.
    pub(super) fn beginning(began: u64) -> Self {
        Self { began, ..Self::default() }
    }

    /// How long until there is something to do, when every chunk is to be read within `within`. A
    /// chunk may be written when a cycle has just passed its name, and be the last of the next one:
    /// so cycles begin, and at their pace also end, within half of that. A clock that jumped costs
    /// a cycle at most.
    pub(super) fn due_in(&self, now: u64, within: Duration) -> Duration {
        if !self.is_ended {
            return Duration::ZERO;
        }
        let due = Duration::from_secs(self.began) + within / 2;
        due.saturating_sub(Duration::from_secs(now)).min(within / 2)
    }

    /// Counts a verified chunk.
    pub(super) fn pass(&mut self, chunk: &ChunkEntry, is_rotten: bool) {
        self.after = Some(chunk.name);
        self.chunks += 1;
        self.bytes += chunk.size_bytes;
        self.rotten += u64::from(is_rotten);
    }

    /// The note.
    pub(super) fn to_text(self) -> String {
        let after = self.after.map_or(String::new(), |name| {
            format!("after {:032x}.{}\n", name.extent.0, name.index.get())
        });
        let ended = if self.is_ended { "ended\n" } else { "" };
        let Self { began, chunks, bytes, rotten, .. } = self;
        format!(
            "{TITLE}\nbegan {began}\n{after}chunks {chunks}\nbytes {bytes}\nrotten {rotten}\n{ended}"
        )
    }

    /// The inverse of [`Cycle::to_text`]; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return None;
        }
        let mut cycle = Self::default();
        for line in lines {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("began", value) => cycle.began = value.parse().ok()?,
                ("after", value) => cycle.after = Some(parse_name(value)?),
                ("chunks", value) => cycle.chunks = value.parse().ok()?,
                ("bytes", value) => cycle.bytes = value.parse().ok()?,
                ("rotten", value) => cycle.rotten = value.parse().ok()?,
                ("ended", "") => cycle.is_ended = true,
                _ => return None,
            }
        }
        Some(cycle)
    }
}

fn parse_name(text: &str) -> Option<ChunkName> {
    let (extent, index) = text.split_once('.')?;
    let extent = ExtentId(u128::from_str_radix(extent, 16).ok()?);
    Some(ChunkName { extent, index: ChunkIndex::new(index.parse().ok()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_note_is_read_back(
            began: u64, after: Option<(u128, u8)>, chunks: u64, bytes: u64, rotten: u64, is_ended: bool,
        ) {
            let after = after.map(|(extent, index)| ChunkName {
                extent: ExtentId(extent),
                index: ChunkIndex::new(index % 6).unwrap(),
            });
            let cycle = Cycle { began, after, chunks, bytes, rotten, is_ended };
            prop_assert_eq!(Cycle::parse(&cycle.to_text()), Some(cycle));
        }

        #[test]
        fn a_damaged_note_is_none_or_another(at in 0..60_usize, bit in 0..7) {
            let cycle = Cycle { began: 7, chunks: 3, ..Cycle::default() };
            let mut bytes = cycle.to_text().into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            let text = String::from_utf8(bytes).unwrap_or_default();
            prop_assert_ne!(Cycle::parse(&text), Some(cycle));
        }

        #[test]
        fn the_next_cycle_is_due_within_one(began: u32, now: u32, seconds in 1..2_000_000_u64) {
            let within = Duration::from_secs(2 * seconds);
            let ended = Cycle { is_ended: true, ..Cycle::beginning(began.into()) };
            let due = ended.due_in(now.into(), within);
            prop_assert!(due <= within / 2);
            prop_assert_eq!(due.is_zero(), u64::from(now) >= u64::from(began) + seconds);
            let under_way = Cycle { is_ended: false, ..ended };
            prop_assert_eq!(under_way.due_in(now.into(), within), Duration::ZERO);
        }
    }
}
