//! Where the bytes of an extent stand: offsets and lengths of stripes and cells.
//!
//! An extent is cut into stripes, each stripe into as many data cells as the scheme has data
//! chunks; data cell `i` of a stripe with cells of `c` bytes holds the stripe's bytes
//! `[i * c, (i + 1) * c)`, so that a range touches only the cells it lies in. All stripes are
//! full (cells of 256 KiB) but the last, whose cells are as small as its bytes allow:
//! what is left over is padded with zeros.
//!
//! ```text
//! 4+2, an extent of 1 MiB + 10 bytes:   chunk 0   chunk 1   chunk 2   chunk 3   4, 5: parity
//!                           stripe 0    256 KiB   256 KiB   256 KiB   256 KiB
//!                           stripe 1    0..3      3..6      6..9      9..10 00 00
//! ```
//!
//! Everything follows from the scheme and the extent's size; nothing else is stored.

use super::Scheme;
use sixfold_proto::chunks::{MAX_CELL_BYTES, MAX_CELLS_PER_CHUNK};
use std::ops::Range;

/// The most bytes of a body in one extent: it bounds what one lost extent costs, and how long
/// one chunk's stream takes.
const MAX_EXTENT_BYTES: u64 = 128 * 1024 * 1024;

/// Bytes of a body in a full stripe.
pub const fn stripe_bytes(scheme: Scheme) -> u64 {
    (scheme.data_count() * MAX_CELL_BYTES) as u64
}

/// The most stripes in an extent.
pub const fn max_stripes(scheme: Scheme) -> u32 {
    let by_size = MAX_EXTENT_BYTES / stripe_bytes(scheme);
    if by_size < MAX_CELLS_PER_CHUNK as u64 { by_size as u32 } else { MAX_CELLS_PER_CHUNK }
}

/// One stripe of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// Its number in the extent, from 0.
    pub number: u32,
    /// Where in the extent its bytes begin.
    pub start: u64,
    /// How many bytes of the body it holds, above 0.
    pub size: u64,
    /// The size in bytes of each of its six cells.
    pub cell_size: usize,
}

impl Stripe {
    /// A stripe of `size` bytes, above 0 and at most [`stripe_bytes`].
    pub fn new(scheme: Scheme, number: u32, size: u64) -> Self {
        let cell_size = size.div_ceil(scheme.data_count() as u64) as usize;
        Self { number, start: u64::from(number) * stripe_bytes(scheme), size, cell_size }
    }

    /// The bytes of the stripe that the data cell `index` holds, without padding; empty when
    /// the cell is padding alone.
    pub fn cell_bytes(&self, index: usize) -> Range<u64> {
        let cell_size = self.cell_size as u64;
        let start = (index as u64 * cell_size).min(self.size);
        start..(start + cell_size).min(self.size)
    }

    /// The part of the data cell `index` that lies in `range` (a range of the extent), counted
    /// from the cell's begin; `None` when the cell holds nothing of it.
    pub fn cell_part(&self, index: usize, range: &Range<u64>) -> Option<Range<usize>> {
        let cell = self.cell_bytes(index);
        let first = range.start.saturating_sub(self.start).max(cell.start);
        let end = range.end.saturating_sub(self.start).min(cell.end);
        (first < end).then(|| (first - cell.start) as usize..(end - cell.start) as usize)
    }
}

/// The geometry of one extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    scheme: Scheme,
    size: u64,
}

impl Geometry {
    /// Of an extent of `size` bytes, above 0.
    pub fn new(scheme: Scheme, size: u64) -> Self {
        Self { scheme, size }
    }

    /// How many stripes the extent has, and so how many cells each of its chunks.
    pub fn stripe_count(self) -> u32 {
        self.size.div_ceil(stripe_bytes(self.scheme)) as u32
    }

    /// Stripe number `number`, below [`Geometry::stripe_count`].
    pub fn stripe(self, number: u32) -> Stripe {
        let full = stripe_bytes(self.scheme);
        let start = u64::from(number) * full;
        Stripe::new(self.scheme, number, full.min(self.size - start))
    }

    /// The stripes that hold bytes of `range` (a range of the extent, not empty).
    pub fn stripes_of(self, range: &Range<u64>) -> Range<u32> {
        let full = stripe_bytes(self.scheme);
        (range.start / full) as u32..range.end.div_ceil(full) as u32
    }

    /// The cells of the data chunk `index` that hold bytes of `range`, by stripe number. They
    /// are neighbours, because only the first and the last stripe may leave cells out.
    pub fn cells_of(self, index: usize, range: &Range<u64>) -> Range<u32> {
        let stripes = self.stripes_of(range);
        let touched = |&number: &u32| self.stripe(number).cell_part(index, range).is_some();
        let first = stripes.clone().find(touched).unwrap_or(stripes.end);
        let end = stripes.clone().rev().find(touched).map_or(first, |last| last + 1);
        first..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use sixfold_proto::name::CHUNKS_PER_EXTENT;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn chunks_and_extents_keep_their_limits() {
        assert_eq!(Scheme::ALL.map(max_stripes), [128, 102, 85]);
        for scheme in Scheme::ALL {
            assert!(u64::from(max_stripes(scheme)) * stripe_bytes(scheme) <= MAX_EXTENT_BYTES);
            assert!(max_stripes(scheme) <= MAX_CELLS_PER_CHUNK);
        }
    }

    #[test]
    fn the_drawing_is_right() {
        let geometry = Geometry::new(Scheme::FourTwo, MIB + 10);
        assert_eq!(geometry.stripe_count(), 2);
        let last = geometry.stripe(1);
        assert_eq!((last.start, last.size, last.cell_size), (MIB, 10, 3));
        assert_eq!([0, 1, 2, 3].map(|i| last.cell_bytes(i)), [0..3, 3..6, 6..9, 9..10]);
        assert_eq!(geometry.cells_of(2, &(0..MIB + 9)), 0..2);
        assert_eq!(geometry.cells_of(3, &(0..MIB + 9)), 0..1);
        assert_eq!(geometry.cells_of(0, &(MIB - 1..MIB + 1)), 1..2);
    }

    fn extents() -> impl Strategy<Value = (Scheme, u64)> {
        let sizes = proptest::prop_oneof![1..200_u64, MIB - 9..MIB + 9, 1..5 * MIB];
        (0..3_usize, sizes).prop_map(|(scheme, size)| (Scheme::ALL[scheme], size))
    }

    proptest! {
        #[test]
        fn stripes_and_cells_tile_the_extent((scheme, size) in extents()) {
            let geometry = Geometry::new(scheme, size);
            let mut next = 0;
            for number in 0..geometry.stripe_count() {
                let stripe = geometry.stripe(number);
                prop_assert_eq!(stripe.start, next);
                prop_assert!(stripe.cell_size <= MAX_CELL_BYTES);
                if number + 1 < geometry.stripe_count() {
                    prop_assert_eq!(stripe.cell_size, MAX_CELL_BYTES);
                }
                for index in 0..scheme.data_count() {
                    let bytes = stripe.cell_bytes(index);
                    prop_assert_eq!(stripe.start + bytes.start, next);
                    next += bytes.end - bytes.start;
                }
            }
            prop_assert_eq!(next, size);
        }

        #[test]
        fn a_range_is_made_of_its_cell_parts(
            (scheme, size) in extents(),
            at in any::<proptest::sample::Index>(),
            length in any::<proptest::sample::Index>(),
        ) {
            let geometry = Geometry::new(scheme, size);
            let start = at.index(size as usize) as u64;
            let end = start + 1 + length.index((size - start) as usize) as u64;
            let range = start..end;
            let mut next = start;
            for number in geometry.stripes_of(&range) {
                let stripe = geometry.stripe(number);
                for index in 0..scheme.data_count() {
                    let asked = geometry.cells_of(index, &range).contains(&number);
                    let part = stripe.cell_part(index, &range);
                    prop_assert_eq!(asked, part.is_some());
                    let Some(part) = part else { continue };
                    let begin = stripe.start + (index * stripe.cell_size + part.start) as u64;
                    prop_assert_eq!(begin, next);
                    next += part.len() as u64;
                }
            }
            prop_assert_eq!(next, end);
            prop_assert!(scheme.data_count() <= CHUNKS_PER_EXTENT);
        }
    }
}
