//! MD5 of many bodies at once. A single MD5 can't be computed faster than half a gigabyte a
//! second, which makes it the dearest step of an upload; eight of them side by side in the lanes
//! of vectors cost as much as one.

mod queue;

pub(super) use queue::{Member, Queue};
use sixfold_lanes::md5::{BLOCK_BYTES, Block, EMPTY, LANES, State, compress_all, compress_one};

/// MD5 of the bytes so far.
#[derive(Clone, Debug)]
pub(super) struct Md5 {
    state: State,
    /// The beginning of a block that is not full yet.
    rest: Block,
    /// Bytes so far, those in `rest` among them.
    size: u64,
}

impl Md5 {
    pub(super) fn new() -> Self {
        Self { state: EMPTY, rest: [0; BLOCK_BYTES], size: 0 }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let blocks = self.take_edges(bytes);
        compress_one(&mut self.state, blocks);
    }

    /// The MD5 of all bytes.
    pub(super) fn finish(mut self) -> [u8; 16] {
        let bits = self.size.wrapping_mul(8).to_le_bytes();
        let used = self.rest_bytes();
        let zeros = if used < 56 { 55 - used } else { 119 - used };
        let mut padding = [0; 2 * BLOCK_BYTES];
        padding[0] = 0x80;
        padding[1 + zeros..9 + zeros].copy_from_slice(&bits);
        self.update(&padding[..9 + zeros]);
        let mut md5 = [0; 16];
        for (bytes, word) in md5.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        md5
    }

    #[allow(clippy::cast_possible_truncation)] // Less than a block.
    fn rest_bytes(&self) -> usize {
        (self.size % BLOCK_BYTES as u64) as usize
    }

    /// Takes the bytes that are not whole blocks: hashes what completes a block begun earlier,
    /// keeps what begins one. Answers the blocks between, which are still to be hashed.
    fn take_edges<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [Block] {
        let used = self.rest_bytes();
        self.size = self.size.wrapping_add(bytes.len() as u64);
        if used > 0 {
            let (head, tail) = bytes.split_at(bytes.len().min(BLOCK_BYTES - used));
            self.rest[used..used + head.len()].copy_from_slice(head);
            if used + head.len() < BLOCK_BYTES {
                return &[];
            }
            compress_one(&mut self.state, &[self.rest]);
            bytes = tail;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.rest[..rest.len()].copy_from_slice(rest);
        blocks
    }
}

/// For the micro-benchmarks: the MD5 of each message, hashed side by side.
#[cfg(feature = "micro")]
pub fn md5_of_all(messages: &[bytes::Bytes]) -> Vec<[u8; 16]> {
    let mut open: Vec<_> = messages.iter().map(|bytes| (Md5::new(), bytes.clone())).collect();
    update_all(&mut open);
    open.into_iter().map(|(md5, _)| md5.finish()).collect()
}

/// Takes the next bytes of several messages, side by side.
fn update_all(messages: &mut [(Md5, bytes::Bytes)]) {
    let mut open = messages
        .iter_mut()
        .map(|(md5, bytes)| {
            let blocks = md5.take_edges(bytes);
            (&mut md5.state, blocks)
        })
        .filter(|(_, blocks)| !blocks.is_empty())
        .collect::<Vec<_>>();
    while open.len() > 1 {
        let side_by_side = open.len().min(LANES);
        hash_lanes(&mut open[..side_by_side]);
        open.retain(|(_, blocks)| !blocks.is_empty());
    }
    for (state, blocks) in open {
        compress_one(state, blocks);
    }
}

/// Hashes at most [`LANES`] messages as far as the shortest goes. Lanes left over hash the
/// first once more, for nothing.
fn hash_lanes(messages: &mut [(&mut State, &[Block])]) {
    let count = messages.iter().map(|(_, blocks)| blocks.len()).min().unwrap_or(0);
    let lane = |lane: usize| if lane < messages.len() { lane } else { 0 };
    let blocks = std::array::from_fn(|at| &messages[lane(at)].1[..count]);
    let mut states = std::array::from_fn(|at| *messages[lane(at)].0);
    compress_all(&mut states, &blocks);
    for ((state, blocks), hashed) in messages.iter_mut().zip(states) {
        **state = hashed;
        *blocks = &blocks[count..];
    }
}

#[cfg(test)]
mod tests {
    use super::{Md5, update_all};
    use bytes::Bytes;
    use md5::Digest;
    use proptest::prelude::*;

    fn expected(bytes: &[u8]) -> [u8; 16] {
        md5::Md5::digest(bytes).into()
    }

    proptest! {
        #[test]
        fn one_message_in_pieces_is_what_md5_says(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        ) {
            let mut ours = Md5::new();
            for piece in &pieces {
                ours.update(piece);
            }
            prop_assert_eq!(ours.finish(), expected(&pieces.concat()));
        }

        #[test]
        fn messages_side_by_side_are_what_md5_says(
            messages in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..200), prop::collection::vec(any::<u8>(), 0..3000)),
                0..20,
            ),
        ) {
            let mut hashed = messages
                .iter()
                .map(|(first, second)| {
                    let mut md5 = Md5::new();
                    md5.update(first);
                    (md5, Bytes::copy_from_slice(second))
                })
                .collect::<Vec<_>>();
            update_all(&mut hashed);
            for ((md5, _), (first, second)) in hashed.into_iter().zip(&messages) {
                prop_assert_eq!(md5.finish(), expected(&[&first[..], second].concat()));
            }
        }
    }
}
