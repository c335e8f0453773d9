//! The five methods of S3.

use super::Head;
use crate::http::Refusal;
use http::StatusCode;

/// The methods that some operation has.
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    let method = head.method.as_str();
    if METHODS.contains(&method) {
        return Ok(());
    }
    if method == "OPTIONS" {
        let message = "CORSResponse: CORS is not enabled for this bucket.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "AccessForbidden", message));
    }
    let message = "The specified method is not allowed against this resource.";
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message))
}
