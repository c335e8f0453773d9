//! `GetObjectAttributes`: what is known of an object, as a document.

use super::find::{self, Present};
use super::part_range::part_checksum;
use crate::app::App;
use crate::s3::checksum::{self, Fields, set_checksum};
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::time;
use s3s::dto::{
    self, Checksum, ETag, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectAttributesParts, ObjectPart, StorageClass,
};

/// Parts of one page, at most and by default.
const MAX_PARTS: i32 = 1000;

const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// Describes an object by the attributes asked for.
pub(crate) async fn attributes(
    app: &App,
    context: &Context,
    input: GetObjectAttributesInput,
) -> Result<GetObjectAttributesOutput, Error> {
    let asked: Vec<&str> = input
        .object_attributes
        .iter()
        .flat_map(|value| value.as_str().split(','))
        .map(str::trim)
        .collect();
    if asked.iter().any(|name| !KNOWN.contains(name)) {
        return Err(Error::InvalidArgument("Invalid attribute name specified."));
    }
    let version_id = input.version_id.as_deref();
    let present = find::look_up(app, context, &input.bucket, &input.key, version_id).await?;
    let has = |name: &str| asked.contains(&name);
    let had = &present.content;
    let parts = (has("ObjectParts") && !had.parts.is_empty())
        .then(|| parts(&present, input.part_number_marker, input.max_parts))
        .transpose()?;
    Ok(GetObjectAttributesOutput {
        checksum: has("Checksum").then(|| object_checksum(&present)).flatten(),
        e_tag: has("ETag").then(|| ETag::Strong(had.etag.clone())),
        last_modified: Some(time::shown(present.version.modified)),
        object_parts: parts,
        object_size: has("ObjectSize").then(|| i64::try_from(had.size).ok()).flatten(),
        storage_class: has("StorageClass").then(|| StorageClass::from(had.storage_class.clone())),
        version_id: present.shown_version(),
        ..Default::default()
    })
}

fn object_checksum(present: &Present) -> Option<Checksum> {
    let stored = present.content.checksum.as_ref()?;
    let kind = dto::ChecksumType::from_static(checksum::type_name(stored.kind));
    let mut answer = Checksum { checksum_type: Some(kind), ..Default::default() };
    // Here, unlike in headers, Amazon gives a composite without the count of parts.
    let mut fields = Fields::of(Some(stored), present.content.parts.len());
    for text in [&mut fields.crc32, &mut fields.crc32c, &mut fields.sha1, &mut fields.sha256]
        .into_iter()
        .flatten()
    {
        let end = text.find('-').unwrap_or(text.len());
        text.truncate(end);
    }
    set_checksum!(answer, fields);
    Some(answer)
}

fn parts(
    present: &Present,
    marker: Option<i32>,
    max_parts: Option<i32>,
) -> Result<GetObjectAttributesParts, Error> {
    let marker = marker.unwrap_or(0);
    let max_parts = max_parts.unwrap_or(MAX_PARTS);
    if marker < 0 || max_parts < 0 {
        return Err(Error::InvalidArgument("max-parts and the marker must not be negative"));
    }
    let limit = usize::try_from(max_parts.min(MAX_PARTS)).unwrap_or_default();
    let all = &present.content.parts;
    let mut after = all.iter().filter(|part| i32::from(part.number) > marker);
    let page: Vec<_> = after.by_ref().take(limit).collect();
    let is_truncated = limit > 0 && after.next().is_some();
    let shown = page.iter().map(|part| {
        let mut answer = ObjectPart {
            part_number: Some(i32::from(part.number)),
            size: i64::try_from(part.size).ok(),
            ..Default::default()
        };
        set_checksum!(answer, part_checksum(part, present.content.checksum.as_ref()));
        answer
    });
    Ok(GetObjectAttributesParts {
        is_truncated: Some(is_truncated),
        max_parts: Some(max_parts.min(MAX_PARTS)),
        next_part_number_marker: page.last().map(|part| i32::from(part.number)),
        part_number_marker: Some(marker),
        parts: Some(shown.collect()),
        total_parts_count: i32::try_from(all.len()).ok(),
    })
}
