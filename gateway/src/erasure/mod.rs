//! How an extent's bytes become six chunks and back. Pure: no I/O, no clock, no randomness.

mod scheme;

pub use scheme::Scheme;
