//! `GetBucketLocation`.

use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{BucketLocationConstraint, GetBucketLocationInput, GetBucketLocationOutput};

/// The region whose name clients expect not to be written.
const UNNAMED_REGION: &str = "us-east-1";

/// Names the bucket's region.
pub(crate) async fn location(
    app: &App,
    context: &Context,
    input: GetBucketLocationInput,
) -> Result<GetBucketLocationOutput, Error> {
    context.bucket(app, &input.bucket).await?;
    let region = Some(app.region.clone()).filter(|region| region != UNNAMED_REGION);
    Ok(GetBucketLocationOutput { location_constraint: region.map(BucketLocationConstraint::from) })
}
