//! Which query keys choose an operation, and which of them are offered.
//!
//! s3s serves `DELETE /bucket?metadataConfiguration` as `DeleteBucket` when it does not know the
//! key, and `PUT /key?renameObject` as a write of an empty object. So: a key that names a
//! sub-resource is passed on only where the table below offers it, and on PUT, POST and DELETE a
//! key without a value, written `?key` or `?key=`, that the table does not know is refused as well.
//! On GET and HEAD unknown keys are ignored, as Amazon does; people use them against caches.

use super::Head;
use crate::http::Refusal;
use crate::http::target::Place;
use http::Method;

const NONE: &[&str] = &[];
const GET: &[&str] = &["GET"];
const GET_PUT: &[&str] = &["GET", "PUT"];
const GET_PUT_DELETE: &[&str] = &["GET", "PUT", "DELETE"];
const POST: &[&str] = &["POST"];

/// A sub-resource: its key, and the methods that are offered on buckets and on objects.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Every sub-resource that Amazon knows. An operation more is a word more here.
const SUBRESOURCES: &[Row] = &[
    ("abac", NONE, NONE),
    ("accelerate", GET, NONE),
    ("acl", GET, GET),
    ("analytics", NONE, NONE),
    ("annotation", NONE, NONE),
    ("annotations", NONE, NONE),
    ("append", NONE, NONE),
    ("attributes", NONE, GET),
    ("cors", GET, NONE),
    ("delete", POST, NONE),
    ("encryption", GET, NONE),
    ("events", NONE, NONE),
    ("intelligent-tiering", NONE, NONE),
    ("inventory", NONE, NONE),
    ("legal-hold", NONE, NONE),
    ("lifecycle", GET, NONE),
    ("location", GET, NONE),
    ("logging", GET, NONE),
    ("metadataAnnotationTable", NONE, NONE),
    ("metadataConfiguration", NONE, NONE),
    ("metadataInventoryTable", NONE, NONE),
    ("metadataJournalTable", NONE, NONE),
    ("metadataTable", NONE, NONE),
    ("metrics", NONE, NONE),
    ("notification", GET, NONE),
    ("object-lock", GET, NONE),
    ("ownershipControls", GET, NONE),
    ("policy", GET, NONE),
    ("policyStatus", GET, NONE),
    ("publicAccessBlock", GET, NONE),
    ("renameObject", NONE, NONE),
    ("replication", GET, NONE),
    ("requestPayment", GET, NONE),
    ("restore", NONE, NONE),
    ("retention", NONE, NONE),
    ("select", NONE, NONE),
    ("session", NONE, NONE),
    ("tagging", GET_PUT_DELETE, GET_PUT_DELETE),
    ("torrent", NONE, NONE),
    ("uploadId", NONE, &["GET", "PUT", "POST", "DELETE"]),
    ("uploads", GET, POST),
    ("versioning", GET_PUT, NONE),
    ("versions", GET, NONE),
    ("website", GET, NONE),
];

/// Keys that are no sub-resources and may stand on any request, with or without a value.
const PLAIN: &[&str] = &["versionId", "partNumber", "x-id", "encoding-type"];

pub(super) fn check(head: &Head<'_>) -> Result<(), Refusal> {
    let method = head.method.as_str();
    let is_read = matches!(method, "GET" | "HEAD");
    for (key, value) in &head.query {
        match SUBRESOURCES.iter().find(|row| row.0 == key) {
            Some(row) if is_offered(row, head) => {}
            None if is_read || has_value(value.as_deref()) || is_plain(key) => {}
            Some(_) | None => return Err(not_offered(method, key)),
        }
    }
    check_list_type(head)?;
    check_part_number(head)?;
    check_upload_keys(head)?;
    check_post(head)
}

fn has_value(value: Option<&str>) -> bool {
    value.is_some_and(|value| !value.is_empty())
}

/// There are two forms of the list; s3s gives the first one for what is not the second.
fn check_list_type(head: &Head<'_>) -> Result<(), Refusal> {
    let is_list = *head.method == Method::GET && head.place() == Place::Bucket;
    if is_list && head.values("list-type").any(|form| form != "2") {
        return Err(Refusal::invalid_argument("Invalid List Type specified in Request")
            .with_detail("ArgumentName", "list-type"));
    }
    Ok(())
}

fn is_offered(row: &Row, head: &Head<'_>) -> bool {
    let method = head.method.as_str();
    // HEAD has no sub-resources; Amazon ignores them there.
    if method == "HEAD" {
        return true;
    }
    let methods = match head.place() {
        Place::Service => NONE,
        Place::Bucket => row.1,
        Place::Object => row.2,
    };
    methods.contains(&method)
}

fn is_plain(key: &str) -> bool {
    PLAIN.contains(&key) || key.starts_with("X-Amz-")
}

/// Digits and nothing else: s3s would take `+1` as well.
fn check_part_number(head: &Head<'_>) -> Result<(), Refusal> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if head.place() != Place::Object || head.values("partNumber").all(is_number) {
        return Ok(());
    }
    let message = "Part number must be an integer between 1 and 10000, inclusive";
    Err(Refusal::invalid_argument(message).with_detail("ArgumentName", "partNumber"))
}

/// A part belongs to an upload: half of the pair would write or delete the whole object.
fn check_upload_keys(head: &Head<'_>) -> Result<(), Refusal> {
    let method = head.method.as_str();
    if head.place() != Place::Object || !matches!(method, "PUT" | "DELETE") {
        return Ok(());
    }
    if method == "PUT" && head.has("partNumber") != head.has("uploadId") {
        let message = "This operation needs both of partNumber and uploadId.";
        return Err(Refusal::invalid_argument(message));
    }
    if head.has("versionId") && method == "PUT" && !head.has("tagging") {
        let message = "This operation does not accept a version-id.";
        return Err(Refusal::invalid_argument(message).with_detail("ArgumentName", "versionId"));
    }
    if head.values("uploadId").any(str::is_empty) {
        return Err(Refusal::invalid_argument("The uploadId is empty."));
    }
    Ok(())
}

/// A POST without a sub-resource is a form upload, which is not offered.
fn check_post(head: &Head<'_>) -> Result<(), Refusal> {
    let has_operation = POST_KEYS.iter().any(|key| head.has(key));
    if head.method.as_str() != "POST" || has_operation {
        return Ok(());
    }
    Err(Refusal::not_implemented("Uploads by HTML form are not offered."))
}

/// What a POST can be.
const POST_KEYS: [&str; 3] = ["delete", "uploads", "uploadId"];

fn not_offered(method: &str, key: &str) -> Refusal {
    Refusal::not_implemented(
        "A header or query you provided implies functionality that is not implemented.",
    )
    .with_detail("Parameter", format!("{method} ?{key}"))
}

#[cfg(test)]
pub(super) fn rows() -> &'static [Row] {
    SUBRESOURCES
}

#[cfg(test)]
mod tests {
    use super::SUBRESOURCES;

    #[test]
    fn the_table_is_sorted_and_has_no_key_twice() {
        assert!(SUBRESOURCES.is_sorted_by(|a, b| a.0 < b.0));
    }

    /// `DELETE /bucket?anything` must never become `DeleteBucket`: what is offered here has an
    /// operation of its own.
    #[test]
    fn only_these_settings_of_a_bucket_can_be_deleted() {
        let deleted = SUBRESOURCES.iter().filter(|row| row.1.contains(&"DELETE"));
        assert!(deleted.map(|row| row.0).eq(["tagging"]));
    }
}
