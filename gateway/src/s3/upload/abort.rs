//! `AbortMultipartUpload`.

use crate::app::App;
use crate::points::crash_point;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::ids;
use s3s::dto::{AbortMultipartUploadInput, AbortMultipartUploadOutput};

/// Gives an upload up.
pub(crate) async fn abort(
    app: &App,
    context: &Context,
    input: AbortMultipartUploadInput,
) -> Result<AbortMultipartUploadOutput, Error> {
    let bucket = context.bucket(app, &input.bucket).await?;
    ids::check_key(&input.key)?;
    let id = ids::parse_upload(&input.upload_id)?;
    if !app.meta.abort_upload(bucket.id, &input.key, id).await? {
        return Err(Error::NoSuchUpload);
    }
    crash_point!("abort.aborted");
    Ok(AbortMultipartUploadOutput::default())
}
