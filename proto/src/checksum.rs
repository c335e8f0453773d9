//! The checksum of a cell: 64-bit XXH3, seeded with where the cell belongs.
//!
//! A cell that is swapped with another chunk's, stands under another index or stripe, or comes
//! from another cluster fails its check just as a flipped bit does. The checksum is against
//! rot and mix-ups, not against an attacker who can write to a drive.

use crate::chunks::Cell;
use crate::name::ChunkName;
use twox_hash::XxHash3_64;
use uuid::Uuid;

/// Computes the checksums of one chunk's cells.
#[derive(Clone, Copy, Debug)]
pub struct CellKey {
    chunk_seed: u64,
}

impl CellKey {
    /// The key of one chunk in one cluster.
    pub fn new(cluster: Uuid, name: ChunkName) -> Self {
        let mut place = [0_u8; 33];
        place[..16].copy_from_slice(cluster.as_bytes());
        place[16..32].copy_from_slice(&name.extent.0.to_be_bytes());
        place[32] = name.index.get();
        Self { chunk_seed: XxHash3_64::oneshot(&place) }
    }

    /// The checksum of the cell of stripe number `stripe` (counted in the extent, from 0).
    pub fn checksum(self, stripe: u32, cell: &[u8]) -> u64 {
        // The odd constant is 2^64 over the golden ratio: it spreads small stripe numbers over
        // all bits of the seed, so that neighbouring stripes have unrelated seeds.
        let seed = self.chunk_seed ^ u64::from(stripe).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        XxHash3_64::oneshot_with_seed(seed, cell)
    }

    /// Whether a cell is what was stored of stripe number `stripe`. One that this process has
    /// verified is not hashed again.
    pub fn matches(self, stripe: u32, cell: &Cell) -> bool {
        cell.is_verified || self.checksum(stripe, &cell.data) == cell.checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{ChunkIndex, ExtentId};

    fn name(extent: u128, index: u8) -> ChunkName {
        ChunkName { extent: ExtentId(extent), index: ChunkIndex::new(index).unwrap() }
    }

    #[test]
    fn f09_a_cell_in_any_other_place_has_another_checksum() {
        let cluster = Uuid::from_u128(7);
        let right = CellKey::new(cluster, name(1, 2)).checksum(3, b"cell");
        for wrong in [
            CellKey::new(Uuid::from_u128(8), name(1, 2)).checksum(3, b"cell"),
            CellKey::new(cluster, name(9, 2)).checksum(3, b"cell"),
            CellKey::new(cluster, name(1, 4)).checksum(3, b"cell"),
            CellKey::new(cluster, name(1, 2)).checksum(5, b"cell"),
            CellKey::new(cluster, name(1, 2)).checksum(3, b"celm"),
        ] {
            assert_ne!(right, wrong);
        }
    }
}
