//! The headers that are stored with an object, and those that no operation may ignore.

use super::context::Context;
use super::error::Error;
use crate::meta::types::Headers;
use http::Method;
use std::collections::BTreeMap;

/// The most bytes of names and values of user metadata, as on Amazon.
const MAX_USER_METADATA_BYTES: usize = 2048;

/// What an object without a type is served as.
pub(crate) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// Takes the headers to store out of an operation's input.
macro_rules! take_headers {
    ($input:expr) => {
        $crate::meta::types::Headers {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            website_redirect: $input.website_redirect_location.take(),
            user: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        }
    };
}
pub(crate) use take_headers;

/// The headers to store: those given, with the metadata of a presigned URL, within the limit,
/// and without the transfer's own encoding.
pub(crate) fn checked(mut headers: Headers, context: &Context) -> Result<Headers, Error> {
    for (name, value) in context.hoisted() {
        if let Some(name) = name.strip_prefix("x-amz-meta-") {
            headers.user.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        if name == "x-amz-website-redirect-location" {
            headers.website_redirect.get_or_insert_with(|| value.to_owned());
        }
    }
    if user_metadata_bytes(&headers.user) > MAX_USER_METADATA_BYTES {
        return Err(Error::MetadataTooLarge);
    }
    headers.content_encoding = headers.content_encoding.as_deref().and_then(stored_encoding);
    Ok(headers)
}

fn user_metadata_bytes(user: &BTreeMap<String, String>) -> usize {
    user.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// `Content-Encoding` without `aws-chunked`, which described the transfer and not the object. The
/// rest stays as the client wrote it.
fn stored_encoding(encoding: &str) -> Option<String> {
    let rest: Vec<&str> = encoding
        .split(',')
        .filter(|token| {
            let token = token.trim();
            !token.is_empty() && !token.eq_ignore_ascii_case("aws-chunked")
        })
        .collect();
    (!rest.is_empty()).then(|| rest.join(",").trim().to_owned())
}

/// Refuses what a header asks for and this store does not do (yet). Nothing of it is ignored.
pub(crate) fn refuse_unoffered(context: &Context) -> Result<(), Error> {
    let is_delete = context.method == Method::DELETE;
    let mut all = context.all();
    all.try_for_each(|(name, value)| check_offered(&name.to_ascii_lowercase(), value, is_delete))
}

fn check_offered(name: &str, value: &str, is_delete: bool) -> Result<(), Error> {
    match name {
        "x-amz-acl" => check_acl(value),
        "x-amz-write-offset-bytes" => Err(Error::NotImplemented("x-amz-write-offset-bytes")),
        "x-amz-bucket-object-lock-enabled" if value.eq_ignore_ascii_case("true") => {
            Err(Error::NotImplemented("x-amz-bucket-object-lock-enabled"))
        }
        "x-amz-if-match-last-modified-time" | "x-amz-if-match-size" if is_delete => Ok(()),
        _ if name.starts_with("x-amz-if-match-") => Err(Error::NotImplemented("x-amz-if-match-*")),
        "x-amz-bucket-namespace" if value != "global" => {
            Err(Error::NotImplemented("x-amz-bucket-namespace"))
        }
        "x-amz-mfa" => Err(Error::NotImplemented("x-amz-mfa")),
        _ if name.starts_with("x-amz-grant-") => Err(Error::NotImplemented("x-amz-grant-*")),
        _ if name.starts_with("x-amz-object-lock-") => {
            Err(Error::NotImplemented("x-amz-object-lock-*"))
        }
        _ if name.starts_with("x-amz-server-side-encryption")
            || name.starts_with("x-amz-copy-source-server-side-encryption") =>
        {
            Err(Error::NotImplemented("x-amz-server-side-encryption*"))
        }
        _ => Ok(()),
    }
}

/// The canned ACLs that say what is the case anyway are taken.
fn check_acl(acl: &str) -> Result<(), Error> {
    match acl {
        "" | "private" | "bucket-owner-full-control" => Ok(()),
        "public-read" | "public-read-write" | "authenticated-read" | "aws-exec-read"
        | "bucket-owner-read" | "log-delivery-write" => Err(Error::NotImplemented("x-amz-acl")),
        _ => Err(Error::InvalidArgument("The canned ACL is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transfers_encoding_is_not_stored() {
        for (given, stored) in [
            ("aws-chunked", None),
            ("AWS-Chunked", None),
            ("gzip", Some("gzip")),
            ("gzip,aws-chunked", Some("gzip")),
            ("aws-chunked, gzip", Some("gzip")),
            ("deflate, gzip,aws-chunked", Some("deflate, gzip")),
            ("aws-chunked,aws-chunked", None),
            ("", None),
        ] {
            assert_eq!(stored_encoding(given).as_deref(), stored, "{given}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        for (name, value) in [
            ("x-amz-grant-read", "id=1"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "k"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
            ("x-amz-acl", "public-read"),
            ("x-amz-write-offset-bytes", "0"),
            ("x-amz-bucket-object-lock-enabled", "true"),
            ("x-amz-if-match-size", "1"),
            ("x-amz-if-match-initiated-time", "1"),
        ] {
            let error = check_offered(name, value, false).unwrap_err();
            assert!(matches!(error, Error::NotImplemented(_)), "{name}: {error}");
        }
        for (name, value) in [
            ("x-amz-tagging", "a=b"),
            ("x-amz-acl", "private"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-bucket-object-lock-enabled", "false"),
            ("x-amz-meta-tagging", "a=b"),
        ] {
            assert!(check_offered(name, value, false).is_ok(), "{name}");
        }
        let acl = check_offered("x-amz-acl", "mine", false);
        assert!(matches!(acl, Err(Error::InvalidArgument(_))));
        assert!(check_offered("x-amz-if-match-size", "1", true).is_ok());
    }

    #[test]
    fn user_metadata_counts_names_and_values() {
        let user = BTreeMap::from([("ab".to_owned(), "é".to_owned())]);
        assert_eq!(user_metadata_bytes(&user), 4);
    }
}
