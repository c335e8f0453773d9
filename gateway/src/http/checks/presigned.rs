//! Signatures in the query: the six parameters, once each, within Amazon's limits.

use super::authorization::{check_host_is_signed, is_amz_date};
use super::{Head, scope};
use crate::http::Refusal;
use http::StatusCode;

/// What a presigned URL must carry.
const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// Seven days, as Amazon.
const MAX_EXPIRES_SECONDS: u32 = 604_800;

/// Response overrides, which only a signed request may ask for: anybody could otherwise make a
/// public object look like something else.
const OVERRIDES: [&str; 6] = [
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    if head.is_anonymous() && OVERRIDES.iter().any(|key| head.has(key)) {
        let message =
            "Request specific response headers cannot be used for anonymous GET requests.";
        return Err(Refusal::invalid_request(message));
    }
    if !head.has("X-Amz-Signature") && !head.has("X-Amz-Algorithm") {
        return Ok(());
    }
    if PARAMETERS.iter().any(|key| head.values(key).count() != 1) {
        let message = "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                       X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                       X-Amz-Expires parameters, once each.";
        return Err(wrong(message));
    }
    let value = |key| head.values(key).next().unwrap_or("");
    if value("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" {
        return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    if !is_amz_date(value("X-Amz-Date")) {
        return Err(wrong(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ));
    }
    check_expires(value("X-Amz-Expires"))?;
    check_credential(head.region, value("X-Amz-Credential"), value("X-Amz-Date"))?;
    check_host_is_signed(value("X-Amz-SignedHeaders"))?;
    check_signature(value("X-Amz-Signature"))
}

/// Signatures are compared by character: hexadecimal in capitals is another one.
fn check_signature(signature: &str) -> Result<(), Refusal> {
    if !signature.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    let message = "The request signature we calculated does not match the signature you provided. \
                   Check your key and signing method.";
    Err(Refusal::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message))
}

fn check_expires(text: &str) -> Result<(), Refusal> {
    let seconds = match text.parse::<i64>() {
        Ok(seconds) if !text.starts_with('+') => seconds,
        _ => return Err(wrong("X-Amz-Expires should be a number")),
    };
    if seconds < 1 {
        return Err(wrong("X-Amz-Expires must be positive"));
    }
    if seconds > i64::from(MAX_EXPIRES_SECONDS) {
        return Err(wrong(
            "X-Amz-Expires must be less than a week (in seconds); that is 604800 or less",
        ));
    }
    Ok(())
}

fn check_credential(region: &str, credential: &str, date: &str) -> Result<(), Refusal> {
    let scope = scope::parse(credential)
        .map_err(|what| wrong(format!("Error parsing the X-Amz-Credential parameter; {what}")))?;
    if scope.region != region {
        let message = format!(
            "Error parsing the X-Amz-Credential parameter; the region '{}' is wrong; expecting \
             '{region}'",
            scope.region
        );
        return Err(wrong(message).with_detail("Region", region));
    }
    if date.get(..8) == Some(scope.date) {
        return Ok(());
    }
    Err(wrong("Invalid credential date. This date is not the same as X-Amz-Date."))
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::bad_request("AuthorizationQueryParametersError", message)
}
