//! `GetObjectTagging`, `PutObjectTagging` and `DeleteObjectTagging`: the tags of a version.

use super::find::{self, shown_version};
use crate::app::App;
use crate::meta::types::{TagOutcome, Tags};
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::{ids, tags};
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput,
};

/// Tells the tags of a version.
pub(crate) async fn get(
    app: &App,
    context: &Context,
    input: GetObjectTaggingInput,
) -> Result<GetObjectTaggingOutput, Error> {
    let version_id = input.version_id.as_deref();
    let present = find::look_up(app, context, &input.bucket, &input.key, version_id).await?;
    let version_id = present.shown_version();
    Ok(GetObjectTaggingOutput { tag_set: tags::shown(present.content.tags), version_id })
}

/// Gives a version these tags and no others.
pub(crate) async fn put(
    app: &App,
    context: &Context,
    input: PutObjectTaggingInput,
) -> Result<PutObjectTaggingOutput, Error> {
    let tags = tags::of_object(input.tagging.tag_set)?;
    let version_id = input.version_id.as_deref();
    let version_id = set(app, context, &input.bucket, &input.key, version_id, &tags).await?;
    Ok(PutObjectTaggingOutput { version_id })
}

/// Takes all tags from a version.
pub(crate) async fn delete(
    app: &App,
    context: &Context,
    input: DeleteObjectTaggingInput,
) -> Result<DeleteObjectTaggingOutput, Error> {
    let version_id = input.version_id.as_deref();
    let none = Tags::new();
    let version_id = set(app, context, &input.bucket, &input.key, version_id, &none).await?;
    Ok(DeleteObjectTaggingOutput { version_id })
}

/// Answers the id of the version that was tagged.
async fn set(
    app: &App,
    context: &Context,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
    tags: &Tags,
) -> Result<Option<String>, Error> {
    ids::check_key(key)?;
    let asked = ids::parse_opt_version(version_id)?;
    let bucket = context.bucket(app, bucket).await?;
    match app.meta.set_tags(bucket.id, key, asked, tags).await? {
        TagOutcome::Done { version } => Ok(shown_version(&bucket, version)),
        TagOutcome::Absent => Err(find::absent(asked)),
        TagOutcome::Marker { version, modified } => Err(find::marker(asked, version, modified)),
    }
}
