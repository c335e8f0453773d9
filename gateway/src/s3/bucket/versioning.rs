//! Whether a bucket keeps versions: `GetBucketVersioning` and `PutBucketVersioning`.

use crate::app::App;
use crate::meta::types::Versioning;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{
    BucketVersioningStatus, GetBucketVersioningInput, GetBucketVersioningOutput, MFADelete,
    PutBucketVersioningInput, PutBucketVersioningOutput, VersioningConfiguration,
};

/// Tells the versioning state: nothing at all where it was never set.
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

/// Enables or suspends versioning. Once this is answered, every gateway decides by it: a commit
/// that was decided by the old state is refused by its epoch, and decided anew.
pub(crate) async fn set_versioning(
    app: &App,
    context: &Context,
    input: PutBucketVersioningInput,
) -> Result<PutBucketVersioningOutput, Error> {
    let versioning = asked(&input.versioning_configuration)?;
    let bucket = context.bucket(app, &input.bucket).await?;
    let done = app.meta.set_versioning(bucket.id, versioning).await;
    app.buckets.forget(&input.bucket);
    done?;
    Ok(PutBucketVersioningOutput {})
}

/// What a document asks for. Nobody can take back that versioning was ever enabled.
fn asked(configuration: &VersioningConfiguration) -> Result<Versioning, Error> {
    match configuration.mfa_delete.as_ref().map(MFADelete::as_str) {
        None | Some(MFADelete::DISABLED) => {}
        Some(MFADelete::ENABLED) => return Err(Error::NotImplemented("MfaDelete")),
        Some(_) => return Err(Error::MalformedXml),
    }
    match configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Ok(Versioning::Enabled),
        Some(BucketVersioningStatus::SUSPENDED) => Ok(Versioning::Suspended),
        Some(_) => Err(Error::MalformedXml),
        None => Err(Error::IllegalVersioning),
    }
}
