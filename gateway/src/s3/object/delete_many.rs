//! `DeleteObjects`: up to a thousand deletes in one request, each with its own answer.

use super::commit;
use super::delete::{delete_one, size};
use crate::app::App;
use crate::meta::types::{Bucket, DeleteCondition};
use crate::s3::context::Context;
use crate::s3::encode;
use crate::s3::error::Error;
use futures::{StreamExt as _, stream};
use s3s::S3Error;
use s3s::dto::{
    self, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition, ObjectIdentifier,
};
use std::sync::Arc;
use time::OffsetDateTime;

/// The most keys of one request, as on Amazon.
const MAX_KEYS: usize = 1000;

/// Deletes of one request that run at once: enough to hide the database's round trips, few
/// enough that one request does not take all its connections.
const AT_ONCE: usize = 8;

/// Deletes many keys. Keys that are absent count as deleted.
pub(crate) async fn delete_many(
    app: &App,
    context: &Context,
    input: DeleteObjectsInput,
) -> Result<DeleteObjectsOutput, Error> {
    let keys = input.delete.objects;
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(Error::MalformedXml);
    }
    let bucket = context.bucket_to_write(app, &input.bucket).await?;
    let results: Vec<_> = stream::iter(keys)
        .map(|key| one(app, context, &bucket, key))
        .buffered(AT_ONCE)
        .collect()
        .await;

    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(answer) => deleted.push(answer),
            Err(error) => errors.push(error),
        }
    }
    let is_quiet = input.delete.quiet == Some(true);
    Ok(DeleteObjectsOutput {
        deleted: (!is_quiet).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    })
}

/// What must hold for one of the keys.
fn condition(object: &ObjectIdentifier) -> Result<DeleteCondition, Error> {
    let etag = object.e_tag.clone().map(ETagCondition::ETag);
    Ok(DeleteCondition {
        if_match: commit::condition(etag.as_ref(), None).if_match,
        size: object.size.map(size).transpose()?,
        modified: object.last_modified_time.clone().map(OffsetDateTime::from),
    })
}

async fn one(
    app: &App,
    context: &Context,
    bucket: &Arc<Bucket>,
    object: ObjectIdentifier,
) -> Result<DeletedObject, dto::Error> {
    let version = object.version_id.as_deref();
    let result = match condition(&object) {
        Ok(wanted) => delete_one(app, context, bucket, &object.key, version, &wanted).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(deleted) => Ok(DeletedObject {
            delete_marker: deleted.marker.is_some().then_some(true),
            delete_marker_version_id: deleted.marker,
            key: Some(encode::echo(&object.key)),
            version_id: deleted.version,
        }),
        Err(error) => {
            let error = S3Error::from(error);
            Err(dto::Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(encode::echo(&object.key)),
                message: error.message().map(str::to_owned),
                version_id: object.version_id,
            })
        }
    }
}
