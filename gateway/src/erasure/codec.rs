//! A stripe's bytes to six cells, and any lost cells back from those that are left.
//!
//! The Reed-Solomon code comes from `reed-solomon-simd`. It copies the data cells into a work
//! space of its own; the cells themselves are slices of the stripe and copied only where they
//! need padding. Work spaces are kept for reuse, a bounded number of them.
//!
//! Decoding has a fixed price of about a quarter of a millisecond, whatever the cells' size:
//! it is paid only by stripes that lost a data cell.

use super::Scheme;
use super::geometry::Stripe;
use bytes::{Bytes, BytesMut};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use sixfold_proto::name::CHUNKS_PER_EXTENT;
use std::sync::{Mutex, PoisonError};

/// Work spaces kept for reuse, of each kind. More can be in use at a time; the others are freed.
const KEPT_WORK_SPACES: usize = 16;

/// Fewer cells than the scheme needs, or cells of different sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too few cells to reconstruct a stripe")]
pub struct TooFewCells;

/// The six cells of a stripe, those that are known.
pub type Cells = [Option<Bytes>; CHUNKS_PER_EXTENT];

/// Encodes and reconstructs. Holds nothing but work spaces.
#[derive(Default)]
pub struct Codec {
    encoders: Mutex<Vec<ReedSolomonEncoder>>,
    decoders: Mutex<Vec<ReedSolomonDecoder>>,
}

impl Codec {
    /// The six cells of a stripe whose bytes are `bytes`, data cells first.
    pub fn encode(&self, scheme: Scheme, stripe: &Stripe, bytes: &Bytes) -> Vec<Bytes> {
        let mut cells = data_cells(scheme, stripe, bytes);
        if scheme.parity_count() > 0 {
            let parity = self.parity(scheme, &cells);
            cells.extend(parity);
        }
        cells
    }

    /// Fills in every cell that is `None`.
    pub fn reconstruct(&self, scheme: Scheme, cells: &mut Cells) -> Result<(), TooFewCells> {
        self.reconstruct_data(scheme, cells)?;
        if cells.iter().all(Option::is_some) {
            return Ok(());
        }
        let data = cells.iter().take(scheme.data_count()).flatten().cloned().collect::<Vec<_>>();
        let parity = self.parity(scheme, &data);
        for (cell, parity) in cells.iter_mut().skip(scheme.data_count()).zip(parity) {
            cell.get_or_insert(parity);
        }
        Ok(())
    }

    /// Fills in every data cell that is `None`.
    pub fn reconstruct_data(&self, scheme: Scheme, cells: &mut Cells) -> Result<(), TooFewCells> {
        let data_count = scheme.data_count();
        if cells[..data_count].iter().all(Option::is_some) {
            return Ok(());
        }
        let mut known = cells.iter().flatten();
        let cell_size = known.next().ok_or(TooFewCells)?.len();
        if known.clone().count() + 1 < data_count || known.any(|cell| cell.len() != cell_size) {
            return Err(TooFewCells);
        }
        let mut decoder = self.decoder(scheme, cell_size).ok_or(TooFewCells)?;
        let restored = decode(&mut decoder, data_count, cells).map_err(|_| TooFewCells)?;
        for (index, cell) in restored {
            cells[index] = Some(cell);
        }
        keep(&self.decoders, decoder);
        Ok(())
    }

    fn parity(&self, scheme: Scheme, data: &[Bytes]) -> Vec<Bytes> {
        let cell_size = data.first().map_or(0, Bytes::len);
        // Both calls fail only for counts and sizes that no scheme and no geometry has.
        let Some(mut encoder) = self.encoder(scheme, cell_size) else { return Vec::new() };
        let parity = encode_parity(&mut encoder, data).unwrap_or_default();
        keep(&self.encoders, encoder);
        parity
    }

    fn encoder(&self, scheme: Scheme, cell_size: usize) -> Option<ReedSolomonEncoder> {
        let (data_count, parity_count) = (scheme.data_count(), scheme.parity_count());
        match take(&self.encoders) {
            Some(mut encoder) => {
                encoder.reset(data_count, parity_count, cell_size).ok().map(|()| encoder)
            }
            None => ReedSolomonEncoder::new(data_count, parity_count, cell_size).ok(),
        }
    }

    fn decoder(&self, scheme: Scheme, cell_size: usize) -> Option<ReedSolomonDecoder> {
        let (data_count, parity_count) = (scheme.data_count(), scheme.parity_count());
        match take(&self.decoders) {
            Some(mut decoder) => {
                decoder.reset(data_count, parity_count, cell_size).ok().map(|()| decoder)
            }
            None => ReedSolomonDecoder::new(data_count, parity_count, cell_size).ok(),
        }
    }
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

fn encode_parity(
    encoder: &mut ReedSolomonEncoder,
    data: &[Bytes],
) -> Result<Vec<Bytes>, reed_solomon_simd::Error> {
    for cell in data {
        encoder.add_original_shard(cell)?;
    }
    Ok(encoder.encode()?.recovery_iter().map(Bytes::copy_from_slice).collect())
}

fn decode(
    decoder: &mut ReedSolomonDecoder,
    data_count: usize,
    cells: &Cells,
) -> Result<Vec<(usize, Bytes)>, reed_solomon_simd::Error> {
    for (index, cell) in cells.iter().enumerate() {
        let Some(cell) = cell else { continue };
        if index < data_count {
            decoder.add_original_shard(index, cell)?;
        } else {
            decoder.add_recovery_shard(index - data_count, cell)?;
        }
    }
    let result = decoder.decode()?;
    Ok(result
        .restored_original_iter()
        .map(|(index, cell)| (index, Bytes::copy_from_slice(cell)))
        .collect())
}

fn take<T>(spaces: &Mutex<Vec<T>>) -> Option<T> {
    spaces.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn keep<T>(spaces: &Mutex<Vec<T>>, space: T) {
    let mut spaces = spaces.lock().unwrap_or_else(PoisonError::into_inner);
    if spaces.len() < KEPT_WORK_SPACES {
        spaces.push(space);
    }
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
    fn check_all_losses(codec: &Codec, scheme: Scheme, size: usize) {
        let stripe = Geometry::new(scheme, size as u64).stripe(0);
        let bytes = bytes(size, 7);
        let cells = codec.encode(scheme, &stripe, &bytes);
        assert_eq!(cells.len(), CHUNKS_PER_EXTENT);
        assert!(cells.iter().all(|cell| cell.len() == stripe.cell_size));
        for lost in 0..64_u8 {
            let mut left: Cells = std::array::from_fn(|index| {
                (lost & (1 << index) == 0).then(|| cells[index].clone())
            });
            let outcome = codec.reconstruct(scheme, &mut left);
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
        let codec = Codec::default();
        for scheme in Scheme::ALL {
            for size in [1, 2, 7, 8, 9, 63, 64, 65, 511, 4096, 100_003] {
                check_all_losses(&codec, scheme, size);
            }
        }
    }

    #[test]
    fn full_data_cells_are_not_copied() {
        let bytes = bytes(4096, 0);
        let stripe = Geometry::new(Scheme::FourTwo, 4096).stripe(0);
        let cells = Codec::default().encode(Scheme::FourTwo, &stripe, &bytes);
        assert!(cells[..4].iter().all(|cell| bytes.as_ptr_range().contains(&cell.as_ptr())));
    }

    #[test]
    fn cells_of_different_sizes_are_refused() {
        let mut cells: Cells = [4, 4, 6, 4, 4, 4].map(|size| Some(bytes(size, 1)));
        cells[0] = None;
        let codec = Codec::default();
        assert_eq!(codec.reconstruct(Scheme::FourTwo, &mut cells), Err(TooFewCells));
    }

    proptest! {
        #[test]
        fn any_stripe_survives_two_lost_cells(
            size in 1..3000_usize,
            seed in any::<u8>(),
            first in 0..6_usize,
            second in 0..6_usize,
        ) {
            let (codec, scheme) = (Codec::default(), Scheme::FourTwo);
            let stripe = Geometry::new(scheme, size as u64).stripe(0);
            let bytes = bytes(size, seed);
            let mut cells: Cells = std::array::from_fn({
                let whole = codec.encode(scheme, &stripe, &bytes);
                move |index| (index != first && index != second).then(|| whole[index].clone())
            });
            codec.reconstruct_data(scheme, &mut cells).unwrap();
            let joined = cells[..4].iter().flatten().flatten().copied().collect::<Vec<_>>();
            prop_assert_eq!(&joined[..size], &bytes[..]);
        }
    }
}
