//! Bytes on their way in: the body of a request, its length, and the digests it must have.
//!
//! Nothing is committed before the body has the length announced and every digest that the
//! client named.

use super::checksum::{self, Claim, ClaimedValue};
use super::error::Error;
use crate::app::App;
use crate::data::{Copies, Digests, Finished, WriteError};
use crate::erasure::Scheme;
use crate::meta::types::{BodySource, ChecksumAlgorithm, NewBody};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use s3s::dto::StreamingBlob;
use s3s::stream::aws_chunked_stream::AwsChunkedStreamError;
use s3s::stream::upload_stream::UploadStreamError;
use s3s::{BodySizeLimitExceeded, StdError, TrailingHeaders};
use sixfold_proto::name::LeaseId;

/// The largest body of one request, and the largest part: 5 GiB.
pub(crate) const MAX_BODY_BYTES: u64 = 5 << 30;

/// What a client says that its bytes hash to.
#[derive(Debug)]
pub(crate) struct Integrity {
    md5: Option<Vec<u8>>,
    /// The additional checksum.
    pub(crate) claim: Option<Claim>,
}

impl Integrity {
    /// Reads `Content-MD5` and the additional checksum.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
        let md5 = headers.get("content-md5").map(|value| {
            let md5 = BASE64.decode(value.as_bytes()).ok().filter(|md5| md5.len() == 16);
            md5.ok_or(Error::InvalidDigest)
        });
        Ok(Self { md5: md5.transpose()?, claim: Claim::from_headers(headers)? })
    }

    /// The algorithm that the client named.
    pub(crate) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.claim.as_ref().map(|claim| claim.algorithm)
    }

    /// Compares what arrived with what was claimed.
    fn verify(&self, computed: &Finished, trailers: Option<&TrailingHeaders>) -> Result<(), Error> {
        if self.md5.as_deref().is_some_and(|md5| computed.md5.as_ref().is_none_or(|had| had != md5))
        {
            return Err(Error::BadDigest("Content-MD5"));
        }
        let Some(claim) = &self.claim else { return Ok(()) };
        let claimed = match &claim.value {
            ClaimedValue::Given(value) => value.clone(),
            ClaimedValue::Absent => return Ok(()),
            ClaimedValue::InTrailer => trailers
                .and_then(|trailers| {
                    trailers.read(|headers| checksum::from_trailer(claim.algorithm, headers))
                })
                .ok_or(Error::MalformedTrailer)??,
        };
        if computed.checksum(claim.algorithm) == Some(&claimed[..]) {
            return Ok(());
        }
        Err(Error::BadDigest(checksum::name(claim.algorithm)))
    }
}

/// A body that is durable and verified, and waits for its commit.
pub(crate) struct Stored {
    /// Its chunks; `None` when it is empty.
    pub(crate) body: Option<NewBody>,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its MD5 in hex.
    pub(crate) md5: String,
    /// The lease that protects the chunks until the commit.
    pub(crate) lease: LeaseId,
    /// To be discarded when the commit certainly did not happen.
    pub(crate) copies: Copies,
    digests: Finished,
}

impl Stored {
    /// One of the checksums that were asked for.
    pub(crate) fn checksum(&self, algorithm: ChecksumAlgorithm) -> Result<Vec<u8>, Error> {
        let value = self.digests.checksum(algorithm).map(<[u8]>::to_vec);
        value.ok_or_else(|| Error::Internal(format!("no {algorithm:?} was computed")))
    }

    /// The bytes for a commit.
    pub(crate) fn source(&self) -> BodySource {
        self.body.clone().map_or(BodySource::Empty, BodySource::New)
    }
}

/// The announced length of a body, within the limit, before any of it is read.
pub(crate) fn announced_length(content_length: Option<i64>) -> Result<u64, Error> {
    let length = content_length.ok_or(Error::MissingContentLength)?;
    let length = u64::try_from(length)
        .map_err(|_| Error::InvalidArgument("Content-Length must not be negative"))?;
    if length > MAX_BODY_BYTES {
        return Err(Error::EntityTooLarge);
    }
    Ok(length)
}

/// Stores a request's body with the checksum `stored_as` beside what the client named.
pub(crate) async fn receive(
    app: &App,
    scheme: Scheme,
    body: Option<StreamingBlob>,
    length: u64,
    integrity: &Integrity,
    stored_as: ChecksumAlgorithm,
    trailers: Option<&TrailingHeaders>,
) -> Result<Stored, Error> {
    let body = body.unwrap_or_else(|| StreamingBlob::from_bytes(Bytes::new()));
    let source = body.map(|item| item.map_err(|error| source_error(&error)));
    let mut digests = Digests::md5().with(stored_as);
    if let Some(algorithm) = integrity.algorithm() {
        digests = digests.with(algorithm);
    }
    let stored = store(app, scheme, source, digests).await?;
    let verdict = if stored.size == length {
        integrity.verify(&stored.digests, trailers)
    } else {
        Err(Error::IncompleteBody)
    };
    match verdict {
        Ok(()) => Ok(stored),
        Err(error) => {
            stored.copies.discard();
            Err(error)
        }
    }
}

/// Stores bytes from anywhere.
pub(crate) async fn store<S>(
    app: &App,
    scheme: Scheme,
    source: S,
    digests: Digests,
) -> Result<Stored, Error>
where
    S: Stream<Item = Result<Bytes, Error>> + Send,
{
    let written = app.data.write(scheme, source, digests).await.map_err(write_error)?;
    let md5 = written.digests.md5.map(hex::encode).unwrap_or_default();
    Ok(Stored {
        body: written.body,
        size: written.size,
        md5,
        lease: written.lease,
        copies: written.copies,
        digests: written.digests,
    })
}

fn write_error(error: WriteError<Error>) -> Error {
    match error {
        WriteError::Source(error) => error,
        WriteError::TooFewNodes(_) => Error::Unavailable(error.to_string()),
        WriteError::Full => Error::InsufficientStorage,
        WriteError::SlowDown { .. } => Error::SlowDown,
    }
}

/// What a broken body means: the client's fault, by the layer that found it.
fn source_error(error: &StdError) -> Error {
    if let Some(error) = error.downcast_ref::<AwsChunkedStreamError>() {
        return chunked_error(error);
    }
    if let Some(error) = error.downcast_ref::<UploadStreamError>() {
        return match error {
            UploadStreamError::Underlying(inner) => plain_error(inner),
            UploadStreamError::Sha256Mismatch => Error::ContentSha256Mismatch,
            UploadStreamError::LengthMismatch | UploadStreamError::Incomplete => {
                Error::IncompleteBody
            }
        };
    }
    plain_error(error)
}

fn chunked_error(error: &AwsChunkedStreamError) -> Error {
    match error {
        AwsChunkedStreamError::Underlying(inner) => plain_error(inner),
        AwsChunkedStreamError::SignatureMismatch => Error::SignatureDoesNotMatch,
        AwsChunkedStreamError::FormatError
        | AwsChunkedStreamError::Incomplete
        | AwsChunkedStreamError::LengthMismatch
        | AwsChunkedStreamError::ChunkMetaTooLarge(..) => Error::IncompleteBody,
        AwsChunkedStreamError::TrailersTooLarge(..)
        | AwsChunkedStreamError::TooManyTrailerHeaders(..) => Error::MalformedTrailer,
        AwsChunkedStreamError::ChunkDataTooLarge(..) => Error::EntityTooLarge,
    }
}

/// An error of the connection: too large, too slow, or simply over.
fn plain_error(error: &StdError) -> Error {
    if error.is::<BodySizeLimitExceeded>() {
        return Error::EntityTooLarge;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(found) = cause {
        let io = found.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return Error::RequestTimeout;
        }
        cause = found.source();
    }
    Error::IncompleteBody
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn lengths_are_checked_before_reading() {
        assert!(matches!(announced_length(None), Err(Error::MissingContentLength)));
        assert!(matches!(announced_length(Some(-1)), Err(Error::InvalidArgument(_))));
        assert_eq!(announced_length(Some(5 << 30)).unwrap(), MAX_BODY_BYTES);
        assert!(matches!(announced_length(Some((5 << 30) + 1)), Err(Error::EntityTooLarge)));
    }

    #[test]
    fn a_content_md5_has_sixteen_bytes() {
        let with = |md5: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-md5", HeaderValue::from_static(md5));
            Integrity::from_headers(&headers)
        };
        assert!(with("1B2M2Y8AsgTpgAmY7PhCfg==").is_ok());
        for bad in ["", "x", "AAAA", "1B2M2Y8AsgTpgAmY7PhCfg"] {
            assert!(matches!(with(bad), Err(Error::InvalidDigest)), "{bad}");
        }
    }

    #[test]
    fn a_broken_body_is_blamed_by_layer() {
        let io = |kind| StdError::from(std::io::Error::from(kind));
        for (error, code) in [
            (UploadStreamError::Sha256Mismatch.into(), "XAmzContentSHA256Mismatch"),
            (UploadStreamError::Incomplete.into(), "IncompleteBody"),
            (AwsChunkedStreamError::SignatureMismatch.into(), "SignatureDoesNotMatch"),
            (AwsChunkedStreamError::FormatError.into(), "IncompleteBody"),
            (AwsChunkedStreamError::ChunkDataTooLarge(2, 1).into(), "EntityTooLarge"),
            (io(std::io::ErrorKind::TimedOut), "RequestTimeout"),
            (io(std::io::ErrorKind::UnexpectedEof), "IncompleteBody"),
            (
                UploadStreamError::Underlying(io(std::io::ErrorKind::TimedOut)).into(),
                "RequestTimeout",
            ),
        ] {
            let answer = s3s::S3Error::from(source_error(&error));
            assert_eq!(answer.code().as_str(), code);
        }
    }
}
