//! `ListObjectVersions`: every version and delete marker, newest first within a key.

use super::order::EntryOrder;
use super::page;
use crate::app::App;
use crate::meta::types::{Page, Version, VersionId};
use crate::s3::context::Context;
use crate::s3::encode::Encoding;
use crate::s3::error::Error;
use crate::s3::object::probes::owner;
use crate::s3::{ids, time};
use s3s::dto::{
    DeleteMarkerEntry, ETag, ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion,
    ObjectVersionStorageClass, Owner,
};

/// Lists all versions.
pub(crate) async fn versions(
    app: &App,
    context: &Context,
    input: ListObjectVersionsInput,
) -> Result<ListObjectVersionsOutput, Error> {
    let limit = page::limit(input.max_keys)?;
    let is_url = page::is_url(input.encoding_type.as_ref())?;
    let after_version = after_version(&input)?;
    let bucket = context.bucket(app, &input.bucket).await?;
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let query = page::query(prefix, delimiter, input.key_marker.clone(), limit);
    let found = match limit {
        0 => page::nothing(),
        _ => app.meta.list_versions(bucket.id, &query, after_version).await?,
    };
    let encoding = page::encoding(is_url, &found, |version| &version.key, &query, None);
    let shown = |text: &str| encoding.apply(text);
    let next = next_marker(&found);
    let owner = owner(context);
    context.tell_order(EntryOrder::of(&found.entries));
    let (versions, markers): (Vec<_>, Vec<_>) =
        found.entries.iter().partition(|version| version.content.is_some());
    Ok(ListObjectVersionsOutput {
        common_prefixes: Some(page::prefixes(&found.prefixes, encoding)),
        delete_markers: Some(
            markers.into_iter().map(|marker| delete_marker(marker, encoding, &owner)).collect(),
        ),
        delimiter: query.delimiter.as_deref().map(shown),
        encoding_type: page::encoding_type(encoding),
        is_truncated: Some(found.is_truncated),
        key_marker: Some(shown(input.key_marker.as_deref().unwrap_or_default())),
        max_keys: Some(limit),
        name: Some(input.bucket),
        next_key_marker: next.as_ref().map(|(key, _)| shown(key)),
        next_version_id_marker: next.and_then(|(_, version)| version),
        prefix: Some(shown(&query.prefix)),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        versions: Some(
            versions.into_iter().map(|version| object_version(version, encoding, &owner)).collect(),
        ),
        request_charged: None,
    })
}

fn after_version(input: &ListObjectVersionsInput) -> Result<Option<VersionId>, Error> {
    let marker = input.version_id_marker.as_deref().filter(|marker| !marker.is_empty());
    let has_key = input.key_marker.as_deref().is_some_and(|key| !key.is_empty());
    if marker.is_some() && !has_key {
        return Err(Error::InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    ids::parse_opt_version(marker)
}

/// Where the next page begins: behind a version, or behind a whole common prefix.
fn next_marker(page: &Page<Version>) -> Option<(String, Option<String>)> {
    if !page.is_truncated {
        return None;
    }
    let entry = page.entries.last();
    let prefix = page.prefixes.last();
    match (entry, prefix) {
        (Some(version), prefix) if prefix.is_none_or(|prefix| *prefix < version.key) => {
            Some((version.key.clone(), Some(ids::version_text(version.version))))
        }
        (_, Some(prefix)) => Some((prefix.clone(), None)),
        (_, None) => None,
    }
}

fn object_version(version: &Version, encoding: Encoding, owner: &Owner) -> ObjectVersion {
    let content = version.content.as_ref();
    let checksum = content.and_then(|content| content.checksum.as_ref());
    ObjectVersion {
        checksum_algorithm: checksum.map(|checksum| vec![page::algorithm(checksum)]),
        checksum_type: checksum.map(page::kind),
        e_tag: content.map(|content| ETag::Strong(content.etag.clone())),
        is_latest: Some(version.is_current),
        key: Some(encoding.apply(&version.key)),
        last_modified: Some(time::shown(version.modified)),
        owner: Some(owner.clone()),
        restore_status: None,
        size: content.and_then(|content| i64::try_from(content.size).ok()),
        storage_class: content
            .map(|content| ObjectVersionStorageClass::from(content.storage_class.clone())),
        version_id: Some(ids::version_text(version.version)),
    }
}

fn delete_marker(marker: &Version, encoding: Encoding, owner: &Owner) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(marker.is_current),
        key: Some(encoding.apply(&marker.key)),
        last_modified: Some(time::shown(marker.modified)),
        owner: Some(owner.clone()),
        version_id: Some(ids::version_text(marker.version)),
    }
}
