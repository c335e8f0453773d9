//! The sizes of signed frames (`aws-chunked`), looked at on their way to s3s, which checks their
//! signatures but not Amazon's rules of size: only the last frame of a body may hold less than
//! 8 KiB. What is no frame at all is left to s3s to refuse.

use super::Refusal;
use super::body::{BodyError, Fate};
use super::s3s::MAX_SIGNED_FRAME_BYTES;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The least bytes of a signed frame that is not the last one.
const MIN_FRAME_BYTES: u64 = 8 * 1024;

/// Whether a request announces a body of signed frames.
pub(super) fn are_announced(headers: &HeaderMap) -> bool {
    let mode = headers.get("x-amz-content-sha256").and_then(|mode| mode.to_str().ok());
    mode.is_some_and(|mode| mode.starts_with("STREAMING-AWS4-"))
}

/// A body whose frames are looked at; its bytes pass as they are.
pub(super) struct SizedFrames<B> {
    inner: B,
    fate: Fate,
    sizes: Sizes,
}

impl<B> SizedFrames<B> {
    /// Looks at the frames of a body.
    pub(super) fn new(inner: B, fate: Fate) -> Self {
        Self { inner, fate, sizes: Sizes::default() }
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for SizedFrames<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(message) = this.sizes.look(data)
        {
            this.fate.set(Refusal::bad_request("InvalidChunkSizeError", message));
            return Poll::Ready(Some(Err(BodyError::Refused(message))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Where in the framing a body is.
#[derive(Debug)]
enum At {
    /// In the size of a frame's head, of which so much is known.
    Size(u64),
    /// Behind the size, before the end of the head's line.
    Head,
    /// In a frame's bytes and the line end behind them; so many are left.
    Data(u64),
    /// Behind the last frame, or in something that is no frame.
    Done,
}

/// Follows the framing over pieces of any size. Pure.
#[derive(Debug)]
struct Sizes {
    at: At,
    /// The size of the frame whose head is being read.
    size: u64,
    /// Whether the frame before was below the minimum.
    was_small: bool,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { at: At::Size(0), size: 0, was_small: false }
    }
}

impl Sizes {
    /// Follows one piece; the error is what the client is told.
    fn look(&mut self, mut piece: &[u8]) -> Result<(), &'static str> {
        while let Some((&first, rest)) = piece.split_first() {
            if matches!(self.at, At::Done) {
                return Ok(());
            }
            if let At::Data(left) = self.at {
                let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                piece = &piece[count..];
                self.at = match left - count as u64 {
                    0 => At::Size(0),
                    left => At::Data(left),
                };
                continue;
            }
            self.at = match (&self.at, first) {
                (At::Size(size), digit) if digit.is_ascii_hexdigit() && size >> 56 == 0 => {
                    let digit = char::from(digit).to_digit(16).unwrap_or_default();
                    At::Size((size << 4) | u64::from(digit))
                }
                (At::Size(size), b';' | b'\r') => {
                    self.size = *size;
                    At::Head
                }
                (At::Head, b'\n') => self.begin()?,
                (At::Head, _) => At::Head,
                _ => At::Done,
            };
            piece = rest;
        }
        Ok(())
    }

    /// A frame's head is complete.
    fn begin(&mut self) -> Result<At, &'static str> {
        if self.size == 0 {
            return Ok(At::Done);
        }
        if self.was_small {
            return Err("Only the last chunk is allowed to have a size less than 8192 bytes");
        }
        if self.size > MAX_SIGNED_FRAME_BYTES as u64 {
            return Err("A signed chunk may have a size of 16 MiB (16777216 bytes) at most");
        }
        self.was_small = self.size < MIN_FRAME_BYTES;
        Ok(At::Data(self.size + 2))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_SIGNED_FRAME_BYTES, Sizes};
    use proptest::prelude::{prop_assert_eq, proptest};

    /// A body of frames of these sizes, with the frame of size zero behind them.
    fn framed(sizes: &[usize]) -> Vec<u8> {
        let mut body = Vec::new();
        for size in sizes.iter().chain(&[0]) {
            body.extend(format!("{size:x};chunk-signature={:064}\r\n", 7).bytes());
            body.extend(vec![b'\n'; *size]);
            body.extend(b"\r\n");
        }
        body
    }

    fn is_accepted(body: &[u8], piece: usize) -> bool {
        let mut sizes = Sizes::default();
        body.chunks(piece).all(|piece| sizes.look(piece).is_ok())
    }

    proptest! {
        #[test]
        fn a_small_frame_is_the_last_one(
            sizes in proptest::collection::vec(1..20_000_usize, 0..6),
            piece in 1..5000_usize,
        ) {
            let small = sizes.iter().position(|size| *size < 8192);
            let is_right = small.is_none_or(|at| at + 1 == sizes.len());
            prop_assert_eq!(is_accepted(&framed(&sizes), piece), is_right);
        }
    }

    #[test]
    fn a_frame_of_over_16_mib_is_refused() {
        let head = |size: usize| format!("{size:X};chunk-signature=0\r\n").into_bytes();
        assert!(is_accepted(&head(MAX_SIGNED_FRAME_BYTES), 3));
        assert!(!is_accepted(&head(MAX_SIGNED_FRAME_BYTES + 1), 3));
    }

    #[test]
    fn what_is_no_frame_is_left_to_others() {
        for body in [&b"hello"[..], b"xyz;", b"ffffffffffffffffffff;\r\n", b"10 \r\n", b""] {
            assert!(is_accepted(body, 2));
        }
    }
}
