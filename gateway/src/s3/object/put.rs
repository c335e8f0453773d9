//! `PutObject`: check, receive the bytes, verify them, commit.

use super::commit;
use crate::app::App;
use crate::meta::types::{Checksum, ChecksumType, Commit, Content};
use crate::points::crash_point;
use crate::s3::checksum::{self, Fields, set_checksum};
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::headers::{self, take_headers};
use crate::s3::incoming::{self, Integrity, Stored};
use crate::s3::{ids, storage_class, tags};
use s3s::dto::{self, ETag, PutObjectInput, PutObjectOutput};

/// Stores an object.
pub(crate) async fn put(
    app: &App,
    context: &Context,
    mut input: PutObjectInput,
) -> Result<PutObjectOutput, Error> {
    ids::check_key(&input.key)?;
    let length = incoming::announced_length(input.content_length)?;
    let integrity = Integrity::from_headers(&context.headers)?;
    let (class, scheme) = storage_class::parse(context.value("x-amz-storage-class"))?;
    let headers = headers::checked(take_headers!(input), context)?;
    let tags = tags::of_header(context.value("x-amz-tagging"))?;
    let condition = commit::condition(input.if_match.as_ref(), input.if_none_match.as_ref());
    let bucket = context.bucket_to_write(app, &input.bucket).await?;
    commit::check_early(app, &input.bucket, &input.key, &condition).await?;

    let algorithm = integrity.algorithm().unwrap_or(checksum::DEFAULT);
    let trailers = context.trailers.as_ref();
    let stored =
        incoming::receive(app, scheme, input.body, length, &integrity, algorithm, trailers).await?;
    let checksum =
        Checksum { algorithm, kind: ChecksumType::FullObject, value: stored.checksum(algorithm)? };
    let described = Content {
        size: stored.size,
        etag: stored.md5.clone(),
        storage_class: class.to_owned(),
        headers,
        checksum: Some(checksum.clone()),
        parts: Vec::new(),
        tags,
    };
    let commit = Commit {
        lease: stored.lease,
        bucket,
        key: input.key,
        content: described,
        body: stored.source(),
        condition,
    };
    finish(app, context, commit, stored, &checksum).await
}

async fn finish(
    app: &App,
    context: &Context,
    commit: Commit,
    stored: Stored,
    checksum: &Checksum,
) -> Result<PutObjectOutput, Error> {
    let etag = stored.md5.clone();
    crash_point!("put.before_commit");
    let committed = match commit::commit(app, context, commit).await {
        Ok(Some(committed)) => committed,
        Ok(None) => {
            return Err(Error::Internal("a new body was taken for a shared one".to_owned()));
        }
        Err(error) => {
            if commit::is_certain(&error) {
                stored.copies.discard();
            }
            return Err(error);
        }
    };
    crash_point!("put.committed");
    let mut output = PutObjectOutput {
        e_tag: Some(ETag::Strong(etag)),
        checksum_type: Some(dto::ChecksumType::from_static(dto::ChecksumType::FULL_OBJECT)),
        version_id: committed.version,
        ..Default::default()
    };
    set_checksum!(output, Fields::of(Some(checksum), 0));
    Ok(output)
}
