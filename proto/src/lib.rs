//! What gateways and nodes must agree on: the names of chunks, the checksum of a cell,
//! the one interface to a node, and the gRPC service that carries it.

pub mod checksum;
pub mod chunks;
pub mod name;

/// The generated gRPC code; a test fails when it no longer matches `node.proto`.
#[allow(missing_docs, clippy::pedantic, unreachable_pub)]
#[rustfmt::skip]
pub mod node_v1 {
    // Written by the node's author.
}
