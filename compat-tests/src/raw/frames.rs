//! `aws-chunked` bodies: frames, their signatures and trailers.
//!
//! A signed frame is `<hex size>;chunk-signature=<64 hex>\r\n<bytes>\r\n`, an unsigned one lacks the
//! signature. A frame of size 0 ends the body, then come the trailers, one per line; with signed
//! frames the last of them is `x-amz-trailer-signature`.

use aws_sigv4::http_request::SigningSettings;
use aws_sigv4::sign::v4::{self, SigningParams};
use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;

/// How a body is cut into frames.
#[derive(Debug, Clone)]
pub struct Frames {
    size: usize,
    signed: bool,
    trailers: Vec<(String, String)>,
}

impl Frames {
    /// Frames of `size` bytes, each with its signature.
    pub fn signed(size: usize) -> Self {
        Self { size, signed: true, trailers: Vec::new() }
    }

    /// Frames of `size` bytes without signatures.
    pub fn unsigned(size: usize) -> Self {
        Self { size, signed: false, trailers: Vec::new() }
    }

    /// Adds a trailing header.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// The `x-amz-content-sha256` of this framing.
    pub(super) fn mode(&self) -> &'static str {
        match (self.signed, self.trailers.is_empty()) {
            (true, true) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            (true, false) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            (false, _) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    /// The headers that announce it.
    pub(super) fn headers(&self, body_size: usize) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-encoding".to_owned(), "aws-chunked".to_owned()),
            ("x-amz-decoded-content-length".to_owned(), body_size.to_string()),
        ];
        for (name, _) in &self.trailers {
            headers.push(("x-amz-trailer".to_owned(), name.clone()));
        }
        headers
    }

    /// The framed body; `seed` is the signature of the request's head.
    pub(super) fn encode(
        &self,
        body: &[u8],
        seed: &str,
        params: &SigningParams<'_, SigningSettings>,
    ) -> Vec<u8> {
        let mut framed = Vec::new();
        let mut signature = seed.to_owned();
        for frame in body.chunks(self.size.max(1)).chain([&[][..]]) {
            let mut line = format!("{:x}", frame.len());
            if self.signed {
                let frame = Bytes::copy_from_slice(frame);
                let output = v4::sign_chunk(&frame, &signature, params).expect("a frame");
                output.signature().clone_into(&mut signature);
                line.push_str(";chunk-signature=");
                line.push_str(&signature);
            }
            framed.extend_from_slice(line.as_bytes());
            framed.extend_from_slice(b"\r\n");
            framed.extend_from_slice(frame);
            if !frame.is_empty() {
                framed.extend_from_slice(b"\r\n");
            }
        }
        self.encode_trailers(&mut framed, &signature, params);
        framed.extend_from_slice(b"\r\n");
        framed
    }

    fn encode_trailers(
        &self,
        framed: &mut Vec<u8>,
        signature: &str,
        params: &SigningParams<'_, SigningSettings>,
    ) {
        let mut trailing = Headers::new();
        for (name, value) in &self.trailers {
            framed.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            trailing.append(name.clone(), value.clone());
        }
        if self.signed && !self.trailers.is_empty() {
            let output = v4::sign_trailer(&trailing, signature, params).expect("trailers");
            let line = format!("x-amz-trailer-signature:{}\r\n", output.signature());
            framed.extend_from_slice(line.as_bytes());
        }
    }
}
