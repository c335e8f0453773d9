//! `GetBucketVersioning`.

use crate::app::App;
use crate::meta::types::Versioning;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{BucketVersioningStatus, GetBucketVersioningInput, GetBucketVersioningOutput};

/// Tells the versioning state: nothing at all where it was never enabled.
pub(crate) async fn versioning(
    app: &App,
    context: &Context,
    input: GetBucketVersioningInput,
) -> Result<GetBucketVersioningOutput, Error> {
    let bucket = context.bucket(app, &input.bucket).await?;
    let status = match bucket.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    Ok(GetBucketVersioningOutput {
        status: status.map(BucketVersioningStatus::from_static),
        ..Default::default()
    })
}
