//! What gateways and nodes must agree on: the names of chunks, the checksum of a cell,
//! the one interface to a node, and the gRPC service that carries it.

pub mod checksum;
pub mod chunks;
pub mod convert;
pub mod history;
pub mod jobs;
pub mod metrics;
pub mod name;
pub mod scrape;
pub mod secret;
pub mod status;

/// The generated gRPC code; `tests/generated.rs` fails when it no longer matches `node.proto`
/// and says how to write it anew.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
pub mod node_v1 {
    include!("gen/sixfold.node.v1.rs");
}

/// The metadata key under which a call carries the id of the S3 request that it is made for.
pub const REQUEST_ID_METADATA_KEY: &str = "sixfold-request-id";

/// The metadata key under which a call of a sampled request carries the span that makes it, as
/// W3C's header has it.
pub const TRACEPARENT_METADATA_KEY: &str = "traceparent";

/// The largest gRPC message in bytes, either way: a cell and what frames it. A page of
/// [`chunks::MAX_LIST_ENTRIES`] entries of at most 53 bytes is larger and has its own limit.
pub const MAX_MESSAGE_BYTES: usize = chunks::MAX_CELL_BYTES + 4096;

/// The largest HTTP/2 frame taken, at both ends: a cell travels in one, not in the seventeen that
/// the protocol's own limit makes of it.
pub const FRAME_BYTES: u32 = MAX_MESSAGE_BYTES as u32;

/// The largest answer to a list call in bytes: every entry of a full page at 64 bytes.
pub const MAX_LIST_MESSAGE_BYTES: usize = chunks::MAX_LIST_ENTRIES * 64;
