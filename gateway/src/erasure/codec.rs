//! A stripe's bytes to six cells, and any lost cells back from those that are left.
//!
//! The data cells are slices of the stripe, copied only where they need padding; the parity
//! cells are made in one pass over them.

use super::Scheme;
use super::geometry::Stripe;
use bytes::{Bytes, BytesMut};
use sixfold_lanes::parity::{self, Parity};
use sixfold_proto::name::CHUNKS_PER_EXTENT;

/// Fewer cells than the scheme needs, or cells of different sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too few cells to reconstruct a stripe")]
pub struct TooFewCells;

/// The six cells of a stripe, those that are known.
pub type Cells = [Option<Bytes>; CHUNKS_PER_EXTENT];

/// The six cells of a stripe whose bytes are `bytes`, data cells first.
pub fn encode(scheme: Scheme, stripe: &Stripe, bytes: &Bytes) -> Vec<Bytes> {
    let mut cells = data_cells(scheme, stripe, bytes);
    let parity = parity_cells(scheme, &cells);
    cells.extend(parity);
    cells
}

/// Fills in every cell that is `None`.
pub fn reconstruct(scheme: Scheme, cells: &mut Cells) -> Result<(), TooFewCells> {
    reconstruct_data(scheme, cells)?;
    let (data, parity) = cells.split_at_mut(scheme.data_count());
    if parity.iter().all(Option::is_some) {
        return Ok(());
    }
    let data = data.iter().flatten().cloned().collect::<Vec<_>>();
    for (cell, made) in parity.iter_mut().zip(parity_cells(scheme, &data)) {
        cell.get_or_insert(made);
    }
    Ok(())
}

/// Fills in every data cell that is `None`.
pub fn reconstruct_data(scheme: Scheme, cells: &mut Cells) -> Result<(), TooFewCells> {
    let data_count = scheme.data_count();
    let mut lost = (0..data_count).filter(|&index| cells[index].is_none());
    let (first, second) = (lost.next(), lost.next());
    if lost.next().is_some() {
        return Err(TooFewCells);
    }
    let Some(first) = first else { return Ok(()) };
    let mut sizes = cells.iter().flatten().map(Bytes::len);
    let size = sizes.next();
    if sizes.any(|other| Some(other) != size) {
        return Err(TooFewCells);
    }
    let known = cells.each_ref().map(Option::as_deref);
    let data = &known[..data_count];
    let mut parity = known[data_count..].iter().copied();
    let [p, q] = [parity.next().flatten(), parity.next().flatten()];
    let restored = match (second, p, q) {
        (None, Some(p), _) => [Some(parity::restore_one(data, Parity::P, p)), None],
        (None, None, Some(q)) => [Some(parity::restore_one(data, Parity::Q, q)), None],
        (Some(_), Some(p), Some(q)) => parity::restore_two(data, p, q).map(Some),
        _ => return Err(TooFewCells),
    };
    for (index, cell) in [Some(first), second].into_iter().flatten().zip(restored) {
        cells[index] = cell.map(Bytes::from);
    }
    Ok(())
}

fn parity_cells(scheme: Scheme, data: &[Bytes]) -> Vec<Bytes> {
    let data = data.iter().map(|cell| &cell[..]).collect::<Vec<_>>();
    let cells = match scheme {
        Scheme::FourTwo => Vec::from(parity::both(&data)),
        Scheme::FiveOne => vec![parity::sum(&data)],
        Scheme::SixZero => Vec::new(),
    };
    cells.into_iter().map(Bytes::from).collect()
}

/// The data cells of a stripe: slices of its bytes, the last ones padded with zeros.
fn data_cells(scheme: Scheme, stripe: &Stripe, bytes: &Bytes) -> Vec<Bytes> {
    let mut cells = Vec::with_capacity(CHUNKS_PER_EXTENT);
    for index in 0..scheme.data_count() {
        let range = stripe.cell_bytes(index);
        let cell = bytes.slice(range.start as usize..range.end as usize);
        cells.push(if cell.len() == stripe.cell_size { cell } else { padded(&cell, stripe) });
    }
    cells
}

fn padded(cell: &Bytes, stripe: &Stripe) -> Bytes {
    let mut padded = BytesMut::with_capacity(stripe.cell_size);
    padded.extend_from_slice(cell);
    padded.resize(stripe.cell_size, 0);
    padded.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erasure::Geometry;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn bytes(size: usize, seed: u8) -> Bytes {
        (0..size).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
    }

    /// Loses every set of cells that the scheme allows, and one more.
    fn check_all_losses(scheme: Scheme, size: usize) {
        let stripe = Geometry::new(scheme, size as u64).stripe(0);
        let bytes = bytes(size, 7);
        let cells = encode(scheme, &stripe, &bytes);
        assert_eq!(cells.len(), CHUNKS_PER_EXTENT);
        assert!(cells.iter().all(|cell| cell.len() == stripe.cell_size));
        for lost in 0..64_u8 {
            let mut left: Cells = std::array::from_fn(|index| {
                (lost & (1 << index) == 0).then(|| cells[index].clone())
            });
            let outcome = reconstruct(scheme, &mut left);
            if lost.count_ones() as usize > scheme.parity_count() {
                let data_lost = (0..scheme.data_count()).any(|index| lost & (1 << index) != 0);
                assert_eq!(outcome.is_err(), data_lost, "{scheme:?} {lost:06b}");
                continue;
            }
            assert_eq!(outcome, Ok(()), "{scheme:?} {lost:06b}");
            assert_eq!(left.to_vec(), cells.iter().cloned().map(Some).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_loss_that_a_scheme_allows_is_made_good() {
        for scheme in Scheme::ALL {
            for size in [1, 2, 7, 8, 9, 63, 64, 65, 511, 4096, 100_003] {
                check_all_losses(scheme, size);
            }
        }
    }

    #[test]
    fn full_data_cells_are_not_copied() {
        let bytes = bytes(4096, 0);
        let stripe = Geometry::new(Scheme::FourTwo, 4096).stripe(0);
        let cells = encode(Scheme::FourTwo, &stripe, &bytes);
        assert!(cells[..4].iter().all(|cell| bytes.as_ptr_range().contains(&cell.as_ptr())));
    }

    #[test]
    fn cells_of_different_sizes_are_refused() {
        let mut cells: Cells = [4, 4, 6, 4, 4, 4].map(|size| Some(bytes(size, 1)));
        cells[0] = None;
        assert_eq!(reconstruct(Scheme::FourTwo, &mut cells), Err(TooFewCells));
    }

    proptest! {
        #[test]
        fn any_stripe_survives_two_lost_cells(
            size in 1..3000_usize,
            seed in any::<u8>(),
            first in 0..6_usize,
            second in 0..6_usize,
        ) {
            let scheme = Scheme::FourTwo;
            let stripe = Geometry::new(scheme, size as u64).stripe(0);
            let bytes = bytes(size, seed);
            let mut cells: Cells = std::array::from_fn({
                let whole = encode(scheme, &stripe, &bytes);
                move |index| (index != first && index != second).then(|| whole[index].clone())
            });
            reconstruct_data(scheme, &mut cells).unwrap();
            let joined = cells[..4].iter().flatten().flatten().copied().collect::<Vec<_>>();
            prop_assert_eq!(&joined[..size], &bytes[..]);
        }
    }
}
