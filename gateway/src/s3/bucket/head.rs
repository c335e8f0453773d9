//! `HeadBucket`: whether it exists, and where.

use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{HeadBucketInput, HeadBucketOutput};

/// Looks a bucket up.
pub(crate) async fn head(
    app: &App,
    context: &Context,
    input: HeadBucketInput,
) -> Result<HeadBucketOutput, Error> {
    let is_here = |error| match error {
        // Clients learn from the refusal where to sign for.
        Error::AccessDenied => Error::AccessDeniedIn { region: app.region.clone() },
        error => error,
    };
    context.bucket(app, &input.bucket).await.map_err(is_here)?;
    Ok(HeadBucketOutput {
        access_point_alias: Some(false),
        bucket_region: Some(app.region.clone()),
        ..Default::default()
    })
}
