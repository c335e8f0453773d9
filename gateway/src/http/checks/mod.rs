//! What is refused by a request's head alone, before a byte of its body is read and before any
//! look-up: malformed credentials, sub-resources that are not offered, lengths that can't be.
//!
//! Pure: a head goes in, nothing or a [`Refusal`] comes out. None of these checks lets anything
//! through that s3s would not check again; they exist for the right code and for the cases that
//! s3s hands to another operation.

mod authorization;
mod copy_source;
mod length;
mod method;
mod parameter;
mod payload;
mod presigned;
mod scope;
mod subresource;

#[cfg(test)]
mod tests;

pub(super) use payload::trailer_names;

use super::Refusal;
use super::document::DocumentKind;
use super::target::{Place, Target};
use http::{HeaderMap, Method, Version};
use percent_encoding::percent_decode_str;

/// The part of a request that is there before its body.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// HTTP's version.
    pub version: Version,
    /// What it is about.
    pub target: &'a Target,
    /// The query's parameters, decoded, in order. `None`: no `=` was given.
    pub query: Vec<(String, Option<String>)>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The region that signatures must name.
    pub region: &'a str,
}

impl Head<'_> {
    /// What the request is about.
    pub fn place(&self) -> Place {
        self.target.place()
    }

    /// Whether the query has this key, with or without a value.
    pub fn has(&self, key: &str) -> bool {
        self.query.iter().any(|(name, _)| name == key)
    }

    /// Every value of a key.
    pub fn values<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s str> {
        let pairs = self.query.iter().filter(move |(name, _)| name == key);
        pairs.map(|(_, value)| value.as_deref().unwrap_or(""))
    }

    /// A header's text, if it is there once and visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a signature stands in the query.
    pub fn is_presigned(&self) -> bool {
        self.has("X-Amz-Signature") || self.has("X-Amz-Algorithm") || self.has("Signature")
    }

    /// Whether no signature is given at all.
    pub fn is_anonymous(&self) -> bool {
        !self.is_presigned() && !self.headers.contains_key(http::header::AUTHORIZATION)
    }

    /// Whether an object's bytes are in the body: `PutObject` or `UploadPart`.
    pub fn is_upload(&self) -> bool {
        *self.method == Method::PUT
            && self.place() == Place::Object
            && !self.headers.contains_key("x-amz-copy-source")
            && !self.has("tagging")
    }

    /// The XML document that the body is, if it is one.
    pub fn document(&self) -> Option<DocumentKind> {
        match (self.method.as_str(), self.place()) {
            ("PUT", Place::Bucket) if self.has("versioning") || self.has("tagging") => {
                Some(DocumentKind::Setting)
            }
            ("PUT", Place::Bucket) => Some(DocumentKind::OfTarget),
            ("PUT", Place::Object) if self.has("tagging") => Some(DocumentKind::Setting),
            ("POST", Place::Bucket) => self.has("delete").then_some(DocumentKind::Delete),
            ("POST", Place::Object) => self.has("uploadId").then_some(DocumentKind::OfTarget),
            _ => None,
        }
    }
}

/// Splits and decodes a raw query, keeping apart `?key` and `?key=`.
pub fn parse_query(raw: Option<&str>) -> Vec<(String, Option<String>)> {
    let pairs = raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => (decode(key), Some(decode(value))),
            None => (decode(pair), None),
        })
        .collect()
}

/// HTTP/1.1 demands a host, and a signature covers it.
fn check_host(head: &Head<'_>) -> Result<(), Refusal> {
    if head.version != Version::HTTP_11 || head.headers.contains_key(http::header::HOST) {
        return Ok(());
    }
    Err(Refusal::invalid_request("Missing required header for this request: Host"))
}

/// Every check, cheapest and most telling first.
pub fn check(head: &Head<'_>) -> Result<(), Refusal> {
    method::check(head)?;
    check_host(head)?;
    length::check_header_section(head)?;
    authorization::check(head)?;
    presigned::check(head)?;
    subresource::check(head)?;
    parameter::check(head)?;
    copy_source::check(head)?;
    payload::check(head)?;
    length::check(head)
}
