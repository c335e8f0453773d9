//! Between the wire's messages and the types of this crate. What a peer sent wrongly becomes
//! [`NodeError::Invalid`] on its way in; on its way out nothing can fail.

use crate::chunks::{Cell, ChunkEntry, DriveState, Health, NodeError};
use crate::history::{Mark, Memory};
use crate::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId, NodeNumber};
use crate::node_v1;
use bytes::Bytes;
use uuid::Uuid;

/// The name of a [`DriveState`] on the wire, in the registry and in logs.
pub fn state_name(state: DriveState) -> &'static str {
    match state {
        DriveState::Ok => "ok",
        DriveState::Full => "full",
        DriveState::Fenced => "fenced",
        DriveState::Draining => "draining",
    }
}

/// The inverse of [`state_name`].
pub fn state_from_name(name: &str) -> Option<DriveState> {
    let all = [DriveState::Ok, DriveState::Full, DriveState::Fenced, DriveState::Draining];
    all.into_iter().find(|state| state_name(*state) == name)
}

impl From<ChunkName> for node_v1::ChunkName {
    fn from(name: ChunkName) -> Self {
        Self {
            extent_lease: name.extent.lease().0,
            extent_random: name.extent.random(),
            chunk_index: u32::from(name.index.get()),
        }
    }
}

impl TryFrom<node_v1::ChunkName> for ChunkName {
    type Error = NodeError;

    fn try_from(wire: node_v1::ChunkName) -> Result<Self, NodeError> {
        let index = u8::try_from(wire.chunk_index).ok().and_then(ChunkIndex::new);
        let index = index.ok_or_else(|| invalid("a chunk index is 0 to 5"))?;
        Ok(Self { extent: ExtentId::new(LeaseId(wire.extent_lease), wire.extent_random), index })
    }
}

/// The name that a message must have.
pub fn required_name(wire: Option<node_v1::ChunkName>) -> Result<ChunkName, NodeError> {
    wire.ok_or_else(|| invalid("the chunk name is missing"))?.try_into()
}

impl From<Cell> for node_v1::Cell {
    fn from(cell: Cell) -> Self {
        Self { data: cell.data, checksum: cell.checksum }
    }
}

impl From<node_v1::Cell> for Cell {
    fn from(wire: node_v1::Cell) -> Self {
        Self { data: wire.data, checksum: wire.checksum, is_verified: false }
    }
}

impl From<ChunkEntry> for node_v1::ChunkEntry {
    fn from(entry: ChunkEntry) -> Self {
        Self {
            name: Some(entry.name.into()),
            copy_number: entry.copy.0,
            writer: entry.writer.0,
            size_bytes: entry.size_bytes,
            cell_count: entry.cell_count,
        }
    }
}

impl TryFrom<node_v1::ChunkEntry> for ChunkEntry {
    type Error = NodeError;

    fn try_from(wire: node_v1::ChunkEntry) -> Result<Self, NodeError> {
        Ok(Self {
            name: required_name(wire.name)?,
            copy: CopyNumber(wire.copy_number),
            writer: LeaseId(wire.writer),
            size_bytes: wire.size_bytes,
            cell_count: wire.cell_count,
        })
    }
}

impl From<Health> for node_v1::HealthReply {
    fn from(health: Health) -> Self {
        Self {
            node_number: u32::from(health.node.0),
            state: state_name(health.state).to_owned(),
            capacity_bytes: health.capacity_bytes,
            free_bytes: health.free_bytes,
            chunk_count: health.chunk_count,
            mark_number: health.memory.mark.map_or(0, |mark| mark.number),
            mark_tag: health
                .memory
                .mark
                .map_or(Bytes::new(), |mark| Bytes::copy_from_slice(mark.tag.as_bytes())),
            kept_copy: health.memory.kept.0,
        }
    }
}

impl TryFrom<node_v1::HealthReply> for Health {
    type Error = NodeError;

    fn try_from(wire: node_v1::HealthReply) -> Result<Self, NodeError> {
        let number = u16::try_from(wire.node_number).map_err(|_| invalid("no such node number"))?;
        let state = state_from_name(&wire.state).ok_or_else(|| invalid("no such drive state"))?;
        Ok(Self {
            node: NodeNumber(number),
            state,
            capacity_bytes: wire.capacity_bytes,
            free_bytes: wire.free_bytes,
            chunk_count: wire.chunk_count,
            memory: Memory {
                mark: mark_from(wire.mark_number, &wire.mark_tag)?,
                kept: CopyNumber(wire.kept_copy),
            },
        })
    }
}

fn mark_from(number: u64, tag: &[u8]) -> Result<Option<Mark>, NodeError> {
    if number == 0 {
        return Ok(None);
    }
    let tag = Uuid::from_slice(tag).map_err(|_| invalid("a mark without its id"))?;
    Ok(Some(Mark { number, tag }))
}

fn invalid(what: &str) -> NodeError {
    NodeError::Invalid(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_round_trip(
            extent: u128, index in 0_u8..6, copy: u64, writer: u64, size: u64, cells: u32,
        ) {
            let entry = ChunkEntry {
                name: ChunkName {
                    extent: ExtentId(extent),
                    index: ChunkIndex::new(index).unwrap(),
                },
                copy: CopyNumber(copy),
                writer: LeaseId(writer),
                size_bytes: size,
                cell_count: cells,
            };
            prop_assert_eq!(ChunkEntry::try_from(node_v1::ChunkEntry::from(entry)), Ok(entry));
        }
    }

    #[test]
    fn every_state_round_trips() {
        let states = [DriveState::Ok, DriveState::Full, DriveState::Fenced, DriveState::Draining];
        let memories = [None, Some(Mark { number: 9, tag: Uuid::from_u128(8) })]
            .map(|mark| Memory { mark, kept: CopyNumber(5) });
        for (state, memory) in states.into_iter().zip(memories.into_iter().cycle()) {
            let health = Health {
                memory,
                node: NodeNumber(7),
                state,
                capacity_bytes: 2,
                free_bytes: 1,
                chunk_count: 3,
            };
            assert_eq!(Health::try_from(node_v1::HealthReply::from(health)), Ok(health));
        }
    }

    #[test]
    fn what_a_peer_sent_wrongly_is_invalid() {
        let name = node_v1::ChunkName { extent_lease: 1, extent_random: 2, chunk_index: 6 };
        assert!(matches!(ChunkName::try_from(name), Err(NodeError::Invalid(_))));
        let name = node_v1::ChunkName { chunk_index: 256, ..name };
        assert!(matches!(ChunkName::try_from(name), Err(NodeError::Invalid(_))));
        assert!(matches!(required_name(None), Err(NodeError::Invalid(_))));
        let health = node_v1::HealthReply { state: "well".into(), ..Default::default() };
        assert!(matches!(Health::try_from(health), Err(NodeError::Invalid(_))));
        let health =
            node_v1::HealthReply { state: "ok".into(), mark_number: 1, ..Default::default() };
        assert!(matches!(Health::try_from(health), Err(NodeError::Invalid(_))));
    }
}
