//! `CreateMultipartUpload`: what the object will be, apart from its bytes.

use crate::app::App;
use crate::meta::MetaError;
use crate::meta::types::{Upload, UploadId};
use crate::s3::checksum;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::headers::{self, take_headers};
use crate::s3::{encode, ids, storage_class, tags};
use s3s::dto::{self, CreateMultipartUploadInput, CreateMultipartUploadOutput};
use time::OffsetDateTime;
use uuid::Uuid;

/// Starts an upload.
pub(crate) async fn create(
    app: &App,
    context: &Context,
    mut input: CreateMultipartUploadInput,
) -> Result<CreateMultipartUploadOutput, Error> {
    ids::check_key(&input.key)?;
    let (class, _) = storage_class::parse(context.value("x-amz-storage-class"))?;
    let headers = headers::checked(take_headers!(input), context)?;
    let kind = input.checksum_type.as_ref().map(dto::ChecksumType::as_str);
    let algorithm = context.value("x-amz-checksum-algorithm").unwrap_or_default();
    let checksum = match checksum::parse_algorithm(algorithm)? {
        Some(algorithm) => Some((algorithm, checksum::multipart_type(algorithm, kind)?)),
        None if kind.is_some() => {
            return Err(Error::InvalidRequest(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            ));
        }
        None => None,
    };
    let bucket = context.bucket_to_write(app, &input.bucket).await?;
    let upload = Upload {
        id: UploadId(Uuid::nil()),
        bucket: bucket.id,
        key: input.key,
        started: OffsetDateTime::UNIX_EPOCH,
        storage_class: class.to_owned(),
        headers,
        tags: tags::of_header(context.value("x-amz-tagging"))?,
        checksum,
        initiator: context.caller.user.id,
    };
    let upload = match app.meta.create_upload(&bucket, upload.clone()).await {
        Err(MetaError::BucketChanged | MetaError::NoSuchBucket) => {
            let bucket = context.bucket(app, &input.bucket).await?;
            app.meta.create_upload(&bucket, Upload { bucket: bucket.id, ..upload }).await?
        }
        created => created?,
    };
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(encode::echo(&upload.key)),
        upload_id: Some(ids::upload_text(upload.id)),
        checksum_algorithm: checksum
            .map(|(algorithm, _)| dto::ChecksumAlgorithm::from_static(checksum::name(algorithm))),
        checksum_type: checksum
            .map(|(_, kind)| dto::ChecksumType::from_static(checksum::type_name(kind))),
        ..Default::default()
    })
}
