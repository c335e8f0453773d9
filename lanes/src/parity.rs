//! Two parity cells over a stripe's data cells, and lost data cells back from them.
//!
//! The code is the one of RAID-6: the first parity cell `P` is the sum of the data cells, the
//! second, `Q`, their sum with the weights 1, 2, 4, …, in the field of 256 elements modulo
//! x⁸ + x⁴ + x³ + x² + 1 (H. Peter Anvin, "The mathematics of RAID-6", 2004). Any two of all
//! cells may be lost. A sum is an exclusive or, and a weight is a doubling per data cell: plain
//! loops over arrays of lanes, of which the compiler makes vector code, without tables.

#![allow(clippy::inline_always)] // What isn't inlined isn't compiled for wide vectors.

use crate::widest::{self, Work};

/// Bytes worked on at once: what fits the registers of every 64-bit processor.
const LANES: usize = 64;

/// What a doubling that overflows eight bits has to take off: the field's polynomial.
const OVERFLOW: u8 = 0x1d;

/// Some bytes of one cell, each an element of the field.
#[derive(Clone, Copy)]
struct Block([u8; LANES]);

impl Block {
    const ZERO: Self = Self([0; LANES]);

    /// The bytes of a cell from `at` on, followed by zeros where it ends.
    #[inline(always)]
    fn of(cell: &[u8], at: usize) -> Self {
        let rest = &cell[at..];
        if let Some(whole) = rest.first_chunk() {
            return Self(*whole);
        }
        let mut block = Self::ZERO;
        block.0[..rest.len()].copy_from_slice(rest);
        block
    }

    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        for (byte, other) in self.0.iter_mut().zip(other.0) {
            *byte ^= other;
        }
        self
    }

    #[inline(always)]
    fn doubled(mut self) -> Self {
        for byte in &mut self.0 {
            let overflows = (byte.cast_signed() >> 7).cast_unsigned();
            *byte = (*byte << 1) ^ (overflows & OVERFLOW);
        }
        self
    }

    /// The product with one element, bit by bit from the highest.
    #[inline(always)]
    fn times(self, factor: u8) -> Self {
        let mut product = Self::ZERO;
        for bit in (0..u8::BITS).rev() {
            product = product.doubled();
            if factor & (1 << bit) != 0 {
                product = product.plus(self);
            }
        }
        product
    }
}

/// One of the two parity cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// The sum.
    P,
    /// The weighted sum.
    Q,
}

/// The parity cells `P` and `Q` over data cells of one size.
pub fn both(data: &[&[u8]]) -> [Vec<u8>; 2] {
    widest::run(Both(data))
}

/// The parity cell `P` alone.
pub fn sum(data: &[&[u8]]) -> Vec<u8> {
    let [sum] = widest::run(Sum(data));
    sum
}

/// The one lost data cell, `None` in `data`, from the parity cell `parity`, which is `which`.
pub fn restore_one(data: &[Option<&[u8]>], which: Parity, parity: &[u8]) -> Vec<u8> {
    let lost = data.iter().position(Option::is_none).unwrap_or(0);
    let factor = match which {
        Parity::P => 1,
        Parity::Q => inverse(power(lost)),
    };
    let [restored] = widest::run(RestoreOne { data, which, parity, factor });
    restored
}

/// The two lost data cells, `None` in `data`, from both parity cells.
pub fn restore_two(data: &[Option<&[u8]>], p: &[u8], q: &[u8]) -> [Vec<u8>; 2] {
    let mut lost = (0..data.len()).filter(|&index| data[index].is_none());
    let [first, second] = [lost.next().unwrap_or(0), lost.next().unwrap_or(1)];
    let factor = inverse(power(first) ^ power(second));
    widest::run(RestoreTwo { data, p, q, second, factor })
}

struct Both<'a>(&'a [&'a [u8]]);

impl Work for Both<'_> {
    type Output = [Vec<u8>; 2];

    #[inline(always)]
    fn run(self) -> Self::Output {
        cells(self.0.first().map_or(0, |cell| cell.len()), |at| {
            let mut sums = [Block::ZERO; 2];
            for cell in self.0.iter().rev() {
                let block = Block::of(cell, at);
                sums = [sums[0].plus(block), sums[1].doubled().plus(block)];
            }
            sums
        })
    }
}

struct Sum<'a>(&'a [&'a [u8]]);

impl Work for Sum<'_> {
    type Output = [Vec<u8>; 1];

    #[inline(always)]
    fn run(self) -> Self::Output {
        cells(self.0.first().map_or(0, |cell| cell.len()), |at| {
            let mut sum = Block::ZERO;
            for cell in self.0 {
                sum = sum.plus(Block::of(cell, at));
            }
            [sum]
        })
    }
}

struct RestoreOne<'a> {
    data: &'a [Option<&'a [u8]>],
    which: Parity,
    parity: &'a [u8],
    factor: u8,
}

impl Work for RestoreOne<'_> {
    type Output = [Vec<u8>; 1];

    #[inline(always)]
    fn run(self) -> Self::Output {
        cells(self.parity.len(), |at| {
            let [p, q] = sums_of_known(self.data, at);
            let parity = Block::of(self.parity, at);
            [match self.which {
                Parity::P => parity.plus(p),
                Parity::Q => parity.plus(q).times(self.factor),
            }]
        })
    }
}

struct RestoreTwo<'a> {
    data: &'a [Option<&'a [u8]>],
    p: &'a [u8],
    q: &'a [u8],
    second: usize,
    factor: u8,
}

impl Work for RestoreTwo<'_> {
    type Output = [Vec<u8>; 2];

    /// What P and Q lack is x + y and 2^i x + 2^j y: multiply the first by 2^j, add the second,
    /// and (2^i + 2^j) x is left.
    #[inline(always)]
    fn run(self) -> Self::Output {
        cells(self.p.len(), |at| {
            let [known_p, known_q] = sums_of_known(self.data, at);
            let (p, q) = (Block::of(self.p, at).plus(known_p), Block::of(self.q, at).plus(known_q));
            let mut x = p;
            for _ in 0..self.second {
                x = x.doubled();
            }
            let x = x.plus(q).times(self.factor);
            [x, x.plus(p)]
        })
    }
}

/// What the known data cells put into P and into Q.
#[inline(always)]
fn sums_of_known(data: &[Option<&[u8]>], at: usize) -> [Block; 2] {
    let mut sums = [Block::ZERO; 2];
    for cell in data.iter().rev() {
        sums[1] = sums[1].doubled();
        if let Some(cell) = cell {
            let block = Block::of(cell, at);
            sums = sums.map(|sum| sum.plus(block));
        }
    }
    sums
}

/// Cells of `size` bytes, made block by block.
#[inline(always)]
fn cells<const N: usize>(size: usize, make: impl Fn(usize) -> [Block; N]) -> [Vec<u8>; N] {
    let mut cells: [Vec<u8>; N] = std::array::from_fn(|_| Vec::with_capacity(size));
    for at in (0..size).step_by(LANES) {
        let left = LANES.min(size - at);
        for (cell, block) in cells.iter_mut().zip(make(at)) {
            cell.extend_from_slice(&block.0[..left]);
        }
    }
    cells
}

/// The weight of a data cell in Q: two to the power of its index.
fn power(index: usize) -> u8 {
    (0..index).fold(1, |weight, _| product(weight, 2))
}

/// The element whose product with `element` is one. `element` is not zero.
fn inverse(element: u8) -> u8 {
    // Every element but zero has the order 255 or a divisor of it.
    (0..254).fold(1, |power, _| product(power, element))
}

fn product(a: u8, b: u8) -> u8 {
    let mut block = Block::ZERO;
    block.0[0] = a;
    block.times(b).0[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

    /// Multiplies as on paper: a polynomial product of 15 bits, then the remainder.
    fn product_on_paper(a: u8, b: u8) -> u8 {
        let mut product = (0..8).fold(0_u32, |sum, bit| {
            sum ^ if b & (1 << bit) == 0 { 0 } else { u32::from(a) << bit }
        });
        for bit in (8..15).rev() {
            if product & (1 << bit) != 0 {
                product ^= 0x11d << (bit - 8);
            }
        }
        product as u8
    }

    #[test]
    fn products_are_those_of_the_field() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(product(a, b), product_on_paper(a, b), "{a} {b}");
            }
        }
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        for element in 1..=255 {
            assert_eq!(product(element, inverse(element)), 1, "{element}");
        }
    }

    /// The bytes that chunks on drives hold: they may not change without a new format.
    #[test]
    fn parity_is_what_it_was() {
        let data = [[1, 2, 0x80], [3, 4, 0x80], [5, 6, 0x80], [7, 8, 0xff]];
        let data = data.each_ref().map(|cell| &cell[..]);
        let [p, q] = both(&data);
        assert_eq!(p, [0, 8, 0x7f]);
        assert_eq!(q, [43, 82, 12]);
        assert_eq!(sum(&data), p);
    }

    fn cells_of(sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<u8>>> {
        sizes.prop_flat_map(|size| vec(vec(any::<u8>(), size), 4))
    }

    proptest! {
        #[test]
        fn doubling_is_a_product_with_two(bytes in any::<[u8; 32]>()) {
            let block = Block::of(&bytes, 0);
            let expected = bytes.map(|byte| product_on_paper(byte, 2));
            prop_assert_eq!(&block.doubled().0[..32], &expected);
        }

        #[test]
        fn lost_cells_come_back(data in cells_of(1..300), lost in 0..4_usize, also in 0..4_usize) {
            let whole = data.iter().map(|cell| &cell[..]).collect::<Vec<_>>();
            let [p, q] = both(&whole);
            let left = |gone: &[usize]| {
                (0..4).map(|i| (!gone.contains(&i)).then_some(whole[i])).collect::<Vec<_>>()
            };
            prop_assert_eq!(&restore_one(&left(&[lost]), Parity::P, &p), &data[lost]);
            prop_assert_eq!(&restore_one(&left(&[lost]), Parity::Q, &q), &data[lost]);
            if lost < also {
                let [x, y] = restore_two(&left(&[lost, also]), &p, &q);
                prop_assert_eq!([&x, &y], [&data[lost], &data[also]]);
            }
        }
    }
}
