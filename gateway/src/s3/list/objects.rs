//! `ListObjects`, the first form of the list: markers are keys.

use super::page;
use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::object::probes::owner;
use s3s::dto::{ListObjectsInput, ListObjectsOutput};

/// Lists current versions.
pub(crate) async fn objects(
    app: &App,
    context: &Context,
    input: ListObjectsInput,
) -> Result<ListObjectsOutput, Error> {
    let limit = page::limit(input.max_keys)?;
    let is_url = page::is_url(input.encoding_type.as_ref())?;
    let bucket = context.bucket(app, &input.bucket).await?;
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let query = page::query(prefix, delimiter, input.marker.clone(), limit);
    let found = match limit {
        0 => page::nothing(),
        _ => app.meta.list_objects(bucket.id, &query).await?,
    };
    let encoding = page::encoding(is_url, &found, |version| &version.key, &query, None);
    let shown = |text: &str| encoding.apply(text);
    // Amazon names the next marker only where keys are rolled up: elsewhere it is the last key.
    let next = page::last_name(&found, |version| version.key.as_str())
        .filter(|_| found.is_truncated && query.delimiter.is_some());
    let owner = owner(context);
    let contents =
        found.entries.iter().map(|version| page::object(version, encoding, Some(&owner)));
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(shown(&query.prefix)),
        marker: Some(shown(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(limit),
        is_truncated: Some(found.is_truncated),
        contents: Some(contents.collect()),
        common_prefixes: Some(page::prefixes(&found.prefixes, encoding)),
        delimiter: query.delimiter.as_deref().map(shown),
        next_marker: next.map(shown),
        encoding_type: page::encoding_type(encoding),
        request_charged: None,
    })
}
