//! The nodes as the gateway sees them: where they are, how they are, how to call them.

mod breaker;
mod calls;
mod cells;
mod client;
mod directory;
mod embedded;
#[cfg(test)]
pub(crate) mod fake;
mod limits;
mod remote;
mod short;
mod silence;

pub use breaker::BreakerState;
pub use client::Node;
pub(crate) use directory::NotPlaced;
pub use directory::{Directory, Entry, Snapshot};
pub use embedded::EmbeddedRows;
pub use limits::{BreakerLimits, NodeLimits};
#[cfg(all(test, feature = "simulation"))]
pub(crate) use remote::AddressError;
#[cfg(all(test, feature = "simulation"))]
pub(crate) use remote::Connect;
pub use remote::RemoteSettings;
pub use silence::Liveness;
