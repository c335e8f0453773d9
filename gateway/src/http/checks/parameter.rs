//! Values of parameters that no answer can repeat: control characters and the like.
//!
//! Names of objects may hold them, and lists encode a page that does. Anywhere else such a value is
//! wrong anyway, and s3s would fail to write the error that says so.

use super::Head;
use crate::http::Refusal;
use crate::http::target::Place;
use crate::xml;

/// What chooses, limits or continues; never the name of an object.
const PLAIN_TEXT: [&str; 13] = [
    "continuation-token",
    "encoding-type",
    "fetch-owner",
    "list-type",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "upload-id-marker",
    "uploadId",
    "version-id-marker",
    "versionId",
];

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    for (key, value) in &head.query {
        let value = value.as_deref().unwrap_or("");
        let is_right = if key.starts_with("response-") {
            !value.chars().any(char::is_control)
        } else if PLAIN_TEXT.contains(&key.as_str()) || names_buckets(head, key) {
            value.chars().all(xml::is_char)
        } else {
            true
        };
        if !is_right {
            let message = format!("The value of {key} has a character that can't stand there");
            return Err(Refusal::invalid_argument(message).with_detail("ArgumentName", key));
        }
    }
    Ok(())
}

/// Names of buckets have plain letters only.
fn names_buckets(head: &Head<'_>, key: &str) -> bool {
    head.place() == Place::Service && key == "prefix"
}
