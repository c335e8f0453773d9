//! Where things stand on the ring: 64-bit XXH3. Changing anything here moves every chunk of
//! every cluster at its next rebalance.

use sixfold_proto::name::{ExtentId, NodeNumber};
use twox_hash::XxHash3_64;

/// Where an extent's walk begins.
pub(super) fn extent_point(extent: ExtentId) -> u64 {
    XxHash3_64::oneshot(&extent.0.to_be_bytes())
}

/// Where a node's token stands.
pub(super) fn token_point(node: NodeNumber, token: u32) -> u64 {
    let mut bytes = [0_u8; 6];
    bytes[..2].copy_from_slice(&node.0.to_be_bytes());
    bytes[2..].copy_from_slice(&token.to_be_bytes());
    XxHash3_64::oneshot(&bytes)
}

/// A number for a ring, the same wherever the same ring is built.
pub(super) fn epoch(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}
