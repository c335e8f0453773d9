//! `x-amz-copy-source`: what s3s takes for another operation, or for another key than was meant.

use super::Head;
use crate::http::Refusal;
use http::HeaderValue;

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    if head.is_presigned() && head.query.iter().any(|(key, _)| is_copy_source(key)) {
        // Without the header s3s would take the copy for a write of an empty body.
        let message = "x-amz-copy-source is taken as a header, not as a parameter of a presigned \
                       URL: have it signed as a header (in SDKs, name it unhoistable)";
        return Err(Refusal::not_implemented(message));
    }
    let Some(source) = head.headers.get("x-amz-copy-source") else { return Ok(()) };
    let source = source.as_bytes();
    if source.iter().all(|byte| *byte == b'/') {
        return Err(invalid(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ));
    }
    if has_broken_escape(source) {
        return Err(invalid("Invalid copy source encoding."));
    }
    // s3s takes an empty range for none, and would copy everything.
    if head.headers.get("x-amz-copy-source-range").is_some_and(HeaderValue::is_empty) {
        let message = "The x-amz-copy-source-range value must be of the form bytes=first-last \
                       where first and last are the zero-based offsets of the first and last bytes \
                       to copy";
        return Err(Refusal::invalid_argument(message)
            .with_detail("ArgumentName", "x-amz-copy-source-range"));
    }
    Ok(())
}

fn is_copy_source(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("x-amz-copy-source")
}

/// Whether a `%` is not followed by two hex digits.
fn has_broken_escape(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'%');
    parts.next();
    parts.any(|part| part.len() < 2 || !part[..2].iter().all(u8::is_ascii_hexdigit))
}

fn invalid(message: &'static str) -> Refusal {
    Refusal::invalid_argument(message).with_detail("ArgumentName", "x-amz-copy-source")
}
