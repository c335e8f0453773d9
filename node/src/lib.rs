//! The storage node: chunks on one drive ([`store`]), behind gRPC or called directly.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod store;

pub use store::{OpenError, Store, StoreOptions};
