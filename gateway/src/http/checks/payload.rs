//! How the body is signed and framed, as far as the head says it.

use super::Head;
use crate::http::Refusal;
use http::HeaderMap;
use http::header::HOST;

/// The header that says it.
const SHA256: &str = "x-amz-content-sha256";

/// Framed bodies whose frames are signed.
const SIGNED_FRAMES: [&str; 2] =
    ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"];

/// Framed, unsigned, with trailing headers.
const UNSIGNED_FRAMES: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What the headers of checksums begin with.
const CHECKSUM: &str = "x-amz-checksum-";

/// Checksums of the object's bytes; at most one may be given.
const CHECKSUMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Checksums that Amazon has and that are not offered here.
const NOT_OFFERED: [&str; 5] = ["md5", "sha512", "xxhash64", "xxhash3", "xxhash128"];

/// What only describes a checksum.
const DESCRIPTIONS: [&str; 3] = ["algorithm", "mode", "type"];

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    check_single_headers(head)?;
    check_checksums(head)?;
    check_trailer(head)?;
    let Some(value) = head.headers.get(SHA256) else { return check_has_hash(head) };
    let value = value.to_str().unwrap_or("");
    if !is_valid(value) {
        let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                       STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                       STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";
        return Err(Refusal::invalid_argument(message).with_detail("ArgumentName", SHA256));
    }
    if value.starts_with("STREAMING-") { check_frames(head, value) } else { Ok(()) }
}

fn is_valid(value: &str) -> bool {
    let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash
        || value == "UNSIGNED-PAYLOAD"
        || value == UNSIGNED_FRAMES
        || SIGNED_FRAMES.contains(&value)
}

fn check_has_hash(head: &Head<'_>) -> Result<(), Refusal> {
    if head.headers.contains_key(http::header::AUTHORIZATION) {
        let message = "Missing required header for this request: x-amz-content-sha256";
        return Err(Refusal::invalid_request(message));
    }
    Ok(())
}

fn check_frames(head: &Head<'_>, value: &str) -> Result<(), Refusal> {
    if !head.is_upload() {
        let message = format!("{value} is only supported for PutObject and UploadPart.");
        return Err(Refusal::invalid_request(message));
    }
    if head.is_anonymous() && SIGNED_FRAMES.contains(&value) {
        let message = "Anonymous requests can not have signed frames.";
        return Err(Refusal::invalid_request(message));
    }
    if !head.headers.contains_key("x-amz-decoded-content-length") {
        let message = "You must provide the x-amz-decoded-content-length HTTP header.";
        return Err(Refusal::missing_content_length(message));
    }
    // s3s refuses it as well, by another code.
    if value.ends_with("-TRAILER") && !head.headers.contains_key("x-amz-trailer") {
        let message = "The request contained trailing data that was not well-formed or did not \
                       conform to our published schema.";
        return Err(Refusal::bad_request("MalformedTrailerError", message));
    }
    Ok(())
}

/// One checksum at most, and none that nobody would compare.
fn check_checksums(head: &Head<'_>) -> Result<(), Refusal> {
    let mut count = 0;
    for name in head.headers.keys() {
        let Some(kind) = name.as_str().strip_prefix(CHECKSUM) else { continue };
        if DESCRIPTIONS.contains(&kind) {
            continue;
        }
        check_algorithm(kind, || format!("Value for {name} header is invalid."))?;
        count += head.headers.get_all(name).iter().count();
    }
    if count <= 1 {
        return Ok(());
    }
    let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                   allowed.";
    Err(Refusal::invalid_request(message))
}

/// A trailer can carry a checksum and nothing else.
fn check_trailer(head: &Head<'_>) -> Result<(), Refusal> {
    for name in trailer_names(head.headers) {
        let kind = name.strip_prefix(CHECKSUM).unwrap_or("");
        check_algorithm(kind, || {
            "The value specified in the x-amz-trailer header is not supported".to_owned()
        })?;
    }
    Ok(())
}

/// The names that `x-amz-trailer` announces, in lower case.
pub(in crate::http) fn trailer_names(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers
        .get_all("x-amz-trailer")
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("\u{fffd}").split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
}

fn check_algorithm(kind: &str, message: impl FnOnce() -> String) -> Result<(), Refusal> {
    if CHECKSUMS.contains(&kind) {
        return Ok(());
    }
    if NOT_OFFERED.contains(&kind) {
        let message = format!("The checksum algorithm {kind} is not offered.");
        return Err(Refusal::not_implemented(message));
    }
    Err(Refusal::invalid_request(message()))
}

/// Headers of which two would leave open which one counts.
fn check_single_headers(head: &Head<'_>) -> Result<(), Refusal> {
    let single = [HOST.as_str(), SHA256, "x-amz-date", "content-md5", "x-amz-copy-source"];
    for name in single {
        if head.headers.get_all(name).iter().count() > 1 {
            return Err(Refusal::invalid_request(format!("The header {name} was given twice.")));
        }
    }
    Ok(())
}
