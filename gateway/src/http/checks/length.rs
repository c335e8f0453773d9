//! Lengths that are known before the body: missing, too large, or not a number.

use super::Head;
use crate::http::Refusal;
use http::{Version, header};

/// The most that one PUT may carry, as Amazon: 5 GiB.
pub(super) const MAX_UPLOAD_BYTES: u64 = 5 << 30;

/// The most that names and values of a request's headers may take together. Amazon's is 8 KiB
/// for PUT; twice that leaves room for what proxies add, and keeps 2 KiB of metadata possible.
const MAX_HEADER_BYTES: usize = 32 * 1024;

pub(super) fn check_header_section(head: &Head<'_>) -> Result<(), Refusal> {
    let size: usize =
        head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size <= MAX_HEADER_BYTES {
        return Ok(());
    }
    let message = "Your request header section exceeds the maximum allowed size.";
    Err(Refusal::bad_request("RequestHeaderSectionTooLarge", message)
        .with_detail("MaxSizeAllowed", MAX_HEADER_BYTES.to_string()))
}

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    let length = content_length(head)?;
    if !head.is_upload() {
        return Ok(());
    }
    let has_framing = length.is_some() || head.headers.contains_key(header::TRANSFER_ENCODING);
    if !has_framing && head.version < Version::HTTP_2 {
        let message = "You must provide the Content-Length HTTP header.";
        return Err(Refusal::missing_content_length(message));
    }
    match decoded_length(head)?.or(length) {
        Some(size) if size > MAX_UPLOAD_BYTES => Err(too_large(size)),
        _ => Ok(()),
    }
}

fn content_length(head: &Head<'_>) -> Result<Option<u64>, Refusal> {
    number(head, header::CONTENT_LENGTH.as_str())
}

/// The object's size when the body is framed, where `Content-Length` counts the frames too.
fn decoded_length(head: &Head<'_>) -> Result<Option<u64>, Refusal> {
    number(head, "x-amz-decoded-content-length")
}

fn number(head: &Head<'_>, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = head.headers.get(name) else { return Ok(None) };
    let text = value.to_str().unwrap_or("");
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Ok(Some(number)),
        _ => Err(Refusal::invalid_argument(format!("The value of {name} is not a length."))),
    }
}

fn too_large(size: u64) -> Refusal {
    let message = "Your proposed upload exceeds the maximum allowed size.";
    Refusal::bad_request("EntityTooLarge", message).with_detail("ProposedSize", size.to_string())
}
