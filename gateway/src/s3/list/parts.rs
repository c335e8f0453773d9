//! `ListParts`: the parts that an upload has so far.

use super::page;
use crate::app::App;
use crate::s3::checksum::{self, Fields, set_checksum};
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::object::probes::owner;
use crate::s3::{encode, ids, time};
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, ETag, Initiator, ListPartsInput, ListPartsOutput, Part,
    StorageClass,
};

/// Lists parts by number.
pub(crate) async fn parts(
    app: &App,
    context: &Context,
    input: ListPartsInput,
) -> Result<ListPartsOutput, Error> {
    let limit = page::limit(input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let after = u16::try_from(marker.min(i32::from(u16::MAX)))
        .map_err(|_| Error::InvalidArgument("part-number-marker must not be negative"))?;
    let bucket = context.bucket(app, &input.bucket).await?;
    let id = ids::parse_upload(&input.upload_id)?;
    ids::check_key(&input.key)?;
    let upload = app.meta.upload(bucket.id, &input.key, id).await?.ok_or(Error::NoSuchUpload)?;
    let found = match limit {
        0 => page::nothing(),
        _ => app.meta.parts(id, after, page::count(limit)).await?,
    };
    let owner = owner(context);
    // Without an algorithm of its own, an upload is not told of the one its parts are kept with.
    let is_checksum_shown = upload.checksum.is_some();
    let shown = |part: &crate::meta::types::Part| {
        let mut answer = Part {
            e_tag: Some(ETag::Strong(part.etag.clone())),
            last_modified: Some(time::shown(part.modified)),
            part_number: Some(i32::from(part.number)),
            size: i64::try_from(part.size).ok(),
            ..Default::default()
        };
        let own = part.checksum.as_ref().filter(|_| is_checksum_shown);
        set_checksum!(answer, own.map_or_else(Fields::default, Fields::of_part));
        answer
    };
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        checksum_algorithm: upload
            .checksum
            .map(|(algorithm, _)| ChecksumAlgorithm::from_static(checksum::name(algorithm))),
        checksum_type: upload
            .checksum
            .map(|(_, kind)| ChecksumType::from_static(checksum::type_name(kind))),
        initiator: Some(Initiator {
            display_name: owner.display_name.clone(),
            id: Some(ids::owner_text(upload.initiator)),
        }),
        is_truncated: Some(found.is_truncated),
        key: Some(encode::echo(&input.key)),
        max_parts: Some(limit),
        next_part_number_marker: found.entries.last().map(|part| i32::from(part.number)),
        owner: Some(owner),
        part_number_marker: Some(marker),
        parts: Some(found.entries.iter().map(shown).collect()),
        storage_class: Some(StorageClass::from(upload.storage_class)),
        upload_id: Some(input.upload_id),
        ..Default::default()
    })
}
