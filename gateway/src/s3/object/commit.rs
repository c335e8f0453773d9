//! Making a version visible: the conditions of a write, the commit, and its one retry.

use super::find::shown_version;
use crate::app::App;
use crate::meta::MetaError;
use crate::meta::types::{Commit, CommitOutcome, WriteCondition};
use crate::points::is_planted;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{ETag, ETagCondition};
use std::sync::Arc;
use time::OffsetDateTime;

/// A version that is visible now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Its id, when the bucket has versions.
    pub(crate) version: Option<String>,
    /// Its Last-Modified.
    pub(crate) modified: OffsetDateTime,
}

/// The condition of a write. A weak ETag in `If-Match` keeps its mark, and so matches none.
pub(crate) fn condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> WriteCondition {
    let text = |condition: &ETagCondition, weak: &str| match condition {
        ETagCondition::Any => "*".to_owned(),
        ETagCondition::ETag(ETag::Weak(etag)) => format!("{weak}{etag}"),
        ETagCondition::ETag(ETag::Strong(etag)) => etag.clone(),
    };
    WriteCondition {
        if_match: if_match.map(|condition| text(condition, "W/")),
        if_none_match: if_none_match.map(|condition| text(condition, "")),
    }
}

/// Commits. When the bucket is no longer the one that was decided by, it is read and decided
/// anew, once. `None`: the body to be shared went away.
pub(crate) async fn commit(
    app: &App,
    context: &Context,
    commit: Commit,
) -> Result<Option<Committed>, Error> {
    let (bucket, outcome) = match app.meta.commit(commit.clone()).await {
        Err(MetaError::BucketChanged | MetaError::NoSuchBucket) => {
            let bucket = context.bucket(app, &commit.bucket.name).await?;
            let commit = Commit { bucket: Arc::clone(&bucket), ..commit };
            (bucket, app.meta.commit(commit).await?)
        }
        outcome => (commit.bucket, outcome?),
    };
    match outcome {
        CommitOutcome::Done { version, modified } => {
            Ok(Some(Committed { version: shown_version(&bucket, version), modified }))
        }
        CommitOutcome::PreconditionFailed => Err(Error::PreconditionFailed),
        CommitOutcome::NoSuchKey => Err(Error::NoSuchKey),
        CommitOutcome::Conflict => Err(Error::ConditionalConflict),
        CommitOutcome::SourceGone => Ok(None),
    }
}

/// Refuses a write whose condition already fails, before its body is asked for. What holds now
/// is tested again by the commit.
pub(crate) async fn check_early(
    app: &App,
    bucket: &str,
    key: &str,
    condition: &WriteCondition,
) -> Result<(), Error> {
    if *condition == WriteCondition::default() {
        return Ok(());
    }
    let found = app.meta.find(bucket, key, None).await?;
    let content = found.version.and_then(|version| version.content);
    let matches = |test: &str, etag: &str| test == "*" || test == etag;
    match (&content, &condition.if_match, &condition.if_none_match) {
        (None, Some(_), _) => Err(Error::NoSuchKey),
        (Some(had), Some(test), _) if !matches(test, &had.etag) => Err(Error::PreconditionFailed),
        (Some(had), _, Some(test)) if matches(test, &had.etag) => Err(Error::PreconditionFailed),
        _ => Ok(()),
    }
}

/// Whether an error proves that nothing was committed, so that the chunks may go at once.
pub(crate) fn is_certain(error: &Error) -> bool {
    if is_planted("put.discarded_when_unknown") {
        return true;
    }
    matches!(
        error,
        Error::PreconditionFailed
            | Error::NoSuchKey
            | Error::NoSuchBucket
            | Error::NoSuchUpload
            | Error::AccessDenied
            | Error::ConditionalConflict
            | Error::OperationAborted
    )
}
