//! Looking up the version that a read or a copy is about.

use crate::app::App;
use crate::meta::MetaError;
use crate::meta::types::{Bucket, Content, Extent, Found, Version, VersionId, Versioning};
use crate::s3::context::Context;
use crate::s3::copy_source::Source;
use crate::s3::error::Error;
use crate::s3::ids;
use crate::s3::precondition::{Conditions, ETagTest, Verdict};
use s3s::dto::{StreamingBlob, Timestamp};
use std::ops::Range;
use std::sync::Arc;
use time::OffsetDateTime;

/// A version that has content.
#[derive(Debug)]
pub(crate) struct Present {
    /// Its bucket.
    pub(crate) bucket: Arc<Bucket>,
    /// Its row.
    pub(crate) version: Version,
    /// Its content.
    pub(crate) content: Content,
    /// The first extents of its body.
    pub(crate) extents: Vec<Extent>,
}

impl Present {
    /// The version id that the answer names: none in a bucket that never had versions.
    pub(crate) fn shown_version(&self) -> Option<String> {
        shown_version(&self.bucket, self.version.version)
    }

    /// Tests the conditions of a read.
    pub(crate) fn check(&self, conditions: &Conditions) -> Result<(), Error> {
        match conditions.check(&self.content.etag, self.version.modified) {
            Verdict::Holds => Ok(()),
            Verdict::Failed => Err(Error::PreconditionFailed),
            Verdict::NotModified => Err(Error::NotModified {
                etag: self.content.etag.clone(),
                modified: self.version.modified,
                cache_control: self.content.headers.cache_control.clone(),
                expires: self.content.headers.expires.clone(),
            }),
        }
    }

    /// Opens the bytes `range`. `None` when they were collected since the look-up.
    pub(crate) async fn open(
        &self,
        app: &App,
        range: Range<u64>,
    ) -> Result<Option<StreamingBlob>, Error> {
        let stream = self.read(app, range).await?;
        Ok(stream.map(crate::s3::outgoing::streamed))
    }

    /// The same as a stream, for a copy.
    pub(crate) async fn read(
        &self,
        app: &App,
        range: Range<u64>,
    ) -> Result<Option<crate::data::BodyStream>, Error> {
        let Some(body) = self.version.body else {
            return Err(Error::Internal("a version with bytes has no body".to_owned()));
        };
        let is_known = self.extents.last().is_some_and(|last| last.start + last.size > range.start);
        let extents = if is_known {
            self.extents.clone()
        } else {
            app.meta.extents(body, range.start).await?
        };
        if extents.is_empty() {
            return Ok(None);
        }
        crate::s3::outgoing::open(app, body, extents, range).await
    }
}

/// The version id that an answer names.
pub(crate) fn shown_version(bucket: &Bucket, version: VersionId) -> Option<String> {
    (bucket.versioning != Versioning::Off).then(|| ids::version_text(version))
}

/// Looks up a version for its reader.
pub(crate) async fn look_up(
    app: &App,
    context: &Context,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
) -> Result<Present, Error> {
    ids::check_key(key)?;
    let version = ids::parse_opt_version(version_id)?;
    let found = find(app, bucket, key, version).await?;
    context.allow(&found.bucket)?;
    present(found, version)
}

/// Looks up the source of a copy.
pub(crate) async fn look_up_source(
    app: &App,
    context: &Context,
    source: &Source,
) -> Result<Present, Error> {
    let found = find(app, &source.bucket, &source.key, source.version).await?;
    context.allow_source(&found.bucket)?;
    present(found, source.version).map_err(|error| match error {
        Error::MarkerNamed { .. } => Error::InvalidRequest(
            "The source of a copy request may not specifically refer to a delete marker by \
             version id.",
        ),
        other => other,
    })
}

async fn find(
    app: &App,
    bucket: &str,
    key: &str,
    version: Option<VersionId>,
) -> Result<Found, Error> {
    app.meta.find(bucket, key, version).await.map_err(|error| {
        if matches!(error, MetaError::NoSuchBucket) {
            app.buckets.forget(bucket);
        }
        error.into()
    })
}

fn present(found: Found, asked: Option<VersionId>) -> Result<Present, Error> {
    let Some(mut version) = found.version else { return Err(absent(asked)) };
    let Some(content) = version.content.take() else {
        return Err(marker(asked, version.version, version.modified));
    };
    Ok(Present { bucket: found.bucket, version, content, extents: found.extents })
}

/// What was asked for is not there.
pub(super) fn absent(asked: Option<VersionId>) -> Error {
    if asked.is_some() { Error::NoSuchVersion } else { Error::NoSuchKey }
}

/// What was asked for is a delete marker.
pub(super) fn marker(
    asked: Option<VersionId>,
    found: VersionId,
    modified: OffsetDateTime,
) -> Error {
    let version = ids::version_text(found);
    match asked {
        Some(_) => Error::MarkerNamed { version, modified },
        None => Error::MarkerIsCurrent { version },
    }
}

/// The conditions of a read: its headers, and the dates that the front end parsed.
pub(crate) fn conditions(
    context: &Context,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> Conditions {
    named_conditions(context, ["if-match", "if-none-match"], if_modified_since, if_unmodified_since)
}

/// The conditions that a copy sets for its source.
pub(crate) fn source_conditions(
    context: &Context,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> Conditions {
    let names = ["x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"];
    named_conditions(context, names, if_modified_since, if_unmodified_since)
}

/// The front end takes a list of ETags for one, so that these two headers are read here.
fn named_conditions(
    context: &Context,
    [if_match, if_none_match]: [&str; 2],
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> Conditions {
    Conditions {
        matching: context.value(if_match).map(ETagTest::parse),
        not_matching: context.value(if_none_match).map(ETagTest::parse),
        modified_since: if_modified_since.map(|date| date.clone().into()),
        unmodified_since: if_unmodified_since.map(|date| date.clone().into()),
    }
}
