//! Unsigned frames of 4 GiB and more, cut into smaller ones on their way: s3s reads eight hex digits
//! of a frame's size, and some clients send a body as one frame, which may have 5 GiB.

use super::body::BodyError;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most bytes of a frame that is passed on.
const MAX_FRAME_BYTES: u64 = 1 << 30;

/// A body whose frames are cut.
pub(super) struct LargeFrames<B> {
    inner: B,
    cut: Cut,
    ready: VecDeque<Bytes>,
}

impl<B> LargeFrames<B> {
    /// Cuts the frames of a body that is framed and unsigned.
    pub(super) fn new(inner: B) -> Self {
        Self { inner, cut: Cut::new(MAX_FRAME_BYTES), ready: VecDeque::new() }
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for LargeFrames<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => this.cut.take(piece, &mut this.ready),
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Where in the framing a body is.
enum At {
    /// In a frame's head.
    Head(Vec<u8>),
    /// In a frame's bytes and the line end behind them: so many until the next head that is sent,
    /// and so many bytes of the frame behind that.
    Data { left: u64, behind: u64 },
    /// Behind the last frame, or in something that is none: whoever follows the framing judges it.
    Rest,
}

/// Cuts over pieces of any size. Pure.
struct Cut {
    at: At,
    most: u64,
}

impl Cut {
    fn new(most: u64) -> Self {
        Self { at: At::Head(Vec::new()), most }
    }

    fn take(&mut self, mut piece: Bytes, out: &mut VecDeque<Bytes>) {
        while !piece.is_empty() {
            match &mut self.at {
                At::Rest => out.push_back(std::mem::take(&mut piece)),
                At::Head(head) => {
                    let end = piece.iter().position(|byte| *byte == b'\n');
                    head.extend_from_slice(&piece.split_to(end.map_or(piece.len(), |at| at + 1)));
                    if end.is_some() {
                        let head = std::mem::take(head);
                        self.begin(head, out);
                    }
                }
                At::Data { left, behind } => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                    out.push_back(piece.split_to(count));
                    let (left, behind) = (*left - count as u64, *behind);
                    self.at = At::Data { left, behind };
                    if left == 0 {
                        self.go_on(behind, out);
                    }
                }
            }
        }
    }

    /// A frame's head is complete.
    fn begin(&mut self, head: Vec<u8>, out: &mut VecDeque<Bytes>) {
        let size = head.strip_suffix(b"\r\n").and_then(|text| std::str::from_utf8(text).ok());
        let is_hex = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = size.filter(is_hex).and_then(|text| u64::from_str_radix(text, 16).ok());
        match size {
            Some(size) if size > self.most => self.send_head(size, out),
            Some(size) if size > 0 => {
                out.push_back(head.into());
                self.at = At::Data { left: size + 2, behind: 0 };
            }
            _ => {
                out.push_back(head.into());
                self.at = At::Rest;
            }
        }
    }

    /// Everything before the next head has been passed on.
    fn go_on(&mut self, behind: u64, out: &mut VecDeque<Bytes>) {
        if behind == 0 {
            self.at = At::Head(Vec::new());
            return;
        }
        out.push_back(Bytes::from_static(b"\r\n"));
        self.send_head(behind, out);
    }

    /// The head of a frame made of the next bytes of a larger one. Only the last has the line end
    /// that the client sends.
    fn send_head(&mut self, size: u64, out: &mut VecDeque<Bytes>) {
        let part = size.min(self.most);
        out.push_back(format!("{part:x}\r\n").into());
        let behind = size - part;
        let line_end = if behind == 0 { 2 } else { 0 };
        self.at = At::Data { left: part + line_end, behind };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], piece_size: usize, most: u64) -> Vec<u8> {
        let (mut cut, mut out) = (Cut::new(most), VecDeque::new());
        for piece in text.chunks(piece_size) {
            cut.take(Bytes::copy_from_slice(piece), &mut out);
        }
        out.into_iter().flatten().collect()
    }

    #[test]
    fn a_large_frame_becomes_several() {
        let framed = b"a\r\n0123456789\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        let expected: &[u8] =
            b"4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        for piece_size in 1..framed.len() {
            assert_eq!(cut(framed, piece_size, 4), expected, "{piece_size}");
        }
    }

    #[test]
    fn frames_of_a_passing_size_and_what_is_no_frame_stay_as_they_are() {
        for text in [
            &b"4\r\n0123\r\n0\r\n\r\n"[..],
            b"0\r\n\r\n",
            b"xyz\r\n0123456789",
            b"4;chunk-signature=0\r\n0123456789\r\n",
            b"+8\r\n01234567\r\n",
        ] {
            for piece_size in 1..=text.len() {
                assert_eq!(cut(text, piece_size, 4), text, "{piece_size}");
            }
        }
    }
}
