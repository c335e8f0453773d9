//! The bytes of a journal, version 1; written and read here only. Numbers are little-endian,
//! ids big-endian.
//!
//! ```text
//! batch, at a multiple of 4096             piece, one behind the other
//!  0  4 magic "6FJB"                        0 16 id of the member
//!  4  2 version                            16  4 number of its segment
//!  6  2 zero                               20  4 offset in it
//!  8 16 id of the journal                  24  4 bytes that stand there
//! 24  8 number of the batch, from 1        28  4 zero
//! 32  8 number of the oldest one needed    32  8 XXH3 of bytes 0 to 31 and those bytes
//! 40  4 bytes of the pieces                40    those bytes
//! 44 12 zero
//! 56  8 XXH3 of bytes 0 to 55
//! 64    the pieces
//! ```
//!
//! A piece says what stands where, so that writing it once more changes nothing, however often
//! and in which order that is done. It has a checksum of its own: what is torn or rotten costs
//! itself only. A batch begins at a page of its own, so that writing it can't tear the one before;
//! the oldest that is needed beside it says which must be there. The journal's id tells batches
//! of an earlier journal, for which the same blocks of the drive may have served.

use std::hash::Hasher as _;
use std::io::IoSlice;
use twox_hash::XxHash3_64;
use uuid::Uuid;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u16 = 1;
/// Batches start at multiples of this.
pub(super) const ALIGNMENT: usize = 4096;
/// Bytes of a batch's header.
pub(super) const BATCH_HEADER_BYTES: usize = 64;
/// Bytes of a piece's header.
pub(super) const PIECE_HEADER_BYTES: usize = 40;

const MAGIC: [u8; 4] = *b"6FJB";

const _: () = assert!(BATCH_HEADER_BYTES == 56 + 8 && BATCH_HEADER_BYTES < ALIGNMENT);
const _: () = assert!(PIECE_HEADER_BYTES == 32 + 8);

/// What the first bytes of a batch say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    /// The journal.
    pub(super) journal: Uuid,
    /// Batches are numbered from 1.
    pub(super) number: u64,
    /// The oldest batch whose segments may not be synced.
    pub(super) oldest: u64,
    /// Bytes of all pieces with their headers.
    pub(super) bytes: u32,
}

impl BatchHeader {
    /// The header's bytes.
    pub(super) fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..24].copy_from_slice(self.journal.as_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.bytes.to_le_bytes());
        let checksum = XxHash3_64::oneshot(&bytes[..56]);
        bytes[56..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` when it is none, damaged, or of an unknown version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BATCH_HEADER_BYTES] = bytes.first_chunk()?;
        let checksum = u64::from_le_bytes(*bytes[56..].first_chunk()?);
        let known = bytes[..4] == MAGIC && bytes[4..6] == VERSION.to_le_bytes();
        if !known || checksum != XxHash3_64::oneshot(&bytes[..56]) {
            return None;
        }
        Some(Self {
            journal: Uuid::from_bytes(*bytes[8..].first_chunk()?),
            number: u64::from_le_bytes(*bytes[24..].first_chunk()?),
            oldest: u64::from_le_bytes(*bytes[32..].first_chunk()?),
            bytes: u32::from_le_bytes(*bytes[40..].first_chunk()?),
        })
    }
}

/// A piece as it is read: what it is, and its bytes.
pub(super) type Piece<'a> = (PieceHeader, &'a [u8]);

/// Which bytes of which segment a piece holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceHeader {
    /// The drive, by what its mark calls it.
    pub(super) member: Uuid,
    /// The segment's number.
    pub(super) segment: u32,
    /// Where the bytes stand in it.
    pub(super) offset: u32,
    /// How many they are.
    pub(super) length: u32,
}

impl PieceHeader {
    /// The header's bytes, before these.
    pub(super) fn encode(&self, slices: &[IoSlice<'_>]) -> [u8; PIECE_HEADER_BYTES] {
        let mut bytes = [0; PIECE_HEADER_BYTES];
        bytes[..16].copy_from_slice(self.member.as_bytes());
        bytes[16..20].copy_from_slice(&self.segment.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        let mut checksum = XxHash3_64::new();
        checksum.write(&bytes[..32]);
        slices.iter().for_each(|slice| checksum.write(slice));
        bytes[32..].copy_from_slice(&checksum.finish().to_le_bytes());
        bytes
    }

    /// Takes the first piece off those of a batch: it, if it is whole, and what is behind it.
    /// Where not even its length can be right there is no more.
    pub(super) fn split_first(pieces: &[u8]) -> Option<(Option<Piece<'_>>, &[u8])> {
        let (header, rest) = pieces.split_first_chunk::<PIECE_HEADER_BYTES>()?;
        let expected = u64::from_le_bytes(*header[32..].first_chunk()?);
        let mut checksum = XxHash3_64::new();
        checksum.write(&header[..32]);
        let header = Self {
            member: Uuid::from_bytes(*header.first_chunk()?),
            segment: u32::from_le_bytes(*header[16..].first_chunk()?),
            offset: u32::from_le_bytes(*header[20..].first_chunk()?),
            length: u32::from_le_bytes(*header[24..].first_chunk()?),
        };
        let (bytes, rest) = rest.split_at_checked(header.length as usize)?;
        checksum.write(bytes);
        Some(((checksum.finish() == expected).then_some((header, bytes)), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            journal: u128, member: u128, number: u64, oldest: u64, segment: u32, offset: u32,
            bytes in proptest::collection::vec(any::<u8>(), 0..100), flipped in 0_usize..64,
        ) {
            let length = bytes.len() as u32;
            let journal = Uuid::from_u128(journal);
            let batch = BatchHeader { journal, number, oldest, bytes: length };
            let mut encoded = batch.encode();
            prop_assert_eq!(BatchHeader::decode(&encoded), Some(batch));
            encoded[flipped] ^= 0x10;
            prop_assert_eq!(BatchHeader::decode(&encoded), None);
            let piece = PieceHeader { member: Uuid::from_u128(member), segment, offset, length };
            let (first, second) = bytes.split_at(bytes.len() / 3);
            let header = piece.encode(&[IoSlice::new(first), IoSlice::new(second)]);
            let mut encoded = [&header[..], &bytes[..], b"next"].concat();
            let expected = Some((Some((piece, &bytes[..])), &b"next"[..]));
            prop_assert_eq!(PieceHeader::split_first(&encoded), expected);
            let mut rotten = encoded.clone();
            rotten[flipped % (PIECE_HEADER_BYTES + bytes.len())] ^= 0x10;
            if let Some((piece, _)) = PieceHeader::split_first(&rotten) {
                prop_assert_eq!(piece, None);
            }
            encoded.truncate(PIECE_HEADER_BYTES + bytes.len());
            encoded.pop();
            prop_assert_eq!(PieceHeader::split_first(&encoded), None);
        }
    }
}
