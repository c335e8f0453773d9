//! Which nodes get an extent's chunks: a consistent-hash ring. Pure.

mod hash;
mod place;
mod ring;

pub use place::{TooFewNodes, fill, place};
pub use ring::{Member, Ring};
