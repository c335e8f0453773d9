//! `CompleteMultipartUpload`: checks the list of parts and makes the object visible.
//!
//! It runs on when the client goes away, and answers the same list with the same result later. A
//! completion that takes long is answered with 200 and kept alive, its outcome in the document.

use super::part_list::{self, Assembled, Listed};
use crate::app::App;
use crate::meta::MetaError;
use crate::meta::types::{
    Bucket, ChecksumAlgorithm, CompleteOutcome, Completion, Content, Part, Upload, UploadId,
    WriteCondition,
};
use crate::points::{crash_point, in_process};
use crate::s3::checksum::{self, Fields, get_checksum, set_checksum};
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::object::commit;
use crate::s3::object::find::shown_version;
use crate::s3::object::part_range::check_part_number;
use crate::s3::{encode, etag, ids};
use crate::telemetry::request;
use s3s::dto::{
    self, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, ETag,
};
use std::sync::Arc;
use std::time::Duration;

/// How long a completion may take before the client is sent the first byte of a 200. Shorter
/// than any client's patience, longer than a completion of ten thousand parts should take, and than
/// it takes to know that the database is gone: that is told by a 503.
const PATIENCE: Duration = Duration::from_secs(8);

/// Parts read from the database at once.
const PARTS_PER_PAGE: usize = 1000;

/// Everything that is decided before the rows are looked at.
struct Wanted {
    bucket: Arc<Bucket>,
    key: String,
    upload: UploadId,
    listed: Vec<Listed>,
    size: Option<u64>,
    checksums: Vec<(ChecksumAlgorithm, String)>,
    checksum_type: Option<String>,
    condition: WriteCondition,
}

/// Completes an upload.
pub(crate) async fn complete(
    app: &Arc<App>,
    context: &Context,
    input: CompleteMultipartUploadInput,
) -> Result<CompleteMultipartUploadOutput, Error> {
    let wanted = wanted(app, context, input).await?;
    let app = Arc::clone(app);
    let mut task = request::spawn(in_process(async move { run(&app, wanted).await }));
    let joined = |result: Result<_, tokio::task::JoinError>| {
        result.map_err(|error| Error::Internal(error.to_string())).flatten()
    };
    match tokio::time::timeout(PATIENCE, &mut task).await {
        Ok(result) => joined(result),
        Err(_) => Ok(CompleteMultipartUploadOutput {
            future: Some(Box::pin(async move { Ok(joined(task.await)?) })),
            ..Default::default()
        }),
    }
}

async fn wanted(
    app: &App,
    context: &Context,
    input: CompleteMultipartUploadInput,
) -> Result<Wanted, Error> {
    ids::check_key(&input.key)?;
    let parts = input.multipart_upload.and_then(|list| list.parts).unwrap_or_default();
    let listed = parts.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
    part_list::check_order(&listed)?;
    let size =
        input.mpu_object_size.map(u64::try_from).transpose().map_err(|_| {
            Error::InvalidRequest("Value for x-amz-mp-object-size header is invalid.")
        })?;
    Ok(Wanted {
        bucket: context.bucket(app, &input.bucket).await?,
        key: input.key,
        upload: ids::parse_upload(&input.upload_id)?,
        listed,
        size,
        checksums: named_checksums(context),
        checksum_type: input.checksum_type.map(|kind| kind.as_str().to_owned()),
        condition: commit::condition(input.if_match.as_ref(), input.if_none_match.as_ref()),
    })
}

fn listed(part: &CompletedPart) -> Result<Listed, Error> {
    let (Some(number), Some(etag)) = (part.part_number, &part.e_tag) else {
        return Err(Error::MalformedXml);
    };
    Ok(Listed {
        number: check_part_number(number)?,
        etag: etag::unquoted(etag.value()).to_owned(),
        checksum: get_checksum!(part),
    })
}

/// The checksums that the headers name for the whole object.
fn named_checksums(context: &Context) -> Vec<(ChecksumAlgorithm, String)> {
    checksum::ALL
        .into_iter()
        .filter_map(|algorithm| {
            let value = context.headers.get(checksum::header(algorithm))?.to_str().ok()?;
            Some((algorithm, value.to_owned()))
        })
        .collect()
}

async fn run(app: &App, wanted: Wanted) -> Result<CompleteMultipartUploadOutput, Error> {
    let names: Vec<_> = wanted.listed.iter().map(|part| (part.number, part.etag.clone())).collect();
    let Some(upload) = find(app, &wanted).await? else {
        return answer_again(app, &wanted, &names).await;
    };
    let stored = all_parts(app, wanted.upload).await?;
    let assembled = match part_list::assemble(&upload, &wanted.listed, &stored) {
        // The parts go with their upload, which another request may have ended meanwhile.
        Err(Error::InvalidPart) if find(app, &wanted).await?.is_none() => {
            return answer_again(app, &wanted, &names).await;
        }
        assembled => assembled?,
    };
    check_wishes(&wanted, &assembled)?;
    let shown = Fields::of(assembled.checksum.as_ref(), assembled.parts.len());
    let kind = assembled.checksum.as_ref().map(|checksum| checksum::type_name(checksum.kind));
    let completion = completion(&wanted, upload, names, assembled);
    crash_point!("complete.before_commit");
    let (bucket, outcome) = match app.meta.complete(completion.clone()).await {
        Err(MetaError::BucketChanged) => {
            let bucket = app.buckets.reload(app.meta.as_ref(), &wanted.bucket.name).await?;
            let completion = Completion { bucket: Arc::clone(&bucket), ..completion };
            (bucket, app.meta.complete(completion).await?)
        }
        outcome => (completion.bucket, outcome?),
    };
    crash_point!("complete.committed");
    answer(&wanted, &bucket, outcome, &shown, kind)
}

async fn find(app: &App, wanted: &Wanted) -> Result<Option<Upload>, Error> {
    Ok(app.meta.upload(wanted.bucket.id, &wanted.key, wanted.upload).await?)
}

/// The answer of the completion that ended the upload, if it had the same list. The checksum is in
/// the object's row, unless the object has been overwritten or deleted since.
async fn answer_again(
    app: &App,
    wanted: &Wanted,
    names: &[(u16, String)],
) -> Result<CompleteMultipartUploadOutput, Error> {
    let completed = app.meta.completed(wanted.bucket.id, &wanted.key, wanted.upload, names);
    let earlier = completed.await?.ok_or(Error::NoSuchUpload)?;
    let mut content = None;
    if let CompleteOutcome::Done { etag, version, modified } = &earlier {
        let found = app.meta.find(&wanted.bucket.name, &wanted.key, Some(*version)).await?;
        let same = found.version.filter(|version| version.modified == *modified);
        content = same.and_then(|version| version.content).filter(|had| had.etag == *etag);
    }
    let checksum = content.as_ref().and_then(|content| content.checksum.as_ref());
    let shown = Fields::of(checksum, wanted.listed.len());
    let kind = checksum.map(|checksum| checksum::type_name(checksum.kind));
    answer(wanted, &wanted.bucket, earlier, &shown, kind)
}

async fn all_parts(app: &App, upload: UploadId) -> Result<Vec<Part>, Error> {
    let mut parts: Vec<Part> = Vec::new();
    loop {
        let after = parts.last().map_or(0, |part| part.number);
        let page = app.meta.parts(upload, after, PARTS_PER_PAGE).await?;
        let is_done = !page.is_truncated || page.entries.is_empty();
        parts.extend(page.entries);
        if is_done {
            return Ok(parts);
        }
    }
}

fn check_wishes(wanted: &Wanted, assembled: &Assembled) -> Result<(), Error> {
    if wanted.size.is_some_and(|size| size != assembled.size) {
        return Err(Error::InvalidRequest(
            "The provided 'x-amz-mp-object-size' header does not match what was computed.",
        ));
    }
    let kind = assembled.checksum.as_ref().map(|checksum| checksum::type_name(checksum.kind));
    if wanted.checksum_type.is_some() && wanted.checksum_type.as_deref() != kind {
        return Err(Error::InvalidRequest(
            "The checksum type is not the one that the upload was created with.",
        ));
    }
    part_list::check_whole(assembled, &wanted.checksums)
}

fn completion(
    wanted: &Wanted,
    upload: Upload,
    names: Vec<(u16, String)>,
    assembled: Assembled,
) -> Completion {
    Completion {
        upload: wanted.upload,
        bucket: Arc::clone(&wanted.bucket),
        key: wanted.key.clone(),
        parts: names,
        content: Content {
            size: assembled.size,
            etag: assembled.etag,
            storage_class: upload.storage_class,
            headers: upload.headers,
            checksum: assembled.checksum,
            parts: assembled.parts,
            tags: upload.tags,
        },
        condition: wanted.condition.clone(),
    }
}

fn answer(
    wanted: &Wanted,
    bucket: &Bucket,
    outcome: CompleteOutcome,
    checksum: &Fields,
    kind: Option<&'static str>,
) -> Result<CompleteMultipartUploadOutput, Error> {
    let (etag, version) = match outcome {
        CompleteOutcome::Done { etag, version, .. } => (etag, version),
        CompleteOutcome::NoSuchUpload => return Err(Error::NoSuchUpload),
        CompleteOutcome::PartsChanged => return Err(Error::InvalidPart),
        CompleteOutcome::PreconditionFailed => return Err(Error::PreconditionFailed),
        CompleteOutcome::NoSuchKey => return Err(Error::NoSuchKey),
        CompleteOutcome::Conflict => return Err(Error::ConditionalConflict),
    };
    let key = encode::echo(&wanted.key);
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(wanted.bucket.name.clone()),
        checksum_type: kind.map(dto::ChecksumType::from_static),
        e_tag: Some(ETag::Strong(etag)),
        location: Some(format!("/{}/{key}", wanted.bucket.name)),
        key: Some(key),
        version_id: shown_version(bucket, version),
        ..Default::default()
    };
    set_checksum!(output, checksum.clone());
    Ok(output)
}
