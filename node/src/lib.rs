//! The storage node: chunks on one drive ([`store`]), behind gRPC ([`rpc`]) or called
//! directly.

pub mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod descriptors;
pub mod probe;
pub mod registry;
pub mod rows;
pub mod rpc;
pub mod scrub;
pub mod store;

pub use store::{OpenError, Store, StoreOptions};
