//! `UploadPart`: a part's bytes, durable and verified, in place of an older part of its number.

use crate::app::App;
use crate::meta::types::{Checksum, ChecksumAlgorithm, ChecksumType, Part, PartOutcome, Upload};
use crate::points::crash_point;
use crate::s3::checksum::{self, Fields, set_checksum};
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::incoming::{self, Integrity, Stored};
use crate::s3::object::part_range::check_part_number;
use crate::s3::{ids, storage_class};
use s3s::dto::{ETag, UploadPartInput, UploadPartOutput};
use time::OffsetDateTime;

/// Stores a part.
pub(crate) async fn part(
    app: &App,
    context: &Context,
    input: UploadPartInput,
) -> Result<UploadPartOutput, Error> {
    let number = check_part_number(input.part_number)?;
    let length = incoming::announced_length(input.content_length)?;
    let integrity = Integrity::from_headers(&context.headers)?;
    let upload = find(app, context, &input.bucket, &input.key, &input.upload_id).await?;
    let (algorithm, kind) = stored_as(&upload);
    check_algorithm(&upload, &integrity)?;

    let (_, scheme) = storage_class::parse(Some(&upload.storage_class))?;
    let trailers = context.trailers.as_ref();
    let stored =
        incoming::receive(app, scheme, input.body, length, &integrity, algorithm, trailers).await?;
    let etag = stored.md5.clone();
    let shown = integrity.algorithm().unwrap_or(algorithm);
    let answered = Checksum {
        algorithm: shown,
        kind: ChecksumType::FullObject,
        value: stored.checksum(shown)?,
    };
    commit(app, &upload, number, algorithm, kind, stored).await?;
    let mut output = UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
    set_checksum!(output, Fields::of(Some(&answered), 0));
    Ok(output)
}

/// An upload under way, by its bucket, key and id. An upload that is not in the bucket as it is
/// remembered may be in one of the same name that was made since.
pub(super) async fn find(
    app: &App,
    context: &Context,
    bucket_name: &str,
    key: &str,
    upload_id: &str,
) -> Result<Upload, Error> {
    ids::check_key(key)?;
    let id = ids::parse_upload(upload_id)?;
    let remembered = context.bucket_to_write(app, bucket_name).await?;
    if let Some(upload) = app.meta.upload(remembered.id, key, id).await? {
        return Ok(upload);
    }
    let bucket = context.bucket(app, bucket_name).await?;
    if bucket.id == remembered.id {
        return Err(Error::NoSuchUpload);
    }
    app.meta.upload(bucket.id, key, id).await?.ok_or(Error::NoSuchUpload)
}

/// The checksum that an upload's parts are stored with.
pub(super) fn stored_as(upload: &Upload) -> (ChecksumAlgorithm, ChecksumType) {
    upload.checksum.unwrap_or((checksum::DEFAULT, ChecksumType::FullObject))
}

/// An upload that named its algorithm takes no other one with its parts.
fn check_algorithm(upload: &Upload, integrity: &Integrity) -> Result<(), Error> {
    match (upload.checksum, integrity.algorithm()) {
        (Some((named, _)), Some(given)) if named != given => Err(Error::InvalidRequest(
            "Checksum Type mismatch occurred: the part has another checksum algorithm than its \
             upload was created with.",
        )),
        _ => Ok(()),
    }
}

/// Makes a stored part one of the upload's.
pub(super) async fn commit(
    app: &App,
    upload: &Upload,
    number: u16,
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    stored: Stored,
) -> Result<OffsetDateTime, Error> {
    let part = Part {
        number,
        size: stored.size,
        etag: stored.md5.clone(),
        checksum: Some(Checksum { algorithm, kind, value: stored.checksum(algorithm)? }),
        modified: crate::clock::now(),
    };
    crash_point!("part.before_commit");
    let outcome = app.meta.commit_part(stored.lease, upload.id, part, stored.body.clone()).await?;
    crash_point!("part.committed");
    match outcome {
        PartOutcome::Done { modified } => Ok(modified),
        PartOutcome::NoSuchUpload => {
            stored.copies.discard();
            Err(Error::NoSuchUpload)
        }
    }
}
