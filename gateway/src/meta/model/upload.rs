//! Multipart uploads.

use super::list;
use super::object::{NewVersion, Refusal, check_condition, put};
use super::state::{Completed, PartRow, State, UploadRow};
use crate::chance;
use crate::meta::types::{
    BodyId, Bucket, BucketId, CompleteOutcome, Completion, Extent, ListQuery, NewBody, Page, Part,
    PartOutcome, Tags, Upload, UploadId,
};
use crate::meta::{MetaError, Result};
use crate::points::is_planted;
use sixfold_proto::name::LeaseId;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// How long a completion with the same list gets the same answer.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

pub(super) fn create_upload(
    state: &mut State,
    bucket: &Arc<Bucket>,
    upload: Upload,
) -> Result<Upload> {
    if !state.buckets.contains_key(&bucket.id) {
        return Err(MetaError::NoSuchBucket);
    }
    let started = state.now();
    let microseconds = started.unix_timestamp_nanos().unsigned_abs() / 1000;
    let id = UploadId(Uuid::from_u128((microseconds << 64) | u128::from(chance::number())));
    let upload = Upload { id, bucket: bucket.id, started, ..upload };
    let row = UploadRow { upload: upload.clone(), parts: [].into(), completed: None };
    state.uploads.insert(id, row);
    Ok(upload)
}

/// Whether an upload is under way in a bucket that is there.
fn is_open(state: &State, row: &UploadRow) -> bool {
    row.completed.is_none() && state.buckets.contains_key(&row.upload.bucket)
}

/// The row of an upload under way.
fn open<'a>(state: &'a State, bucket: BucketId, key: &str, id: UploadId) -> Option<&'a UploadRow> {
    state
        .uploads
        .get(&id)
        .filter(|row| is_open(state, row) && row.upload.bucket == bucket && row.upload.key == key)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn upload(
    state: &mut State,
    bucket: BucketId,
    key: &str,
    id: UploadId,
) -> Result<Option<Upload>> {
    Ok(open(state, bucket, key, id).map(|row| row.upload.clone()))
}

pub(super) fn commit_part(
    state: &mut State,
    lease: LeaseId,
    upload: UploadId,
    part: Part,
    body: Option<NewBody>,
) -> Result<PartOutcome> {
    state.check_lease(lease)?;
    let modified = state.now();
    if !state.uploads.get(&upload).is_some_and(|row| is_open(state, row)) {
        return Ok(PartOutcome::NoSuchUpload);
    }
    let Some(row) = state.uploads.get_mut(&upload) else { return Ok(PartOutcome::NoSuchUpload) };
    let number = part.number;
    let body_id = body.as_ref().map(|body| body.id);
    let new = PartRow { part: Part { modified, ..part }, body: body_id };
    let old = row.parts.insert(number, new);
    if let Some(body) = body {
        state.add_body(body);
    }
    if !is_planted("part.replaced_not_freed") {
        state.free_body(old.and_then(|old| old.body));
    }
    Ok(PartOutcome::Done { modified })
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn parts(
    state: &mut State,
    upload: UploadId,
    after: u16,
    limit: usize,
) -> Result<Page<Part>> {
    let rows = state.uploads.get(&upload).into_iter().flat_map(|row| row.parts.values());
    let mut entries: Vec<_> =
        rows.map(|row| row.part.clone()).filter(|part| part.number > after).collect();
    let is_truncated = entries.len() > limit && limit > 0;
    entries.truncate(limit);
    Ok(Page { entries, prefixes: Vec::new(), is_truncated })
}

pub(super) fn complete(state: &mut State, completion: Completion) -> Result<CompleteOutcome> {
    let bucket = state.check_bucket(&completion.bucket)?;
    let row = state.uploads.get(&completion.upload);
    let Some(row) =
        row.filter(|row| row.upload.bucket == bucket.id && row.upload.key == completion.key)
    else {
        return Ok(CompleteOutcome::NoSuchUpload);
    };
    if let Some(completed) = &row.completed {
        let is_same = completed.parts == completion.parts;
        return Ok(if is_same { completed.outcome.clone() } else { CompleteOutcome::NoSuchUpload });
    }
    let has_parts = has_parts(row, &completion);
    match check_condition(state, bucket.id, &completion.key, &completion.condition) {
        Err(Refusal::NoSuchKey) => return Ok(CompleteOutcome::NoSuchKey),
        Err(Refusal::Failed) => return Ok(CompleteOutcome::PreconditionFailed),
        Ok(()) => {}
    }
    if !has_parts && !is_planted("complete.parts_unchecked") {
        return Ok(CompleteOutcome::PartsChanged);
    }
    let body = join_parts(state, &completion);
    let etag = completion.content.etag.clone();
    let new = NewVersion { content: Some(completion.content), body };
    let version = put(state, &bucket, &completion.key, new);
    let outcome =
        CompleteOutcome::Done { etag, version: version.version, modified: version.modified };
    let completed =
        Completed { at: state.now(), parts: completion.parts, outcome: outcome.clone() };
    if let Some(row) = state.uploads.get_mut(&completion.upload) {
        row.completed = Some(completed);
    }
    Ok(outcome)
}

/// Whether all listed parts are there as they were listed, and add up to the object's size.
fn has_parts(row: &UploadRow, completion: &Completion) -> bool {
    let mut size = 0;
    for (number, etag) in &completion.parts {
        match row.parts.get(number) {
            Some(stored) if stored.part.etag == *etag => size += stored.part.size,
            _ => return false,
        }
    }
    !completion.parts.is_empty() && size == completion.content.size
}

/// Makes one body of the extents of the listed parts, in the order of the list; frees the others.
fn join_parts(state: &mut State, completion: &Completion) -> Option<BodyId> {
    let mut parts = state
        .uploads
        .get_mut(&completion.upload)
        .map(|row| std::mem::take(&mut row.parts))
        .unwrap_or_default();
    let mut extents = Vec::new();
    let mut start = 0;
    for (number, _) in &completion.parts {
        let Some(part) = parts.remove(number) else { continue };
        let body = part.body.and_then(|body| state.bodies.remove(&body));
        let moved = body.into_iter().flat_map(|body| body.extents);
        extents.extend(moved.map(|extent| Extent { start: start + extent.start, ..extent }));
        start += part.part.size;
    }
    for unlisted in parts.into_values() {
        state.free_body(unlisted.body);
    }
    if completion.content.size == 0 {
        return None;
    }
    let id = BodyId(chance::uuid());
    state.add_body(NewBody { id, extents });
    Some(id)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn completed(
    state: &mut State,
    bucket: BucketId,
    key: &str,
    id: UploadId,
    parts: &[(u16, String)],
) -> Result<Option<CompleteOutcome>> {
    let row = state.uploads.get(&id);
    let row = row.filter(|row| row.upload.bucket == bucket && row.upload.key == key);
    let completed = row.and_then(|row| row.completed.as_ref());
    Ok(completed
        .filter(|completed| completed.parts == parts)
        .map(|completed| completed.outcome.clone()))
}

/// Forgets an upload and frees its parts.
fn forget(state: &mut State, id: UploadId) {
    let row = state.uploads.remove(&id);
    for part in row.into_iter().flat_map(|row| row.parts.into_values()) {
        if !is_planted("abort.parts_not_freed") {
            state.free_body(part.body);
        }
    }
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn abort_upload(
    state: &mut State,
    bucket: BucketId,
    key: &str,
    id: UploadId,
) -> Result<bool> {
    let was_there = open(state, bucket, key, id).is_some();
    if was_there {
        forget(state, id);
    }
    Ok(was_there)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn list_uploads(
    state: &mut State,
    bucket: BucketId,
    query: &ListQuery,
    after_upload: Option<UploadId>,
) -> Result<Page<Upload>> {
    let mut open: Vec<_> = state
        .uploads
        .values()
        .filter(|row| row.completed.is_none() && row.upload.bucket == bucket)
        .map(|row| Upload { tags: Tags::new(), ..row.upload.clone() })
        .collect();
    open.sort_by(|one, other| (&one.key, one.id).cmp(&(&other.key, other.id)));
    let open = open.into_iter().map(|upload| (upload.key.clone(), upload));
    Ok(list::page(open, query, |upload| after_upload.is_some_and(|after| upload.id > after)))
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn expire_uploads(state: &mut State, idle: Duration, limit: usize) -> Result<u64> {
    let now = state.now();
    let is_gone = |row: &UploadRow| !state.buckets.contains_key(&row.upload.bucket);
    let idle: Vec<_> = state
        .uploads
        .iter()
        .filter(|(_, row)| row.completed.is_none())
        .filter(|(_, row)| is_gone(row) || last_activity(row) < now - idle)
        .map(|(id, _)| *id)
        .take(limit)
        .collect();
    for id in &idle {
        forget(state, *id);
    }
    state.uploads.retain(|_, row| {
        row.completed.as_ref().is_none_or(|completed| completed.at >= now - REMEMBER)
    });
    Ok(idle.len() as u64)
}

fn last_activity(row: &UploadRow) -> OffsetDateTime {
    let parts = row.parts.values().map(|part| part.part.modified);
    parts.max().map_or(row.upload.started, |last| last.max(row.upload.started))
}
