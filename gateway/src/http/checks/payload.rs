//! How the body is signed and framed, as far as the head says it.

use super::Head;
use crate::http::Refusal;
use http::header::HOST;

/// The header that says it.
const SHA256: &str = "x-amz-content-sha256";

/// Framed bodies whose frames are signed.
const SIGNED_FRAMES: [&str; 2] =
    ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"];

/// Framed, unsigned, with trailing headers.
const UNSIGNED_FRAMES: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// Checksums of the object's bytes; at most one may be given. The names that only describe one
/// (`-algorithm`, `-type`, `-mode`) do not count.
const CHECKSUMS: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    check_single_headers(head)?;
    check_checksums(head)?;
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
    if value.ends_with("-TRAILER") && !head.headers.contains_key("x-amz-trailer") {
        let message = "The request contained trailing data that was not well-formed or did not \
                       conform to our published schema.";
        return Err(Refusal::bad_request("MalformedTrailerError", message));
    }
    Ok(())
}

fn check_checksums(head: &Head<'_>) -> Result<(), Refusal> {
    let count: usize =
        CHECKSUMS.iter().map(|name| head.headers.get_all(*name).iter().count()).sum();
    if count <= 1 {
        return Ok(());
    }
    let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                   allowed.";
    Err(Refusal::invalid_request(message))
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
