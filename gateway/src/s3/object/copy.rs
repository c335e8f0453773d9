//! `CopyObject`: a copy shares the body. Bytes move only when the scheme changes or a checksum
//! is wanted that the source lacks. The ETag stays.

use super::commit::{self, Committed};
use super::find::{self, Present};
use crate::app::App;
use crate::data::{Copies, Digests};
use crate::erasure::Scheme;
use crate::meta::types::{
    BodySource, Bucket, Checksum, ChecksumAlgorithm, ChecksumType, Commit, Content, Headers,
    ObjectPart, Tags, WriteCondition,
};
use crate::points::crash_point;
use crate::s3::checksum::{self, Fields, set_checksum};
use crate::s3::context::Context;
use crate::s3::copy_source::Source;
use crate::s3::error::Error;
use crate::s3::headers::{self, take_headers};
use crate::s3::incoming::{self, MAX_BODY_BYTES};
use crate::s3::{ids, outgoing, storage_class, tags, time};
use futures::StreamExt as _;
use s3s::dto::{
    self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, ETag, MetadataDirective,
    TaggingDirective,
};
use sixfold_proto::name::LeaseId;
use std::sync::Arc;

/// How often a copy looks its source up again because its body went away meanwhile.
const MAX_LOOK_UPS: usize = 3;

/// What the copy shall be, decided before the source is known.
struct Wanted {
    source: Source,
    bucket: Arc<Bucket>,
    key: String,
    class: &'static str,
    scheme: Scheme,
    /// New headers; `None` takes the source's.
    headers: Option<Headers>,
    website_redirect: Option<String>,
    /// New tags; `None` takes the source's.
    tags: Option<Tags>,
    algorithm: Option<ChecksumAlgorithm>,
    condition: WriteCondition,
    /// Whether the request changes nothing, which is no copy when source and key are the same.
    is_unchanged: bool,
}

/// Copies an object.
pub(crate) async fn copy(
    app: &App,
    context: &Context,
    input: CopyObjectInput,
) -> Result<CopyObjectOutput, Error> {
    let conditions = find::source_conditions(
        context,
        input.copy_source_if_modified_since.as_ref(),
        input.copy_source_if_unmodified_since.as_ref(),
    );
    let wanted = wanted(app, context, input).await?;
    for _ in 0..MAX_LOOK_UPS {
        let source = find::look_up_source(app, context, &wanted.source).await?;
        source.check(&conditions).map_err(as_failed)?;
        check_copyable(&source, &wanted)?;
        if let Some(output) = attempt(app, context, &source, &wanted).await? {
            return Ok(output);
        }
    }
    Err(Error::OperationAborted)
}

async fn wanted(app: &App, context: &Context, mut input: CopyObjectInput) -> Result<Wanted, Error> {
    ids::check_key(&input.key)?;
    let source = Source::new(&input.copy_source)?;
    let is_replace = is_replace(input.metadata_directive.as_ref().map(MetadataDirective::as_str))?;
    let is_tagged =
        is_replace_tags(input.tagging_directive.as_ref().map(TaggingDirective::as_str))?;
    let tags = is_tagged.then(|| tags::of_header(context.value("x-amz-tagging"))).transpose()?;
    let class_given = context.value("x-amz-storage-class");
    let (class, scheme) = storage_class::parse(class_given)?;
    let algorithm =
        checksum::parse_algorithm(context.value("x-amz-checksum-algorithm").unwrap_or_default())?;
    let website_redirect = input.website_redirect_location.clone();
    let is_unchanged = !is_replace
        && class_given.is_none()
        && algorithm.is_none()
        && website_redirect.is_none()
        && source.version.is_none();
    let given = headers::checked(take_headers!(input), context)?;
    Ok(Wanted {
        bucket: context.bucket_to_write(app, &input.bucket).await?,
        source,
        class,
        scheme,
        headers: is_replace.then_some(given),
        website_redirect,
        tags,
        algorithm,
        condition: commit::condition(input.if_match.as_ref(), input.if_none_match.as_ref()),
        is_unchanged,
        key: input.key,
    })
}

fn is_replace(directive: Option<&str>) -> Result<bool, Error> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(Error::InvalidArgument("Unknown metadata directive.")),
    }
}

fn is_replace_tags(directive: Option<&str>) -> Result<bool, Error> {
    is_replace(directive).map_err(|_| Error::InvalidArgument("Unknown tagging directive."))
}

/// A copy has no 304: what a read would not send again, a copy refuses.
pub(crate) fn as_failed(error: Error) -> Error {
    match error {
        Error::NotModified { .. } => Error::PreconditionFailed,
        other => other,
    }
}

fn check_copyable(source: &Present, wanted: &Wanted) -> Result<(), Error> {
    if source.content.size > MAX_BODY_BYTES {
        return Err(Error::InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: 5368709120",
        ));
    }
    let is_itself = source.bucket.id == wanted.bucket.id && source.version.key == wanted.key;
    if is_itself && wanted.is_unchanged {
        return Err(Error::InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location \
             or encryption attributes.",
        ));
    }
    Ok(())
}

/// The bytes of the copy and what goes with them.
struct Bytes {
    lease: LeaseId,
    body: BodySource,
    checksum: Option<Checksum>,
    parts: Vec<ObjectPart>,
    copies: Copies,
}

/// One try; `None` when the source's body went away.
async fn attempt(
    app: &App,
    context: &Context,
    source: &Present,
    wanted: &Wanted,
) -> Result<Option<CopyObjectOutput>, Error> {
    let Some(bytes) = bytes(app, source, wanted).await? else { return Ok(None) };
    let mut headers = wanted.headers.clone().unwrap_or_else(|| source.content.headers.clone());
    headers.website_redirect.clone_from(&wanted.website_redirect);
    let described = Content {
        size: source.content.size,
        etag: source.content.etag.clone(),
        storage_class: wanted.class.to_owned(),
        headers,
        checksum: bytes.checksum,
        parts: bytes.parts,
        tags: wanted.tags.clone().unwrap_or_else(|| source.content.tags.clone()),
    };
    let commit = Commit {
        lease: bytes.lease,
        bucket: Arc::clone(&wanted.bucket),
        key: wanted.key.clone(),
        content: described.clone(),
        body: bytes.body,
        condition: wanted.condition.clone(),
    };
    crash_point!("copy.before_commit");
    let committed = commit::commit(app, context, commit).await;
    crash_point!("copy.committed");
    match committed {
        Ok(committed) => Ok(committed.map(|committed| answer(source, &described, committed))),
        Err(error) => {
            if commit::is_certain(&error) {
                bytes.copies.discard();
            }
            Err(error)
        }
    }
}

async fn bytes(app: &App, source: &Present, wanted: &Wanted) -> Result<Option<Bytes>, Error> {
    let content = &source.content;
    let shared = |body| Bytes {
        lease: app.lease.current(),
        body,
        checksum: content.checksum.clone(),
        parts: content.parts.clone(),
        copies: Copies::default(),
    };
    let has_scheme = storage_class::parse(Some(&content.storage_class))?.1 == wanted.scheme;
    match source.version.body {
        None if has_checksum(content, wanted.algorithm) => Ok(Some(shared(BodySource::Empty))),
        Some(body) if has_scheme && has_checksum(content, wanted.algorithm) => {
            Ok(Some(shared(BodySource::Shared(body))))
        }
        _ => rewritten(app, source, wanted).await,
    }
}

/// Whether the source has the checksum that is wanted.
fn has_checksum(content: &Content, wanted: Option<ChecksumAlgorithm>) -> bool {
    wanted.is_none_or(|wanted| {
        content
            .checksum
            .as_ref()
            .is_some_and(|had| had.algorithm == wanted && had.kind == ChecksumType::FullObject)
    })
}

async fn rewritten(app: &App, source: &Present, wanted: &Wanted) -> Result<Option<Bytes>, Error> {
    let algorithm = wanted.algorithm.unwrap_or(checksum::DEFAULT);
    let digests = Digests::md5().with(algorithm);
    let stored = if source.content.size == 0 {
        let nothing = futures::stream::empty();
        incoming::store(app, wanted.scheme, nothing, digests).await?
    } else {
        let Some(stream) = source.read(app, 0..source.content.size).await? else {
            return Ok(None);
        };
        let stream = stream.map(|item| item.map_err(outgoing::read_error));
        incoming::store(app, wanted.scheme, stream, digests).await?
    };
    let keeps_checksum = wanted.algorithm.is_none() && source.content.checksum.is_some();
    let fresh =
        Checksum { algorithm, kind: ChecksumType::FullObject, value: stored.checksum(algorithm)? };
    // The parts keep their sizes; their checksums only beside the object's old one.
    let part = |part: &ObjectPart| ObjectPart {
        checksum: part.checksum.clone().filter(|_| keeps_checksum),
        ..part.clone()
    };
    Ok(Some(Bytes {
        lease: stored.lease,
        body: stored.source(),
        checksum: if keeps_checksum { source.content.checksum.clone() } else { Some(fresh) },
        parts: source.content.parts.iter().map(part).collect(),
        copies: stored.copies,
    }))
}

fn answer(source: &Present, content: &Content, committed: Committed) -> CopyObjectOutput {
    let kind = content.checksum.as_ref().map(|checksum| checksum::type_name(checksum.kind));
    let mut result = CopyObjectResult {
        checksum_type: kind.map(dto::ChecksumType::from_static),
        e_tag: Some(ETag::Strong(content.etag.clone())),
        last_modified: Some(time::shown(committed.modified)),
        ..Default::default()
    };
    set_checksum!(result, Fields::of(content.checksum.as_ref(), content.parts.len()));
    CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source.shown_version(),
        version_id: committed.version,
        ..Default::default()
    }
}
