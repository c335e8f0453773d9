//! Every way an operation can fail, and the S3 code and status of each: the only such table.

use super::probe::Unconfigured;
use crate::meta::MetaError;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Seconds after which a client may try again when the cluster is short of something.
const RETRY_AFTER_SECONDS: u16 = 1;

const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Why an operation failed. The text is the message that the client reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Access Denied")]
    AccessDenied,
    /// The same for a bucket that is in this region: whoever may not have it may know that.
    #[error("Access Denied")]
    AccessDeniedIn {
        /// The region.
        region: String,
    },
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    #[error("The specified key does not exist.")]
    NoSuchKey,
    #[error("The specified version does not exist.")]
    NoSuchVersion,
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may \
         have been aborted or completed."
    )]
    NoSuchUpload,
    /// The current version is a delete marker: the key reads as absent.
    #[error("The specified key does not exist.")]
    MarkerIsCurrent {
        /// Its id.
        version: String,
    },
    /// A delete marker was named by its id: it can only be deleted.
    #[error("The specified method is not allowed against this resource.")]
    MarkerNamed {
        /// Its id.
        version: String,
        /// Its Last-Modified.
        modified: OffsetDateTime,
    },
    /// The client's copy is fresh.
    #[error("Not Modified")]
    NotModified {
        /// The ETag without quotes.
        etag: String,
        /// Its Last-Modified.
        modified: OffsetDateTime,
        /// Its Cache-Control.
        cache_control: Option<String>,
        /// Its Expires.
        expires: Option<String>,
    },
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed,
    #[error("A conflicting conditional operation is in progress against this resource.")]
    ConditionalConflict,
    #[error("A conflicting operation is in progress against this resource. Please try again.")]
    OperationAborted,
    #[error("The requested range is not satisfiable")]
    InvalidRange {
        /// The object's size.
        size: u64,
    },
    #[error("The requested partnumber is not satisfiable")]
    InvalidPartNumber,
    #[error("{0}")]
    InvalidArgument(&'static str),
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The checksum in the header named is not well-formed.
    #[error("Value for {0} header is invalid.")]
    InvalidChecksum(&'static str),
    #[error("The specified bucket is not valid.")]
    InvalidBucketName,
    #[error("The requested bucket name is not available. Please select a different name.")]
    BucketAlreadyExists,
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketAlreadyOwnedByYou,
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty,
    #[error("The specified location-constraint is not valid")]
    InvalidLocationConstraint,
    #[error("The storage class you specified is not valid")]
    InvalidStorageClass,
    #[error("Your key is too long")]
    KeyTooLong,
    #[error("Your metadata headers exceed the maximum allowed metadata size of 2048 bytes")]
    MetadataTooLarge,
    #[error("Your proposed upload exceeds the maximum allowed size of 5 GiB")]
    EntityTooLarge,
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    EntityTooSmall,
    #[error(
        "One or more of the specified parts could not be found. The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag."
    )]
    InvalidPart,
    #[error("The list of parts was not in ascending order. Parts must be ordered by part number.")]
    InvalidPartOrder,
    #[error("The XML you provided was not well-formed or did not validate against our schema")]
    MalformedXml,
    #[error("{0}")]
    InvalidTag(&'static str),
    #[error("{0}")]
    TooManyTags(&'static str),
    #[error("The Versioning element must be specified")]
    IllegalVersioning,
    #[error("You must provide the Content-Length HTTP header.")]
    MissingContentLength,
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    IncompleteBody,
    #[error("The Content-MD5 you specified is not valid.")]
    InvalidDigest,
    /// A digest that the client named is not the digest of what arrived.
    #[error("The {0} you specified did not match what we received.")]
    BadDigest(&'static str),
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    ContentSha256Mismatch,
    #[error(
        "The request contained trailing data that was not well-formed or did not conform to our schema."
    )]
    MalformedTrailer,
    #[error("Your socket connection to the server was not read from or written to in time.")]
    RequestTimeout,
    #[error("The request signature we calculated does not match the signature you provided.")]
    SignatureDoesNotMatch,
    #[error("A header you provided implies functionality that is not implemented: {0}")]
    NotImplemented(&'static str),
    /// A setting that was never made.
    #[error("{}", .0.message())]
    Unconfigured(Unconfigured),
    #[error("Please reduce your request rate.")]
    SlowDown,
    #[error("The service is not available. Please try again.")]
    Unavailable(String),
    #[error("There is not enough space on the drives to complete the operation.")]
    InsufficientStorage,
    #[error("We encountered an internal error. Please try again.")]
    Internal(String),
}

impl Error {
    /// The code and status: Amazon's, where Amazon has one.
    fn code(&self) -> (S3ErrorCode, StatusCode) {
        use S3ErrorCode as C;
        use StatusCode as S;
        match self {
            Self::AccessDenied | Self::AccessDeniedIn { .. } => (C::AccessDenied, S::FORBIDDEN),
            Self::NoSuchBucket => (C::NoSuchBucket, S::NOT_FOUND),
            Self::NoSuchKey | Self::MarkerIsCurrent { .. } => (C::NoSuchKey, S::NOT_FOUND),
            Self::NoSuchVersion => (C::NoSuchVersion, S::NOT_FOUND),
            Self::NoSuchUpload => (C::NoSuchUpload, S::NOT_FOUND),
            Self::MarkerNamed { .. } => (C::MethodNotAllowed, S::METHOD_NOT_ALLOWED),
            Self::NotModified { .. } => (C::NotModified, S::NOT_MODIFIED),
            Self::PreconditionFailed => (C::PreconditionFailed, S::PRECONDITION_FAILED),
            Self::ConditionalConflict => (C::ConditionalRequestConflict, S::CONFLICT),
            Self::OperationAborted => (C::OperationAborted, S::CONFLICT),
            Self::InvalidRange { .. } => (C::InvalidRange, S::RANGE_NOT_SATISFIABLE),
            Self::InvalidPartNumber => (custom("InvalidPartNumber"), S::RANGE_NOT_SATISFIABLE),
            Self::InvalidArgument(_) => (C::InvalidArgument, S::BAD_REQUEST),
            Self::InvalidRequest(_) | Self::InvalidChecksum(_) => {
                (C::InvalidRequest, S::BAD_REQUEST)
            }
            Self::InvalidBucketName => (C::InvalidBucketName, S::BAD_REQUEST),
            Self::BucketAlreadyExists => (C::BucketAlreadyExists, S::CONFLICT),
            Self::BucketAlreadyOwnedByYou => (C::BucketAlreadyOwnedByYou, S::CONFLICT),
            Self::BucketNotEmpty => (C::BucketNotEmpty, S::CONFLICT),
            Self::InvalidLocationConstraint => (C::InvalidLocationConstraint, S::BAD_REQUEST),
            Self::InvalidStorageClass => (C::InvalidStorageClass, S::BAD_REQUEST),
            Self::KeyTooLong => (C::KeyTooLongError, S::BAD_REQUEST),
            Self::MetadataTooLarge => (C::MetadataTooLarge, S::BAD_REQUEST),
            Self::EntityTooLarge => (C::EntityTooLarge, S::BAD_REQUEST),
            Self::EntityTooSmall => (C::EntityTooSmall, S::BAD_REQUEST),
            Self::InvalidPart => (C::InvalidPart, S::BAD_REQUEST),
            Self::InvalidPartOrder => (C::InvalidPartOrder, S::BAD_REQUEST),
            Self::MalformedXml => (C::MalformedXML, S::BAD_REQUEST),
            Self::IllegalVersioning => (C::IllegalVersioningConfigurationException, S::BAD_REQUEST),
            Self::InvalidTag(_) => (C::InvalidTag, S::BAD_REQUEST),
            Self::TooManyTags(_) => (custom("BadRequest"), S::BAD_REQUEST),
            Self::MissingContentLength => (C::MissingContentLength, S::LENGTH_REQUIRED),
            Self::IncompleteBody => (C::IncompleteBody, S::BAD_REQUEST),
            Self::InvalidDigest => (C::InvalidDigest, S::BAD_REQUEST),
            Self::BadDigest(_) => (C::BadDigest, S::BAD_REQUEST),
            Self::ContentSha256Mismatch => (custom("XAmzContentSHA256Mismatch"), S::BAD_REQUEST),
            Self::MalformedTrailer => (custom("MalformedTrailerError"), S::BAD_REQUEST),
            Self::RequestTimeout => (C::RequestTimeout, S::BAD_REQUEST),
            Self::SignatureDoesNotMatch => (C::SignatureDoesNotMatch, S::FORBIDDEN),
            Self::NotImplemented(_) => (C::NotImplemented, S::NOT_IMPLEMENTED),
            Self::Unconfigured(setting) => (setting.code(), S::NOT_FOUND),
            Self::SlowDown => (C::SlowDown, S::SERVICE_UNAVAILABLE),
            Self::Unavailable(_) => (C::ServiceUnavailable, S::SERVICE_UNAVAILABLE),
            Self::InsufficientStorage => (custom("InsufficientStorage"), S::INSUFFICIENT_STORAGE),
            Self::Internal(_) => (C::InternalError, S::INTERNAL_SERVER_ERROR),
        }
    }

    /// Headers that belong to the answer beside the document.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::MarkerIsCurrent { version } => {
                put(&mut headers, "x-amz-delete-marker", "true");
                put(&mut headers, "x-amz-version-id", version);
            }
            Self::MarkerNamed { version, modified } => {
                put(&mut headers, "x-amz-delete-marker", "true");
                put(&mut headers, "x-amz-version-id", version);
                put(&mut headers, "last-modified", &http_date(*modified));
                put(&mut headers, "allow", "DELETE");
            }
            Self::NotModified { etag, modified, cache_control, expires } => {
                put(&mut headers, "etag", &format!("\"{etag}\""));
                put(&mut headers, "last-modified", &http_date(*modified));
                for (name, value) in [("cache-control", cache_control), ("expires", expires)] {
                    if let Some(value) = value {
                        put(&mut headers, name, value);
                    }
                }
            }
            Self::AccessDeniedIn { region } => put(&mut headers, "x-amz-bucket-region", region),
            Self::InvalidRange { size } => {
                put(&mut headers, "content-range", &super::range::unsatisfied_range(*size));
            }
            Self::SlowDown | Self::Unavailable(_) => {
                headers.insert(http::header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            }
            _ => {}
        }
        headers
    }

    /// Writes the log line of a failure that is ours and not the client's.
    fn log(&self) {
        match self {
            Self::Internal(reason) => tracing::error!(reason, "operation failed: {reason}"),
            Self::Unavailable(reason) => {
                tracing::warn!(reason, "operation refused for now: {reason}");
            }
            _ => {}
        }
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        error.log();
        let (code, status) = error.code();
        let headers = error.headers();
        let mut answer = Self::with_message(code, error.to_string());
        answer.set_status_code(status);
        if !headers.is_empty() {
            answer.set_headers(with_xml_type(headers, status));
        }
        answer
    }
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::NoSuchBucket => Self::NoSuchBucket,
            MetaError::BucketChanged => Self::OperationAborted,
            MetaError::BucketExists { .. } => Self::BucketAlreadyExists,
            MetaError::BucketNotEmpty => Self::BucketNotEmpty,
            MetaError::Unavailable(_) | MetaError::LeaseEnded => {
                Self::Unavailable(error.to_string())
            }
            MetaError::Exists(_) | MetaError::Broken(_) => Self::Internal(error.to_string()),
        }
    }
}

/// The front end lets an error's own headers replace all others, so that the document's type has
/// to be among them.
fn with_xml_type(mut headers: HeaderMap, status: StatusCode) -> HeaderMap {
    if status != StatusCode::NOT_MODIFIED {
        put(&mut headers, "content-type", "application/xml");
    }
    headers
}

fn custom(code: &'static str) -> S3ErrorCode {
    S3ErrorCode::Custom(code.into())
}

/// A time as HTTP headers show it.
pub(crate) fn http_date(time: OffsetDateTime) -> String {
    time.to_offset(time::UtcOffset::UTC).format(HTTP_DATE).unwrap_or_default()
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_the_front_end_lacks_keep_their_status() {
        for (error, code, status) in [
            (Error::InvalidPartNumber, "InvalidPartNumber", 416),
            (Error::ContentSha256Mismatch, "XAmzContentSHA256Mismatch", 400),
            (Error::InsufficientStorage, "InsufficientStorage", 507),
            (
                Error::NotModified {
                    etag: "e".into(),
                    modified: OffsetDateTime::UNIX_EPOCH,
                    cache_control: None,
                    expires: None,
                },
                "NotModified",
                304,
            ),
        ] {
            let answer = S3Error::from(error);
            assert_eq!(answer.code().as_str(), code);
            assert_eq!(answer.status_code().unwrap().as_u16(), status);
        }
    }

    #[test]
    fn a_delete_marker_names_itself() {
        let answer = S3Error::from(Error::MarkerNamed {
            version: "v1".to_owned(),
            modified: OffsetDateTime::UNIX_EPOCH,
        });
        let headers = answer.headers().unwrap();
        assert_eq!(headers["x-amz-delete-marker"], "true");
        assert_eq!(headers["x-amz-version-id"], "v1");
        assert_eq!(headers["last-modified"], "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(headers["content-type"], "application/xml");
    }

    #[test]
    fn an_overload_tells_when_to_come_back() {
        let answer = S3Error::from(Error::SlowDown);
        assert_eq!(answer.headers().unwrap()["retry-after"], "1");
    }

    #[test]
    fn an_internal_reason_is_not_shown_to_clients() {
        let answer = S3Error::from(Error::Internal("row 7 is odd".to_owned()));
        assert!(!answer.message().unwrap().contains("row 7"));
    }
}
