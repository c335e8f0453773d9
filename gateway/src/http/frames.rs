//! The framing of a body (`aws-chunked`), followed on its way to s3s, which verifies signatures
//! and joins the frames but takes the end of the bytes for the end of the body, passes any
//! trailer, and knows nothing of Amazon's rules of size.
//!
//! ```text
//! <size in hex>[;chunk-signature=<64 hex>] CRLF <bytes> CRLF   any number of times
//! 0[;chunk-signature=<64 hex>] CRLF                            ends the frames
//! [<name>:<value> CRLF]                                        what was announced
//! [x-amz-trailer-signature:<64 hex> CRLF]                      behind it, if signed
//! CRLF
//! ```

use super::Refusal;
use super::body::{BodyError, Fate, incomplete};
use super::checks::trailer_names;
use super::s3s::MAX_SIGNED_FRAME_BYTES;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The least bytes of a signed frame that is not the last one.
const MIN_FRAME_BYTES: u64 = 8 * 1024;

/// The most hex digits of a frame's size; s3s reads as many and drops more.
const MAX_SIZE_DIGITS: u8 = 8;

/// The most bytes of all trailers, as s3s.
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// The trailer that signs the others.
const SIGNATURE: &str = "x-amz-trailer-signature";

/// A body whose framing is followed; its bytes pass as they are.
pub(super) struct Framed<B> {
    inner: B,
    fate: Fate,
    framing: Framing,
}

impl<B> Framed<B> {
    /// Follows the framing of a body.
    pub(super) fn new(inner: B, framing: Framing, fate: Fate) -> Self {
        Self { inner, fate, framing }
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for Framed<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        let verdict = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |data| this.framing.look(data)),
            Some(Err(_)) => Ok(()),
            None => this.framing.finish(),
        };
        let Err(wrong) = verdict else { return Poll::Ready(frame) };
        let refusal = Refusal::from(wrong);
        let code = refusal.code;
        this.fate.set(refusal);
        Poll::Ready(Some(Err(BodyError::Refused(code))))
    }

    /// Not before the end was looked at.
    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What is wrong with a framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// A frame may not have its size; why.
    Size(&'static str),
    /// What is there is no frame, or the last one is missing.
    Incomplete,
    /// The trailers are not those that were announced.
    Trailer,
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Size(message) => Self::bad_request("InvalidChunkSizeError", message),
            Wrong::Incomplete => incomplete(),
            Wrong::Trailer => Self::bad_request(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform \
                 to our published schema.",
            ),
        }
    }
}

/// Where in the framing a body is.
#[derive(Debug)]
enum At {
    /// In the size of a frame's head, of which so much is known.
    Size { size: u64, digits: u8 },
    /// Behind the size, before the end of the head's line.
    Head { size: u64 },
    /// In a frame's bytes and the line end behind them; so many are left.
    Data(u64),
    /// Behind the last frame.
    Trailers,
}

/// Follows the framing over pieces of any size. Pure.
#[derive(Debug)]
pub(super) struct Framing {
    is_signed: bool,
    /// Whether the body is so large that one of its frames may need more than eight digits.
    is_large: bool,
    /// The trailers that were announced and have not come, in lower case.
    expected: Vec<String>,
    at: At,
    /// Whether the frame before was below the minimum.
    was_small: bool,
    /// What came behind the last frame.
    trailers: Vec<u8>,
}

impl Framing {
    /// The framing that a request announces, if it does.
    pub(super) fn announced(headers: &HeaderMap) -> Option<Self> {
        let mode = headers.get("x-amz-content-sha256")?.to_str().ok()?;
        let is_framed = mode.starts_with("STREAMING-");
        is_framed.then(|| {
            let is_signed = mode.starts_with("STREAMING-AWS4-");
            let decoded = headers.get("x-amz-decoded-content-length");
            let size = decoded.and_then(|size| size.to_str().ok()?.parse::<u64>().ok());
            let is_large = size.is_some_and(|size| size > u64::from(u32::MAX));
            Self { is_large, ..Self::new(is_signed, trailer_names(headers).collect()) }
        })
    }

    /// Whether frames may come that s3s can't read; a signed one is refused by its size.
    pub(super) fn may_have_large_frames(&self) -> bool {
        self.is_large && !self.is_signed
    }

    fn new(is_signed: bool, expected: Vec<String>) -> Self {
        let at = At::Size { size: 0, digits: 0 };
        Self { is_signed, is_large: false, expected, at, was_small: false, trailers: Vec::new() }
    }

    /// Follows one piece.
    fn look(&mut self, mut piece: &[u8]) -> Result<(), Wrong> {
        while let Some((&first, rest)) = piece.split_first() {
            self.at = match (&self.at, first) {
                (At::Data(left), _) => {
                    let count = piece.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let at = match left - count as u64 {
                        0 => At::Size { size: 0, digits: 0 },
                        left => At::Data(left),
                    };
                    piece = &piece[count..];
                    self.at = at;
                    continue;
                }
                (At::Trailers, _) => return self.keep(piece),
                (At::Size { size, digits }, digit)
                    if digit.is_ascii_hexdigit() && *digits < MAX_SIZE_DIGITS =>
                {
                    let digit = char::from(digit).to_digit(16).unwrap_or_default();
                    At::Size { size: (size << 4) | u64::from(digit), digits: digits + 1 }
                }
                (At::Size { size, digits: 1.. }, b';' | b'\r') => At::Head { size: *size },
                (At::Size { .. }, _) => return Err(Wrong::Incomplete),
                (At::Head { size }, b'\n') => self.begin(*size)?,
                (At::Head { size }, _) => At::Head { size: *size },
            };
            piece = rest;
        }
        Ok(())
    }

    /// A frame's head is complete.
    fn begin(&mut self, size: u64) -> Result<At, Wrong> {
        if size == 0 {
            return Ok(At::Trailers);
        }
        if self.is_signed && self.was_small {
            let message = "Only the last chunk is allowed to have a size less than 8192 bytes";
            return Err(Wrong::Size(message));
        }
        if self.is_signed && size > MAX_SIGNED_FRAME_BYTES as u64 {
            let message = "A signed chunk may have a size of 16 MiB (16777216 bytes) at most";
            return Err(Wrong::Size(message));
        }
        self.was_small = size < MIN_FRAME_BYTES;
        Ok(At::Data(size + 2))
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), Wrong> {
        if self.trailers.len() + piece.len() > MAX_TRAILER_BYTES {
            return Err(Wrong::Trailer);
        }
        self.trailers.extend_from_slice(piece);
        Ok(())
    }

    /// The body is over.
    fn finish(&mut self) -> Result<(), Wrong> {
        if !matches!(self.at, At::Trailers) || !self.trailers.ends_with(b"\n") {
            return Err(Wrong::Incomplete);
        }
        let text = std::str::from_utf8(&self.trailers).map_err(|_| Wrong::Trailer)?;
        let (mut count, mut is_signature_there) = (0, false);
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, _) = line.split_once(':').ok_or(Wrong::Trailer)?;
            let name = name.to_ascii_lowercase();
            if name == SIGNATURE && !is_signature_there {
                is_signature_there = true;
                continue;
            }
            let index = self.expected.iter().position(|expected| *expected == name);
            self.expected.swap_remove(index.ok_or(Wrong::Trailer)?);
            count += 1;
        }
        let lacks_signature = self.is_signed && count > 0 && !is_signature_there;
        if lacks_signature || !self.expected.is_empty() {
            return Err(Wrong::Trailer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
