//! `DeleteBucket`: only an empty one.

use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{DeleteBucketInput, DeleteBucketOutput};

/// Deletes a bucket.
pub(crate) async fn delete(
    app: &App,
    context: &Context,
    input: DeleteBucketInput,
) -> Result<DeleteBucketOutput, Error> {
    let bucket = context.bucket(app, &input.bucket).await?;
    app.meta.delete_bucket(bucket.id).await?;
    app.buckets.forget(&input.bucket);
    Ok(DeleteBucketOutput {})
}
