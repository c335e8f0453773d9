//! `DeleteObject`: what is absent is deleted just as well.

use super::commit;
use crate::app::App;
use crate::meta::MetaError;
use crate::meta::types::{Bucket, DeleteCondition, DeleteOutcome, VersionId};
use crate::points::crash_point;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::ids;
use s3s::dto::{DeleteObjectInput, DeleteObjectOutput};
use std::sync::Arc;
use time::OffsetDateTime;

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
    let condition = DeleteCondition {
        if_match: commit::condition(input.if_match.as_ref(), None).if_match,
        size: input.if_match_size.map(size).transpose()?,
        modified: input.if_match_last_modified_time.map(OffsetDateTime::from),
    };
    let version = input.version_id.as_deref();
    let deleted = delete_one(app, context, &bucket, &input.key, version, &condition).await?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.is_some().then_some(true),
        version_id: deleted.version.or(deleted.marker),
        ..Default::default()
    })
}

/// A size that a condition names.
pub(super) fn size(given: i64) -> Result<u64, Error> {
    u64::try_from(given).map_err(|_| Error::InvalidArgument("The size must not be negative"))
}

/// Deletes one key of a bucket that the caller may touch.
pub(super) async fn delete_one(
    app: &App,
    context: &Context,
    bucket: &Arc<Bucket>,
    key: &str,
    version_id: Option<&str>,
    condition: &DeleteCondition,
) -> Result<Deleted, Error> {
    ids::check_key(key)?;
    let version = ids::parse_opt_version(version_id)?;
    let condition = Some(condition);
    let outcome = match app.meta.delete(bucket, key, version, condition).await {
        Err(MetaError::BucketChanged | MetaError::NoSuchBucket) => {
            let bucket = context.bucket(app, &bucket.name).await?;
            app.meta.delete(&bucket, key, version, condition).await?
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
        DeleteOutcome::NoSuchKey => Err(Error::NoSuchKey),
        DeleteOutcome::Conflict => Err(Error::ConditionalConflict),
    }
}
