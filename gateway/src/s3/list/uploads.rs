//! `ListMultipartUploads`: uploads that are neither completed nor given up.

use super::page;
use crate::app::App;
use crate::meta::types::{Page, Upload, UploadId};
use crate::s3::context::Context;
use crate::s3::encode::Encoding;
use crate::s3::error::Error;
use crate::s3::object::probes::owner;
use crate::s3::{checksum, ids, time};
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, MultipartUpload, Owner, StorageClass,
};

/// Lists uploads under way.
pub(crate) async fn uploads(
    app: &App,
    context: &Context,
    input: ListMultipartUploadsInput,
) -> Result<ListMultipartUploadsOutput, Error> {
    let limit = page::limit(input.max_uploads)?;
    let is_url = page::is_url(input.encoding_type.as_ref())?;
    let after_upload = after_upload(&input)?;
    let bucket = context.bucket(app, &input.bucket).await?;
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let query = page::query(prefix, delimiter, input.key_marker.clone(), limit);
    let found = match limit {
        0 => page::nothing(),
        _ => app.meta.list_uploads(bucket.id, &query, after_upload).await?,
    };
    let encoding = page::encoding(is_url, &found, |upload| &upload.key, &query, None);
    let shown = |text: &str| encoding.apply(text);
    let (next_key, next_upload) = next_marker(&found);
    let owner = owner(context);
    let uploads = found.entries.iter().map(|upload| upload_shown(upload, encoding, &owner));
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: Some(page::prefixes(&found.prefixes, encoding)),
        delimiter: query.delimiter.as_deref().map(shown),
        encoding_type: page::encoding_type(encoding),
        is_truncated: Some(found.is_truncated),
        key_marker: Some(shown(input.key_marker.as_deref().unwrap_or_default())),
        max_uploads: Some(limit),
        next_key_marker: next_key.as_deref().map(shown),
        next_upload_id_marker: next_upload,
        prefix: Some(shown(&query.prefix)),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        uploads: Some(uploads.collect()),
        request_charged: None,
    })
}

/// The upload marker counts only beside a key marker, as on Amazon.
fn after_upload(input: &ListMultipartUploadsInput) -> Result<Option<UploadId>, Error> {
    let has_key = input.key_marker.as_deref().is_some_and(|key| !key.is_empty());
    let marker = input.upload_id_marker.as_deref().filter(|marker| !marker.is_empty() && has_key);
    marker
        .map(ids::parse_upload)
        .transpose()
        .map_err(|_| Error::InvalidArgument("Invalid uploadId marker"))
}

fn next_marker(page: &Page<Upload>) -> (Option<String>, Option<String>) {
    if !page.is_truncated {
        return (None, None);
    }
    let prefix = page.prefixes.last();
    match page.entries.last() {
        Some(upload) if prefix.is_none_or(|prefix| *prefix < upload.key) => {
            (Some(upload.key.clone()), Some(ids::upload_text(upload.id)))
        }
        _ => (prefix.cloned(), None),
    }
}

fn upload_shown(upload: &Upload, encoding: Encoding, owner: &Owner) -> MultipartUpload {
    let checksum = upload.checksum;
    MultipartUpload {
        checksum_algorithm: checksum
            .map(|(algorithm, _)| ChecksumAlgorithm::from_static(checksum::name(algorithm))),
        checksum_type: checksum
            .map(|(_, kind)| ChecksumType::from_static(checksum::type_name(kind))),
        initiated: Some(time::shown(upload.started)),
        initiator: Some(Initiator {
            display_name: owner.display_name.clone(),
            id: Some(ids::owner_text(upload.initiator)),
        }),
        key: Some(encoding.apply(&upload.key)),
        owner: Some(owner.clone()),
        storage_class: Some(StorageClass::from(upload.storage_class.clone())),
        upload_id: Some(ids::upload_text(upload.id)),
    }
}
