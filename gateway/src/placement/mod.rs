//! Which nodes get an extent's chunks, and which of them move when nodes come and go: a
//! consistent-hash ring. Pure.

mod hash;
mod place;
mod rebalance;
mod ring;

pub use place::{TooFewNodes, fill, is_spread, place};
pub use rebalance::{Standing, Wish, wish};
pub use ring::{Member, Ring};
