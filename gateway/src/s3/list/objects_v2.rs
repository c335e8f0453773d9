//! `ListObjectsV2`: continued by an opaque token.

use super::page;
use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::object::probes::owner;
use s3s::dto::{ListObjectsV2Input, ListObjectsV2Output};

/// Lists current versions.
pub(crate) async fn objects_v2(
    app: &App,
    context: &Context,
    input: ListObjectsV2Input,
) -> Result<ListObjectsV2Output, Error> {
    let limit = page::limit(input.max_keys)?;
    let is_url = page::is_url(input.encoding_type.as_ref())?;
    let continued = page::parse_token(input.continuation_token.as_deref())?;
    let bucket = context.bucket(app, &input.bucket).await?;
    let after = continued.or_else(|| input.start_after.clone());
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let query = page::query(prefix, delimiter, after, limit);
    let found = match limit {
        0 => page::nothing(),
        _ => app.meta.list_objects(bucket.id, &query).await?,
    };
    let encoding =
        page::encoding(is_url, &found, |version| &version.key, &query, input.start_after.as_ref());
    let shown = |text: &str| encoding.apply(text);
    let next = page::last_name(&found, |version| version.key.as_str())
        .filter(|_| found.is_truncated)
        .map(page::token);
    let owner = (input.fetch_owner == Some(true)).then(|| owner(context));
    let contents =
        found.entries.iter().map(|version| page::object(version, encoding, owner.as_ref()));
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(shown(&query.prefix)),
        max_keys: Some(limit),
        key_count: i32::try_from(found.entries.len() + found.prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(found.is_truncated),
        next_continuation_token: next,
        contents: Some(contents.collect()),
        common_prefixes: Some(page::prefixes(&found.prefixes, encoding)),
        delimiter: query.delimiter.as_deref().map(shown),
        encoding_type: page::encoding_type(encoding),
        start_after: input.start_after.as_deref().map(shown),
        request_charged: None,
    })
}
