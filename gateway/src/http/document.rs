//! XML bodies: read whole (they are small), verified, and looked through before s3s parses them.
//!
//! s3s reads a document and forgets its bytes, so `Content-MD5`, `x-amz-checksum-*` and the
//! signed hash of one could not be checked behind it. It reads only after the signature and the
//! access check; so does this body, which is why nobody without a key can make us hold one.

use super::Refusal;
use super::body::{BodyError, Fate};
use super::unused;
use super::xml::check_xml;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The largest document: `CompleteMultipartUpload` with 10 000 parts and the longest checksums
/// takes 2 MiB, `DeleteObjects` with 1000 keys of 1 KiB, every byte of them escaped, over 6 MiB.
const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// What the head says about the document's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// `Content-MD5`.
    md5: Option<String>,
    /// `x-amz-content-sha256`, when it is a hash.
    sha256: Option<String>,
    /// `x-amz-checksum-*` by name, when they are about this body.
    checksums: Vec<(&'static str, String)>,
    /// Whether there must be a document at all.
    is_required: bool,
}

/// What a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// `CreateBucket`, which needs none, and `CompleteMultipartUpload`, whose checksums speak of
    /// the object.
    OfTarget,
    /// A setting of a bucket or an object. Checksums are of the document, and it must be there.
    Setting,
    /// `DeleteObjects`: the same, and some proof of integrity must be there.
    Delete,
}

/// The checksums that a document may carry.
const CHECKSUMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

impl Expected {
    /// Reads the headers.
    pub(super) fn from_headers(headers: &HeaderMap, kind: DocumentKind) -> Result<Self, Refusal> {
        let text = |name: &str| Some(headers.get(name)?.to_str().unwrap_or("").to_owned());
        let mut expected = Self {
            md5: text("content-md5"),
            sha256: text("x-amz-content-sha256").filter(|value| value.len() == 64),
            checksums: Vec::new(),
            is_required: kind != DocumentKind::OfTarget,
        };
        if kind == DocumentKind::OfTarget {
            return Ok(expected);
        }
        for name in CHECKSUMS {
            if let Some(value) = text(&format!("x-amz-checksum-{name}")) {
                expected.checksums.push((name, value));
            }
        }
        let has_none =
            expected.md5.is_none() && expected.sha256.is_none() && expected.checksums.is_empty();
        if has_none && kind == DocumentKind::Delete {
            let message = "Missing required header for this request: Content-MD5";
            return Err(Refusal::invalid_request(message));
        }
        Ok(expected)
    }

    /// Compares the document with what was announced.
    fn verify(&self, document: &[u8]) -> Result<(), Refusal> {
        if let Some(md5) = &self.md5 {
            let is_digest = BASE64_STANDARD.decode(md5).is_ok_and(|digest| digest.len() == 16);
            if !is_digest {
                let message = "The Content-MD5 you specified is not valid.";
                return Err(Refusal::bad_request("InvalidDigest", message));
            }
            if *md5 != BASE64_STANDARD.encode(Md5::digest(document)) {
                let message = "The Content-MD5 you specified did not match what we received.";
                return Err(Refusal::bad_request("BadDigest", message));
            }
        }
        if let Some(sha256) = &self.sha256
            && !sha256.eq_ignore_ascii_case(&hex::encode(Sha256::digest(document)))
        {
            return Err(unused::mismatch());
        }
        for (name, value) in &self.checksums {
            if *value != checksum(name, document) {
                let message = format!("The {name} you specified did not match what we received.");
                return Err(Refusal::bad_request("BadDigest", message));
            }
        }
        Ok(())
    }
}

/// A checksum as its header has it.
fn checksum(name: &str, document: &[u8]) -> String {
    let crc = |algorithm| crc_fast::checksum(algorithm, document);
    let four = |value: u64| BASE64_STANDARD.encode(&value.to_be_bytes()[4..]);
    match name {
        "crc32" => four(crc(CrcAlgorithm::Crc32IsoHdlc)),
        "crc32c" => four(crc(CrcAlgorithm::Crc32Iscsi)),
        "crc64nvme" => BASE64_STANDARD.encode(crc(CrcAlgorithm::Crc64Nvme).to_be_bytes()),
        "sha1" => BASE64_STANDARD.encode(Sha1::digest(document)),
        _ => BASE64_STANDARD.encode(Sha256::digest(document)),
    }
}

/// A body that yields its document in one frame, after it was verified.
pub(super) struct Document<B> {
    inner: B,
    received: BytesMut,
    is_done: bool,
    expected: Expected,
    fate: Fate,
}

impl<B> Document<B> {
    /// Wraps a body.
    pub(super) fn new(inner: B, expected: Expected, fate: Fate) -> Self {
        Self { inner, received: BytesMut::new(), is_done: false, expected, fate }
    }

    fn refuse(&mut self, refusal: Refusal) -> BodyError {
        self.is_done = true;
        let code = refusal.code;
        self.fate.set(refusal);
        BodyError::Refused(code)
    }

    fn finish(&mut self) -> Result<Bytes, BodyError> {
        self.is_done = true;
        let document = self.received.split().freeze();
        if let Err(refusal) = self.expected.verify(&document) {
            return Err(self.refuse(refusal));
        }
        let may_be_absent = document.is_empty() && !self.expected.is_required;
        if !may_be_absent && let Err(what) = check_xml(&document) {
            let message = format!(
                "The XML you provided was not well-formed or did not validate against our \
                 published schema: {what}."
            );
            return Err(self.refuse(Refusal::bad_request("MalformedXML", message)));
        }
        Ok(document)
    }
}

impl<B> Body for Document<B>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        while !this.is_done {
            match std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if this.received.len() + data.len() > MAX_DOCUMENT_BYTES {
                        return Poll::Ready(Some(Err(this.refuse(too_long()))));
                    }
                    this.received.extend_from_slice(&data);
                }
                Some(Err(error)) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let document = this.finish();
                    let is_empty = document.as_ref().is_ok_and(Bytes::is_empty);
                    return Poll::Ready((!is_empty).then(|| document.map(Frame::data)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// 400: no document of S3 is that long.
pub(super) fn too_long() -> Refusal {
    let message = "Your request was too big.";
    Refusal::bad_request("MaxMessageLengthExceeded", message)
        .with_detail("MaxMessageLengthBytes", MAX_DOCUMENT_BYTES.to_string())
}

/// Whether a document of this length is refused before it is read.
pub(super) fn is_too_long(announced: Option<u64>) -> bool {
    announced.is_some_and(|length| length > MAX_DOCUMENT_BYTES as u64)
}

#[cfg(test)]
mod tests;
