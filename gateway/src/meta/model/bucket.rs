//! Buckets.

use super::state::State;
use crate::meta::types::{Bucket, BucketId, Page, Tags, UserId, Versioning};
use crate::meta::{MetaError, Result};

pub(super) fn create_bucket(state: &mut State, name: &str, owner: UserId) -> Result<Bucket> {
    if let Some(bucket) = state.buckets.values().find(|bucket| bucket.name == name) {
        return Err(MetaError::BucketExists { owner: bucket.owner });
    }
    state.last_bucket += 1;
    let bucket = Bucket {
        id: BucketId(state.last_bucket),
        name: name.to_owned(),
        owner,
        config_epoch: 1,
        versioning: Versioning::Off,
        created: state.now(),
    };
    state.buckets.insert(bucket.id, bucket.clone());
    Ok(bucket)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn bucket(state: &mut State, name: &str) -> Result<Option<Bucket>> {
    Ok(state.buckets.values().find(|bucket| bucket.name == name).cloned())
}

/// Uploads under way are not found without their bucket; versions and markers keep it.
pub(super) fn delete_bucket(state: &mut State, bucket: BucketId) -> Result<()> {
    if !state.buckets.contains_key(&bucket) {
        return Err(MetaError::NoSuchBucket);
    }
    if state.versions.keys().any(|(of, _)| *of == bucket) {
        return Err(MetaError::BucketNotEmpty);
    }
    state.buckets.remove(&bucket);
    state.bucket_tags.remove(&bucket);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn buckets(
    state: &mut State,
    owner: UserId,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Bucket>> {
    let mut entries: Vec<_> = state
        .buckets
        .values()
        .filter(|bucket| bucket.owner == owner && bucket.name.starts_with(prefix))
        .filter(|bucket| after.is_none_or(|after| bucket.name.as_str() > after))
        .cloned()
        .collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let is_truncated = entries.len() > limit && limit > 0;
    entries.truncate(limit);
    Ok(Page { entries, prefixes: Vec::new(), is_truncated })
}

pub(super) fn set_versioning(
    state: &mut State,
    bucket: BucketId,
    versioning: Versioning,
) -> Result<()> {
    let bucket = state.buckets.get_mut(&bucket).ok_or(MetaError::NoSuchBucket)?;
    bucket.versioning = versioning;
    bucket.config_epoch += 1;
    Ok(())
}

pub(super) fn bucket_tags(state: &mut State, bucket: BucketId) -> Result<Tags> {
    if !state.buckets.contains_key(&bucket) {
        return Err(MetaError::NoSuchBucket);
    }
    Ok(state.bucket_tags.get(&bucket).cloned().unwrap_or_default())
}

pub(super) fn set_bucket_tags(state: &mut State, bucket: BucketId, tags: &Tags) -> Result<()> {
    if !state.buckets.contains_key(&bucket) {
        return Err(MetaError::NoSuchBucket);
    }
    state.bucket_tags.insert(bucket, tags.clone());
    Ok(())
}
