//! `GetObject`: look up, test the conditions, choose the bytes, send them.

use super::find::{self, Present};
use super::part_range::{self, Selection};
use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::precondition;
use crate::s3::range::Asked;
use bytes::Bytes;
use s3s::dto::{ChecksumMode, GetObjectInput, GetObjectOutput, Range, StreamingBlob};

/// How often a read looks its key up again because the body was collected meanwhile: an
/// overwrite between the look-up and the first byte. More often is another fault.
const MAX_LOOK_UPS: usize = 3;

/// What `GetObject` and `HeadObject` say alike of a version.
macro_rules! describe {
    ($Output:ident, $present:expr, $selection:expr) => {{
        let (present, selection) = ($present, $selection);
        let (content, headers) = (&present.content, &present.content.headers);
        let default_type = || $crate::s3::headers::DEFAULT_CONTENT_TYPE.to_owned();
        let mut output = $Output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: headers.cache_control.clone(),
            checksum_type: selection.checksum_type.map(s3s::dto::ChecksumType::from_static),
            content_disposition: headers.content_disposition.clone(),
            content_encoding: headers.content_encoding.clone(),
            content_language: headers.content_language.clone(),
            content_length: i64::try_from(selection.range.end - selection.range.start).ok(),
            content_range: selection.content_range.clone(),
            content_type: Some(headers.content_type.clone().unwrap_or_else(default_type)),
            e_tag: Some(s3s::dto::ETag::Strong(content.etag.clone())),
            expires: headers.expires.clone(),
            last_modified: Some($crate::s3::time::shown(present.version.modified)),
            metadata: (!headers.user.is_empty())
                .then(|| headers.user.clone().into_iter().collect()),
            parts_count: selection.part_count,
            storage_class: $crate::s3::storage_class::shown(&content.storage_class)
                .map(s3s::dto::StorageClass::from),
            tag_count: $crate::s3::tags::count(&content.tags),
            version_id: present.shown_version(),
            website_redirect_location: headers.website_redirect.clone(),
            ..Default::default()
        };
        $crate::s3::checksum::set_checksum!(output, selection.checksum.clone());
        output
    }};
}
pub(super) use describe;

/// Serves an object, or a range or part of it.
pub(crate) async fn get(
    app: &App,
    context: &Context,
    input: GetObjectInput,
) -> Result<GetObjectOutput, Error> {
    for _ in 0..MAX_LOOK_UPS {
        let version_id = input.version_id.as_deref();
        let present = find::look_up(app, context, &input.bucket, &input.key, version_id).await?;
        present.check(&find::conditions(
            context,
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        ))?;
        let is_checksum_wanted = is_checksum_wanted(context);
        let asked = asked_range(context, input.range.as_ref(), &present);
        let selection =
            part_range::select(&present.content, asked, input.part_number, is_checksum_wanted)?;
        if let Some(body) = open(app, &present, &selection).await? {
            let output: GetObjectOutput = describe!(GetObjectOutput, &present, &selection);
            return Ok(GetObjectOutput { body: Some(body), ..output });
        }
    }
    Err(Error::Unavailable("the body was collected again and again".to_owned()))
}

async fn open(
    app: &App,
    present: &Present,
    selection: &Selection,
) -> Result<Option<StreamingBlob>, Error> {
    if selection.range.is_empty() {
        return Ok(Some(StreamingBlob::from_bytes(Bytes::new())));
    }
    present.open(app, selection.range.clone()).await
}

/// The range asked for, unless an `If-Range` takes it back.
pub(super) fn asked_range(
    context: &Context,
    range: Option<&Range>,
    present: &Present,
) -> Option<Asked> {
    // s3s reads a number into it; it names no bytes, and is ignored like everything malformed.
    if context.value("range").is_some_and(|range| range.trim() == "bytes=-") {
        return None;
    }
    let asked = match *range? {
        Range::Int { first, last } => Asked::From { first, last },
        Range::Suffix { length } => Asked::Suffix(length),
    };
    let holds = context.value("if-range").is_none_or(|value| {
        precondition::if_range_holds(value, &present.content.etag, present.version.modified)
    });
    holds.then_some(asked)
}

/// Whether `x-amz-checksum-mode` asks for the checksum.
pub(super) fn is_checksum_wanted(context: &Context) -> bool {
    let mode = context.value("x-amz-checksum-mode");
    mode.is_some_and(|mode| mode.eq_ignore_ascii_case(ChecksumMode::ENABLED))
}
