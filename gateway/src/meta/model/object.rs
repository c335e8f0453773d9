//! Versions of objects.

use super::list;
use super::state::State;
use crate::chance;
use crate::meta::types::{
    BodyId, BodySource, Bucket, BucketId, Commit, CommitOutcome, Content, DeleteCondition,
    DeleteOutcome, Extent, Found, Headers, Key, ListQuery, Page, TagOutcome, Tags, Version,
    VersionId, Versioning, WriteCondition,
};
use crate::meta::{EXTENTS_PER_PAGE, MetaError, Result};
use crate::points::is_planted;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// Why a condition does not hold.
pub(super) enum Refusal {
    NoSuchKey,
    Failed,
}

/// A version to be put on top of its key's history.
pub(super) struct NewVersion {
    /// `None` for a delete marker.
    pub(super) content: Option<Content>,
    pub(super) body: Option<BodyId>,
}

pub(super) fn commit(state: &mut State, commit: Commit) -> Result<CommitOutcome> {
    state.check_lease(commit.lease)?;
    let bucket = state.check_bucket(&commit.bucket)?;
    match check_condition(state, bucket.id, &commit.key, &commit.condition) {
        _ if is_planted("commit.condition_unchecked") => {}
        Err(Refusal::NoSuchKey) => return Ok(CommitOutcome::NoSuchKey),
        Err(Refusal::Failed) => return Ok(CommitOutcome::PreconditionFailed),
        Ok(()) => {}
    }
    let body = match commit.body {
        BodySource::Empty => None,
        BodySource::New(body) => {
            let id = body.id;
            state.add_body(body);
            Some(id)
        }
        BodySource::Shared(id) => {
            let Some(body) = state.bodies.get_mut(&id).filter(|body| body.refs > 0) else {
                return Ok(CommitOutcome::SourceGone);
            };
            body.refs += u32::from(!is_planted("copy.not_counted"));
            Some(id)
        }
    };
    let new = NewVersion { content: Some(commit.content), body };
    let version = put(state, &bucket, &commit.key, new);
    Ok(CommitOutcome::Done { version: version.version, modified: version.modified })
}

/// Whether a write may replace the current version.
pub(super) fn check_condition(
    state: &State,
    bucket: BucketId,
    key: &str,
    condition: &WriteCondition,
) -> std::result::Result<(), Refusal> {
    let etag = current(state, bucket, key)
        .and_then(|version| version.content.as_ref())
        .map(|content| content.etag.as_str());
    match (&condition.if_match, etag) {
        (Some(_), None) => return Err(Refusal::NoSuchKey),
        (Some(wanted), Some(etag)) if wanted != "*" && wanted != etag => {
            return Err(Refusal::Failed);
        }
        _ => {}
    }
    match (&condition.if_none_match, etag) {
        (Some(unwanted), Some(etag)) if unwanted == "*" || unwanted == etag => Err(Refusal::Failed),
        _ => Ok(()),
    }
}

fn current<'a>(state: &'a State, bucket: BucketId, key: &str) -> Option<&'a Version> {
    state.versions.get(&(bucket, key.to_owned()))?.last()
}

/// Puts a version on top. Without versioning and when it is suspended, that is the null version,
/// and the one there was is gone.
pub(super) fn put(state: &mut State, bucket: &Bucket, key: &str, new: NewVersion) -> Version {
    let now = state.now();
    let history = state.versions.entry((bucket.id, key.to_owned())).or_default();
    let last = history.last();
    let version = Version {
        key: key.to_owned(),
        version: match bucket.versioning {
            Versioning::Enabled => VersionId::Id(chance::uuid()),
            Versioning::Off | Versioning::Suspended => VersionId::Null,
        },
        seq: last.map_or(0, |last| last.seq) + 1,
        modified: last.map_or(now, |last| now.max(last.modified + Duration::microseconds(1))),
        is_current: true,
        content: new.content,
        body: new.body,
    };
    let replaced = (version.version == VersionId::Null)
        .then(|| history.iter().position(|old| old.version == VersionId::Null))
        .flatten()
        .map(|at| history.remove(at));
    if let Some(last) = history.last_mut() {
        last.is_current = false;
    }
    history.push(version.clone());
    state.free_body(replaced.and_then(|old| old.body));
    version
}

pub(super) fn find(
    state: &mut State,
    bucket: &str,
    key: &str,
    version: Option<VersionId>,
) -> Result<Found> {
    let bucket = super::bucket::bucket(state, bucket)?.ok_or(MetaError::NoSuchBucket)?;
    let found =
        state.versions.get(&(bucket.id, key.to_owned())).and_then(|history| match version {
            None => history.last(),
            Some(id) => history.iter().find(|version| version.version == id),
        });
    let found = found.cloned();
    let extents = match found.as_ref().and_then(|version| version.body) {
        Some(body) => extents(state, body, 0)?,
        None => Vec::new(),
    };
    Ok(Found { bucket: Arc::new(bucket), version: found, extents })
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn extents(state: &mut State, body: BodyId, from: u64) -> Result<Vec<Extent>> {
    let extents = state.bodies.get(&body).map(|body| body.extents.as_slice()).unwrap_or_default();
    let behind = extents.iter().filter(|extent| extent.start + extent.size > from);
    Ok(behind.take(EXTENTS_PER_PAGE).cloned().collect())
}

pub(super) fn delete(
    state: &mut State,
    bucket: &Arc<Bucket>,
    key: &str,
    version: Option<VersionId>,
    condition: Option<&DeleteCondition>,
) -> Result<DeleteOutcome> {
    let bucket = state.check_bucket(bucket)?;
    match condition.map_or(Ok(()), |wanted| check_delete(state, bucket.id, key, wanted)) {
        Err(Refusal::NoSuchKey) => return Ok(DeleteOutcome::NoSuchKey),
        Err(Refusal::Failed) => return Ok(DeleteOutcome::PreconditionFailed),
        Ok(()) => {}
    }
    match version {
        None if bucket.versioning != Versioning::Off => {
            let marker = put(state, &bucket, key, NewVersion { content: None, body: None });
            Ok(DeleteOutcome::MarkerAdded { version: marker.version })
        }
        None => Ok(remove(state, bucket.id, key, VersionId::Null)),
        Some(version) => Ok(remove(state, bucket.id, key, version)),
    }
}

/// Whether the current version may be deleted.
fn check_delete(
    state: &State,
    bucket: BucketId,
    key: &str,
    wanted: &DeleteCondition,
) -> std::result::Result<(), Refusal> {
    let Some(current) = current(state, bucket, key) else {
        return if wanted.if_match.is_some() { Err(Refusal::NoSuchKey) } else { Ok(()) };
    };
    let content = current.content.as_ref();
    let is_etag = wanted
        .if_match
        .as_ref()
        .is_none_or(|etag| content.is_some_and(|content| etag == "*" || *etag == content.etag));
    let size = content.map_or(0, |content| content.size);
    let is_size = wanted.size.is_none_or(|wanted| wanted == size);
    let second = |time: OffsetDateTime| time.unix_timestamp();
    let is_time = wanted.modified.is_none_or(|time| second(time) == second(current.modified));
    if is_etag && is_size && is_time { Ok(()) } else { Err(Refusal::Failed) }
}

/// Removes one version; the newest of those that are left is the current one.
fn remove(state: &mut State, bucket: BucketId, key: &str, version: VersionId) -> DeleteOutcome {
    let place = (bucket, key.to_owned());
    let Some(history) = state.versions.get_mut(&place) else { return DeleteOutcome::Absent };
    let Some(at) = history.iter().position(|old| old.version == version) else {
        return DeleteOutcome::Absent;
    };
    if is_planted("delete.only_acknowledged") {
        return DeleteOutcome::Deleted { version, was_marker: false };
    }
    let removed = history.remove(at);
    match history.last_mut() {
        Some(last) => last.is_current = true,
        None => drop(state.versions.remove(&place)),
    }
    state.free_body(removed.body);
    DeleteOutcome::Deleted { version, was_marker: removed.content.is_none() }
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn set_tags(
    state: &mut State,
    bucket: BucketId,
    key: &str,
    version: Option<VersionId>,
    tags: &Tags,
) -> Result<TagOutcome> {
    let history = state.versions.get_mut(&(bucket, key.to_owned()));
    let found = history.and_then(|history| match version {
        None => history.last_mut(),
        Some(id) => history.iter_mut().find(|version| version.version == id),
    });
    let Some(found) = found else { return Ok(TagOutcome::Absent) };
    let (version, modified) = (found.version, found.modified);
    let Some(content) = &mut found.content else {
        return Ok(TagOutcome::Marker { version, modified });
    };
    content.tags.clone_from(tags);
    Ok(TagOutcome::Done { version })
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn list_objects(
    state: &mut State,
    bucket: BucketId,
    query: &ListQuery,
) -> Result<Page<Version>> {
    let current = histories(state, bucket)
        .filter_map(|(key, history)| Some((key.clone(), history.last()?)))
        .filter(|(_, version)| version.content.is_some())
        .map(|(key, version)| (key, listed(version)));
    Ok(list::page(current, query, |_| false))
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn list_versions(
    state: &mut State,
    bucket: BucketId,
    query: &ListQuery,
    after_version: Option<VersionId>,
) -> Result<Page<Version>> {
    let after_seq = query.after.as_ref().zip(after_version).map(|(key, id)| {
        let history = state.versions.get(&(bucket, key.clone())).map(Vec::as_slice);
        let last_shown = history.unwrap_or_default().iter().find(|version| version.version == id);
        // Deleted since it was shown: what is left of its key comes again.
        last_shown.map_or(i64::MAX, |version| version.seq)
    });
    let all = histories(state, bucket).flat_map(|(key, history)| {
        history.iter().rev().map(move |version| (key.clone(), listed(version)))
    });
    Ok(list::page(all, query, |version| after_seq.is_some_and(|seq| version.seq < seq)))
}

fn histories(state: &State, bucket: BucketId) -> impl Iterator<Item = (&Key, &Vec<Version>)> {
    state
        .versions
        .iter()
        .filter(move |((of, _), _)| *of == bucket)
        .map(|((_, key), all)| (key, all))
}

/// A version as lists show it: without headers, parts and tags.
fn listed(version: &Version) -> Version {
    let content = version.content.clone().map(|content| Content {
        headers: Headers::default(),
        parts: Vec::new(),
        tags: Tags::new(),
        ..content
    });
    Version { content, ..version.clone() }
}
