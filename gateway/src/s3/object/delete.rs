//! `DeleteObject`: what is absent is deleted just as well.

use crate::app::App;
use crate::meta::MetaError;
use crate::meta::types::{Bucket, DeleteOutcome, VersionId};
use crate::points::crash_point;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::ids;
use s3s::dto::{DeleteObjectInput, DeleteObjectOutput, ETagCondition};
use std::sync::Arc;

/// What a delete tells of: the fields of both operations that delete.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deleted {
    /// The id of the version that is gone, when one was named.
    pub(super) version: Option<String>,
    /// The id of a marker that was added, or that was the version removed.
    pub(super) marker: Option<String>,
}

/// Deletes a key or one version of it.
pub(crate) async fn delete(
    app: &App,
    context: &Context,
    input: DeleteObjectInput,
) -> Result<DeleteObjectOutput, Error> {
    let bucket = context.bucket_to_write(app, &input.bucket).await?;
    let if_match = input.if_match.as_ref().map(|condition| match condition {
        ETagCondition::Any => "*",
        ETagCondition::ETag(etag) => etag.value(),
    });
    let version = input.version_id.as_deref();
    let deleted = delete_one(app, context, &bucket, &input.key, version, if_match).await?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.is_some().then_some(true),
        version_id: deleted.version.or(deleted.marker),
        ..Default::default()
    })
}

/// Deletes one key of a bucket that the caller may touch.
pub(super) async fn delete_one(
    app: &App,
    context: &Context,
    bucket: &Arc<Bucket>,
    key: &str,
    version_id: Option<&str>,
    if_match: Option<&str>,
) -> Result<Deleted, Error> {
    ids::check_key(key)?;
    let version = ids::parse_opt_version(version_id)?;
    let outcome = match app.meta.delete(bucket, key, version, if_match).await {
        Err(MetaError::BucketChanged | MetaError::NoSuchBucket) => {
            let bucket = context.bucket(app, &bucket.name).await?;
            app.meta.delete(&bucket, key, version, if_match).await?
        }
        outcome => outcome?,
    };
    crash_point!("delete.deleted");
    deleted(&outcome, version)
}

fn deleted(outcome: &DeleteOutcome, named: Option<VersionId>) -> Result<Deleted, Error> {
    let named = named.map(ids::version_text);
    match outcome {
        DeleteOutcome::Absent => Ok(Deleted { version: named, marker: None }),
        DeleteOutcome::Deleted { was_marker, .. } => {
            let marker = named.clone().filter(|_| *was_marker);
            Ok(Deleted { version: named, marker })
        }
        DeleteOutcome::MarkerAdded { version } => {
            Ok(Deleted { version: None, marker: Some(ids::version_text(*version)) })
        }
        DeleteOutcome::PreconditionFailed => Err(Error::PreconditionFailed),
    }
}
