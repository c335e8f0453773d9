//! The storage node: chunks on one drive ([`store`]), behind gRPC ([`rpc`]) or called
//! directly.

pub mod admin;
pub mod certificate;
pub mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod descriptors;
pub mod history;
pub mod log;
pub mod metrics;
pub mod probe;
pub mod registry;
pub mod rows;
pub mod rpc;
pub mod scrub;
pub mod store;
pub mod trace;

pub use store::{Journal, OpenError, Store, StoreOptions};
