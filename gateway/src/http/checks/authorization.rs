//! The `Authorization` header: its syntax, scope and date. The signature itself is s3s's part.

use super::{Head, scope};
use crate::http::Refusal;
use http::header::AUTHORIZATION;

/// The one scheme.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() {
        return Err(Refusal::invalid_argument("Only one Authorization header is allowed."));
    }
    if head.is_presigned() {
        let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                       Signature query string parameter or the Authorization header should be \
                       specified";
        return Err(Refusal::invalid_argument(message));
    }
    let Ok(value) = value.to_str() else { return Err(unsupported_type()) };
    let value = value.trim();
    if value.is_empty() {
        return Err(Refusal::access_denied("Access Denied"));
    }
    if value.starts_with("AWS ") {
        let message = "The authorization mechanism you have provided is not supported. Please use \
                       AWS4-HMAC-SHA256.";
        return Err(Refusal::invalid_request(message));
    }
    let rest = value.strip_prefix(ALGORITHM).ok_or_else(unsupported_type)?;
    if !rest.starts_with(char::is_whitespace) {
        return Err(unsupported_type());
    }
    check_parts(rest, head.region)?;
    check_date(head)
}

fn check_parts(parts: &str, region: &str) -> Result<(), Refusal> {
    let part = |name: &str| {
        parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    for name in ["Credential", "SignedHeaders", "Signature"] {
        if part(name).is_none_or(str::is_empty) {
            return Err(malformed(&format!("missing {name}.")));
        }
    }
    let scope = scope::parse(part("Credential").unwrap_or("")).map_err(malformed)?;
    if scope.region == region {
        return Ok(());
    }
    let message = format!("the region '{}' is wrong; expecting '{region}'", scope.region);
    Err(malformed(&message).with_detail("Region", region))
}

fn check_date(head: &Head<'_>) -> Result<(), Refusal> {
    if head.header("x-amz-date").is_some_and(is_amz_date) {
        return Ok(());
    }
    let message = "AWS authentication requires a valid Date or x-amz-date header";
    Err(Refusal::access_denied(message))
}

/// `yyyymmddThhmmssZ`.
pub(super) fn is_amz_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |index: &usize| bytes[*index].is_ascii_digit();
    bytes.len() == 16
        && bytes[8] == b'T'
        && bytes[15] == b'Z'
        && (0..8).chain(9..15).all(|index| is_digit(&index))
}

fn unsupported_type() -> Refusal {
    Refusal::invalid_argument("Unsupported Authorization Type")
        .with_detail("ArgumentName", "Authorization")
}

fn malformed(what: &str) -> Refusal {
    let message = format!("The authorization header is malformed; {what}");
    Refusal::bad_request("AuthorizationHeaderMalformed", message)
}
