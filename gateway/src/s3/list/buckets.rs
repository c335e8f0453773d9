//! `ListBuckets`: the caller's own buckets by name.

use super::page;
use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::object::probes::owner;
use crate::s3::time;
use s3s::dto::{Bucket, ListBucketsInput, ListBucketsOutput};

/// Buckets of one page, at most and by default, as on Amazon.
const MAX_BUCKETS: i32 = 10_000;

/// Lists buckets.
pub(crate) async fn buckets(
    app: &App,
    context: &Context,
    input: ListBucketsInput,
) -> Result<ListBucketsOutput, Error> {
    let limit = input.max_buckets.unwrap_or(MAX_BUCKETS);
    if !(1..=MAX_BUCKETS).contains(&limit) {
        return Err(Error::InvalidArgument("max-buckets must be between 1 and 10000"));
    }
    let after = page::parse_token(input.continuation_token.as_deref())?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let is_here = input.bucket_region.as_ref().is_none_or(|region| *region == app.region);
    let user = context.caller.user.id;
    let found = if is_here {
        app.meta.buckets(user, prefix, after.as_deref(), page::count(limit)).await?
    } else {
        page::nothing()
    };
    let next = found.entries.last().filter(|_| found.is_truncated);
    let shown = |bucket: &crate::meta::types::Bucket| Bucket {
        bucket_arn: None,
        bucket_region: Some(app.region.clone()),
        creation_date: Some(time::shown(bucket.created)),
        name: Some(bucket.name.clone()),
    };
    Ok(ListBucketsOutput {
        continuation_token: next.map(|bucket| page::token(&bucket.name)),
        buckets: Some(found.entries.iter().map(shown).collect()),
        owner: Some(owner(context)),
        prefix: input.prefix,
    })
}
