//! The `Authorization` header: its syntax, scope and date. The signature itself is s3s's part.

use super::scope::Scope;
use super::{Head, scope};
use crate::http::Refusal;
use http::header::AUTHORIZATION;
use time::PrimitiveDateTime;

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
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return Err(unsupported_type());
    }
    let scope = check_parts(rest, head.region)?;
    check_date(head, &scope)
}

/// The three parts, once each; gives the scope.
fn check_parts<'a>(parts: &'a str, region: &str) -> Result<Scope<'a>, Refusal> {
    let part = |name: &str| {
        let mut found = parts
            .split(',')
            .filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
            .filter(|value| !value.is_empty());
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(malformed(&format!("missing {name}."))),
            (Some(_), Some(_)) => Err(malformed(&format!("{name} was given twice."))),
        }
    };
    let (credential, signed_headers) = (part("Credential")?, part("SignedHeaders")?);
    part("Signature")?;
    let scope = scope::parse(credential).map_err(malformed)?;
    if scope.region != region {
        let message = format!("the region '{}' is wrong; expecting '{region}'", scope.region);
        return Err(malformed(&message).with_detail("Region", region));
    }
    check_host_is_signed(signed_headers)?;
    Ok(scope)
}

/// A signature that leaves the host open would be as good for another bucket, since the host may
/// name the bucket.
pub(super) fn check_host_is_signed(signed_headers: &str) -> Result<(), Refusal> {
    if signed_headers.split(';').any(|name| name == "host") {
        return Ok(());
    }
    let message = "There were headers present in the request which were not signed";
    Err(Refusal::access_denied(message).with_detail("HeadersNotSigned", "host"))
}

fn check_date(head: &Head<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    let Some(date) = head.header("x-amz-date").filter(|date| is_amz_date(date)) else {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        return Err(Refusal::access_denied(message));
    };
    if date.get(..8) == Some(scope.date) {
        return Ok(());
    }
    let message = "Invalid credential date. This date is not the same as X-Amz-Date.";
    Err(malformed(message))
}

/// `yyyymmddThhmmssZ`, a moment that there is. Of the year 9999 not every library knows all days;
/// it is malformed as a whole.
pub(super) fn is_amz_date(text: &str) -> bool {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let is_plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain && PrimitiveDateTime::parse(text, format).is_ok_and(|moment| moment.year() < 9999)
}

fn unsupported_type() -> Refusal {
    Refusal::invalid_argument("Unsupported Authorization Type")
        .with_detail("ArgumentName", "Authorization")
}

fn malformed(what: &str) -> Refusal {
    let message = format!("The authorization header is malformed; {what}");
    Refusal::bad_request("AuthorizationHeaderMalformed", message)
}
