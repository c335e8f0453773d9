//! MD5's compression (RFC 1321) of several messages at once: one message in each lane of a vector.

#![allow(clippy::inline_always)] // What isn't inlined isn't compiled for wide vectors.

use crate::widest::{self, Work};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64;

/// Messages hashed at once.
pub const LANES: usize = 8;

/// A block of a message.
pub type Block = [u8; BLOCK_BYTES];

/// What has been hashed of a message so far.
pub type State = [u32; 4];

/// The state of a message of which nothing has been hashed.
pub const EMPTY: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The first 32 bits behind the point of `|sin(1)|`, `|sin(2)|`, … for each step.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// How far the steps of each round rotate.
const ROTATIONS: [[u32; 4]; 4] =
    [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// Hashes the blocks of one message.
pub fn compress_one(state: &mut State, blocks: &[Block]) {
    let mut states = [*state];
    compress(&mut states, &[blocks]);
    [*state] = states;
}

/// Hashes the blocks of several messages: of each as many as the shortest has.
pub fn compress_all(states: &mut [State; LANES], blocks: &[&[Block]; LANES]) {
    widest::run(CompressAll(states, blocks));
}

struct CompressAll<'a>(&'a mut [State; LANES], &'a [&'a [Block]; LANES]);

impl Work for CompressAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        compress(self.0, self.1);
    }
}

#[inline(always)]
fn compress<const N: usize>(states: &mut [State; N], blocks: &[&[Block]; N]) {
    let mut sums: [[u32; N]; 4] =
        std::array::from_fn(|part| std::array::from_fn(|lane| states[lane][part]));
    let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    for at in 0..count {
        let words = words(blocks, at);
        // The loop that becomes vector code: all steps of a lane are its body.
        for lane in 0..N {
            let before = [sums[0][lane], sums[1][lane], sums[2][lane], sums[3][lane]];
            let after = rounds(before, |index| words[index][lane]);
            for part in 0..4 {
                sums[part][lane] = before[part].wrapping_add(after[part]);
            }
        }
    }
    for (lane, state) in states.iter_mut().enumerate() {
        *state = std::array::from_fn(|part| sums[part][lane]);
    }
}

/// The words of a block of each message, those of one index side by side.
#[inline(always)]
fn words<const N: usize>(blocks: &[&[Block]; N], at: usize) -> [[u32; N]; 16] {
    let mut words = [[0; N]; 16];
    for lane in 0..N {
        for (index, word) in blocks[lane][at].chunks_exact(4).enumerate() {
            words[index][lane] = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        }
    }
    words
}

/// The four rounds of 16 steps.
#[inline(always)]
fn rounds(mut state: State, word: impl Fn(usize) -> u32) -> State {
    for i in 0..16 {
        let [_, b, c, d] = state;
        state = step(state, d ^ (b & (c ^ d)), word(i), SINES[i], ROTATIONS[0][i % 4]);
    }
    for i in 0..16 {
        let [_, b, c, d] = state;
        let word = word((5 * i + 1) % 16);
        state = step(state, c ^ (d & (b ^ c)), word, SINES[16 + i], ROTATIONS[1][i % 4]);
    }
    for i in 0..16 {
        let [_, b, c, d] = state;
        let word = word((3 * i + 5) % 16);
        state = step(state, b ^ c ^ d, word, SINES[32 + i], ROTATIONS[2][i % 4]);
    }
    for i in 0..16 {
        let [_, b, c, d] = state;
        let word = word(7 * i % 16);
        state = step(state, c ^ (b | !d), word, SINES[48 + i], ROTATIONS[3][i % 4]);
    }
    state
}

#[inline(always)]
fn step([a, b, c, d]: State, mixed: u32, word: u32, sine: u32, rotation: u32) -> State {
    let sum = a.wrapping_add(mixed).wrapping_add(word).wrapping_add(sine);
    [d, sum.rotate_left(rotation).wrapping_add(b), b, c]
}
