//! `GetBucketTagging`, `PutBucketTagging` and `DeleteBucketTagging`.

use crate::app::App;
use crate::meta::types::Tags;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::probe::Unconfigured;
use crate::s3::tags;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, GetBucketTaggingInput,
    GetBucketTaggingOutput, PutBucketTaggingInput, PutBucketTaggingOutput,
};

/// Tells the tags of a bucket, or that it has none.
pub(crate) async fn get(
    app: &App,
    context: &Context,
    input: GetBucketTaggingInput,
) -> Result<GetBucketTaggingOutput, Error> {
    let bucket = context.bucket(app, &input.bucket).await?;
    let tags = app.meta.bucket_tags(bucket.id).await?;
    if tags.is_empty() {
        return Err(Error::Unconfigured(Unconfigured::Tags));
    }
    Ok(GetBucketTaggingOutput { tag_set: tags::shown(tags) })
}

/// Gives a bucket these tags and no others.
pub(crate) async fn put(
    app: &App,
    context: &Context,
    input: PutBucketTaggingInput,
) -> Result<PutBucketTaggingOutput, Error> {
    let tags = tags::of_bucket(input.tagging.tag_set)?;
    let bucket = context.bucket(app, &input.bucket).await?;
    app.meta.set_bucket_tags(bucket.id, &tags).await?;
    Ok(PutBucketTaggingOutput {})
}

/// Takes all tags from a bucket.
pub(crate) async fn delete(
    app: &App,
    context: &Context,
    input: DeleteBucketTaggingInput,
) -> Result<DeleteBucketTaggingOutput, Error> {
    let bucket = context.bucket(app, &input.bucket).await?;
    app.meta.set_bucket_tags(bucket.id, &Tags::new()).await?;
    Ok(DeleteBucketTaggingOutput {})
}
