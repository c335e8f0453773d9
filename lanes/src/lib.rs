//! The loops over bytes that must be fast: parity, and MD5 of several messages at once.
//!
//! Plain Rust over arrays of lanes, of which the compiler makes vector code as wide as it may
//! assume. A package of its own, so that builds for tests optimise it, too, and so that the one
//! piece of unsafe code stands alone: in `widest`.

mod widest;

pub mod md5;
pub mod parity;
