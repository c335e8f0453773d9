//! How an extent's bytes become six chunks and back. Pure: no I/O, no clock, no randomness.

mod codec;
mod geometry;
mod scheme;

pub use codec::{Cells, TooFewCells, encode, reconstruct, reconstruct_data};
pub use geometry::{Geometry, Stripe, max_stripes, stripe_bytes};
pub use scheme::Scheme;
