//! Objects of any size whose bytes follow from a seed, sent and compared as a stream.
//!
//! A test can move gigabytes without holding them, and knows every byte that must come back.

use anyhow::{Context as _, ensure};
use crc_fast::{CrcAlgorithm, Digest};

use crate::raw::{Connection, Request, Signer};

/// How much is sent and compared at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// A body that is never in memory as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// Bodies of different seeds differ in every piece.
    pub seed: u64,
    /// Its length.
    pub size_bytes: u64,
}

impl Body {
    /// The body of that seed and length.
    pub fn new(seed: u64, size_bytes: u64) -> Self {
        Self { seed, size_bytes }
    }

    /// The whole of it, for small ones.
    pub fn bytes(self) -> Vec<u8> {
        self.pieces().flatten().collect()
    }

    /// Its pieces in order.
    pub fn pieces(self) -> impl Iterator<Item = Vec<u8>> {
        let piece_bytes = PIECE_BYTES as u64;
        (0..self.size_bytes.div_ceil(piece_bytes)).map(move |index| {
            let left = self.size_bytes - index * piece_bytes;
            piece(self.seed, index, usize::try_from(left.min(piece_bytes)).expect("a piece"))
        })
    }

    /// Sends it as one unsigned `aws-chunked` frame with a CRC32 trailer, as SDKs do over TLS.
    pub async fn put(self, address: &str, signer: &Signer, target: &str) -> anyhow::Result<()> {
        let claim = crate::raw::Payload::Claimed("STREAMING-UNSIGNED-PAYLOAD-TRAILER".into());
        // An empty body has no frame but the last.
        let (opening, frame_end) = match self.size_bytes {
            0 => (String::new(), ""),
            size => (format!("{size:x}\r\n"), "\r\n"),
        };
        let closing = |sum: &str| format!("{frame_end}0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
        let length = (opening.len() + closing("AAAAAA==").len()) as u64 + self.size_bytes;
        let head = Request::put(target)
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", &self.size_bytes.to_string())
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("content-length", &length.to_string())
            .payload(claim)
            .sign(signer, address)
            .head_bytes();
        let mut connection = Connection::open(address).await?;
        connection.send(&head).await?;
        connection.send(opening.as_bytes()).await?;
        let mut digest = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
        for piece in self.pieces() {
            digest.update(&piece);
            connection.send(&piece).await?;
        }
        let sum = u32::try_from(digest.finalize()).context("a CRC of 32 bits")?;
        let sum = base64(sum.to_be_bytes());
        connection.send(closing(&sum).as_bytes()).await?;
        let answer = connection.answer(false).await?;
        ensure!(answer.status == 200, "PUT {target}: {} {}", answer.status, answer.text());
        Ok(())
    }

    /// Fetches the object and compares every byte.
    pub async fn check(self, address: &str, signer: &Signer, target: &str) -> anyhow::Result<()> {
        self.check_while(address, signer, target, |_| {}).await
    }

    /// As [`Body::check`], calling `at` with the number of bytes received before each piece.
    pub async fn check_while(
        self,
        address: &str,
        signer: &Signer,
        target: &str,
        mut at: impl FnMut(u64),
    ) -> anyhow::Result<()> {
        let mut connection = Connection::open(address).await?;
        connection.send(&Request::get(target).sign(signer, address).bytes()).await?;
        let head = connection.head().await?;
        ensure!(head.status == 200, "GET {target}: {}", head.status);
        let length = head.header("content-length").context("no content-length")?;
        ensure!(length == self.size_bytes.to_string(), "GET {target}: {length} bytes");
        let mut received = 0;
        let mut buffer = vec![0; PIECE_BYTES];
        for expected in self.pieces() {
            at(received);
            let mut filled = 0;
            while filled < expected.len() {
                let read = connection.read(&mut buffer[filled..expected.len()]).await?;
                ensure!(read > 0, "GET {target}: cut after {} bytes", received + filled as u64);
                filled += read;
            }
            ensure!(buffer[..filled] == expected, "GET {target}: other bytes after {received}");
            received += filled as u64;
        }
        Ok(())
    }
}

/// Bytes that follow from seed and index: xorshift64*, eight at a time.
fn piece(seed: u64, index: u64, size: usize) -> Vec<u8> {
    let mut state = (seed << 32 ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Base64 of four bytes; that is all a CRC32 needs.
fn base64(bytes: [u8; 4]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u64::from(u32::from_be_bytes(bytes)) << 4;
    let sign = |at: u32| char::from(SIGNS[(bits >> (30 - 6 * at) & 63) as usize]);
    (0..6).map(sign).chain(['=', '=']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_a_crc32() {
        assert_eq!(base64([0, 0, 0, 0]), "AAAAAA==");
        assert_eq!(base64([0xcb, 0xf4, 0x39, 0x26]), "y/Q5Jg==");
    }

    #[test]
    fn bodies_have_their_size_and_differ() {
        assert_eq!(Body::new(1, 3_000_001).bytes().len(), 3_000_001);
        assert_ne!(Body::new(1, 100).bytes(), Body::new(2, 100).bytes());
        let two = Body::new(1, 2 * PIECE_BYTES as u64).bytes();
        assert_ne!(two[..PIECE_BYTES], two[PIECE_BYTES..]);
    }
}
