//! Requests signed and written by hand, to be wrong on purpose where a client library would not be.
//!
//! Three steps, each of which a test can stop at and tamper with:
//!
//! 1. [`Request`] says what is meant: `Request::put("/bucket/key").body("x").header("if-none-match", "*")`.
//! 2. [`Request::sign`] (header), [`Request::presign`] (query) or [`Request::unsigned`] turn it into a
//!    [`Wire`]: request line, header lines and body exactly as they will be sent. What is changed from
//!    here on is not covered by the signature.
//! 3. [`Wire::send`] opens a connection, sends the bytes and reads one [`Answer`]; [`Connection`] does
//!    the same in single steps, for bodies that stop half way and answers that are read slowly.
//!
//! ```no_run
//! # async fn example(signer: compat_tests::raw::Signer) {
//! use compat_tests::raw::{Frames, Request};
//! let address = "127.0.0.1:9000";
//!
//! let answer = Request::put("/b/k").body("hello").sign(&signer, address).send(address).await;
//! assert_eq!(answer.status, 200);
//!
//! // A header that the signature doesn't cover.
//! let mut wire = Request::get("/b/k").sign(&signer, address);
//! wire.add("x-amz-copy-source", "/other/key");
//! assert_eq!(wire.send(address).await.code(), "AccessDenied");
//!
//! // Signed frames of 64 KiB with a trailer; the second frame's signature is broken afterwards.
//! let frames = Frames::signed(64 * 1024).trailer("x-amz-checksum-crc32", "AAAAAA==");
//! let mut wire = Request::put("/b/k").body(vec![7; 100_000]).framed(frames).sign(&signer, address);
//! wire.replace_in_body(b"chunk-signature=", b"chunk-signaturf=");
//! assert_eq!(wire.send(address).await.status, 400);
//! # }
//! ```

mod connection;
mod frames;
mod sign;

pub use connection::{Answer, Connection};
pub use frames::Frames;
pub use sign::Signer;

/// What `x-amz-content-sha256` says about the body.
#[derive(Debug, Clone)]
pub enum Payload {
    /// The body's SHA-256: the default.
    Signed,
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// Whatever the test wants to claim.
    Claimed(String),
    /// One of the `STREAMING-…` modes; the body is cut into frames.
    Framed(Frames),
}

/// A request as it is meant, before it is signed.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    without: Vec<String>,
    body: Vec<u8>,
    payload: Payload,
}

impl Request {
    /// A request for `target`: path and query, already percent-encoded.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            without: Vec::new(),
            body: Vec::new(),
            payload: Payload::Signed,
        }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A HEAD.
    pub fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    /// A PUT.
    pub fn put(target: &str) -> Self {
        Self::new("PUT", target)
    }

    /// A POST.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// A DELETE.
    pub fn delete(target: &str) -> Self {
        Self::new("DELETE", target)
    }

    /// Adds a header, covered by the signature. The same name may be given twice.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Leaves out a header that would be added by itself (`content-length`, `x-amz-trailer`, …).
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.without.push(name.to_ascii_lowercase());
        self
    }

    /// The body, before any framing.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// What `x-amz-content-sha256` says.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Sends the body as `aws-chunked` frames.
    #[must_use]
    pub fn framed(self, frames: Frames) -> Self {
        self.payload(Payload::Framed(frames))
    }

    /// As [`Payload::Unsigned`]: what most SDKs send over TLS.
    #[must_use]
    pub fn unsigned_payload(self) -> Self {
        self.payload(Payload::Unsigned)
    }

    /// The request without any signature.
    pub fn unsigned(&self, host: &str) -> Wire {
        let (headers, body) = self.prepared(host);
        self.wire(&self.target, headers, body)
    }

    /// Headers before the signature, and the unframed body.
    fn prepared(&self, host: &str) -> (Vec<(String, String)>, Vec<u8>) {
        let mut headers = vec![("host".to_owned(), host.to_owned())];
        if let Payload::Framed(frames) = &self.payload {
            headers.extend(frames.headers(self.body.len()));
        }
        headers.retain(|(name, _)| {
            !self.is_left_out(name) && !self.headers.iter().any(|(own, _)| own == name)
        });
        headers.extend(self.headers.iter().cloned());
        (headers, self.body.clone())
    }

    fn is_left_out(&self, name: &str) -> bool {
        self.without.iter().any(|left_out| left_out == name)
    }

    fn wire(&self, target: &str, mut headers: Vec<(String, String)>, body: Vec<u8>) -> Wire {
        let has_length = headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        let wants_length = !body.is_empty() || matches!(self.method.as_str(), "PUT" | "POST");
        if wants_length && !has_length && !self.is_left_out("content-length") {
            headers.push(("content-length".into(), body.len().to_string()));
        }
        Wire { request_line: format!("{} {target} HTTP/1.1", self.method), headers, body }
    }
}

/// A request as it goes over the wire; every byte may be changed.
#[derive(Debug, Clone)]
pub struct Wire {
    /// `GET /bucket/key HTTP/1.1`
    pub request_line: String,
    /// Header lines in order, written as `name: value`.
    pub headers: Vec<(String, String)>,
    /// The body, framed if it was to be.
    pub body: Vec<u8>,
}

impl Wire {
    /// Adds a header behind the signature's back.
    pub fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Removes every header of that name.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    /// Replaces a header, or adds it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.remove(name).add(name, value)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Changes a header's value in place: `edit("authorization", |v| v.replace("aws4_", "aws5_"))`.
    pub fn edit(&mut self, name: &str, change: impl Fn(&str) -> String) -> &mut Self {
        for (own, value) in &mut self.headers {
            if own.eq_ignore_ascii_case(name) {
                *value = change(value);
            }
        }
        self
    }

    /// The target of the request line: path and query.
    pub fn target(&self) -> &str {
        self.request_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Replaces text in the request line, as in a presigned query.
    pub fn replace_in_target(&mut self, from: &str, to: &str) -> &mut Self {
        assert!(self.request_line.contains(from), "{from:?} is not in {:?}", self.request_line);
        self.request_line = self.request_line.replace(from, to);
        self
    }

    /// Replaces the first occurrence of `from` in the body by `to`; the length header stays.
    pub fn replace_in_body(&mut self, from: &[u8], to: &[u8]) -> &mut Self {
        let at = self.body.windows(from.len()).position(|window| window == from);
        let at = at.expect("the text to replace is in the body");
        self.body.splice(at..at + from.len(), to.iter().copied());
        self
    }

    /// Request line and headers as bytes, with the empty line that ends them.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.request_line).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// The whole request as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the answer.
    ///
    /// # Panics
    /// When there is no answer within [`Connection::PATIENCE`], or none that is HTTP.
    pub async fn send(&self, address: &str) -> Answer {
        self.try_send(address).await.expect("an answer to the request")
    }

    /// As [`Wire::send`], for requests that may end without an answer.
    pub async fn try_send(&self, address: &str) -> anyhow::Result<Answer> {
        let mut connection = Connection::open(address).await?;
        // A server may answer and close before it has read everything; the answer is what counts.
        let sent = connection.send(&self.bytes()).await;
        let answer = connection.answer(self.request_line.starts_with("HEAD ")).await;
        match (sent, answer) {
            (_, Ok(answer)) => Ok(answer),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
