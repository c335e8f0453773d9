//! `UploadPartCopy`: a part whose bytes come from an object or a range of one.

use super::part;
use crate::app::App;
use crate::data::Digests;
use crate::erasure::Scheme;
use crate::meta::types::{Checksum, ChecksumType};
use crate::s3::checksum::{Fields, set_checksum};
use crate::s3::context::Context;
use crate::s3::copy_source::Source;
use crate::s3::error::Error;
use crate::s3::incoming::{self, MAX_BODY_BYTES, Stored};
use crate::s3::object::copy::as_failed;
use crate::s3::object::find::{self, Present};
use crate::s3::object::part_range::check_part_number;
use crate::s3::{outgoing, range, storage_class, time};
use futures::StreamExt as _;
use s3s::dto::{CopyPartResult, ETag, UploadPartCopyInput, UploadPartCopyOutput};
use std::ops::Range;

/// How often a copy looks its source up again because its body went away meanwhile.
const MAX_LOOK_UPS: usize = 3;

/// Copies a part.
pub(crate) async fn part_copy(
    app: &App,
    context: &Context,
    input: UploadPartCopyInput,
) -> Result<UploadPartCopyOutput, Error> {
    let number = check_part_number(input.part_number)?;
    let source = Source::new(&input.copy_source)?;
    let asked = asked_range(input.copy_source_range.as_deref())?;
    let upload = part::find(app, context, &input.bucket, &input.key, &input.upload_id).await?;
    let (algorithm, kind) = part::stored_as(&upload);
    let (_, scheme) = storage_class::parse(Some(&upload.storage_class))?;
    let conditions = find::source_conditions(
        context,
        input.copy_source_if_modified_since.as_ref(),
        input.copy_source_if_unmodified_since.as_ref(),
    );
    for _ in 0..MAX_LOOK_UPS {
        let present = find::look_up_source(app, context, &source).await?;
        present.check(&conditions).map_err(as_failed)?;
        let range = checked_range(asked.clone(), present.content.size)?;
        let digests = Digests::md5().with(algorithm);
        let Some(stored) = stored(app, &present, range, scheme, digests).await? else { continue };
        let etag = stored.md5.clone();
        let checksum = Checksum {
            algorithm,
            kind: ChecksumType::FullObject,
            value: stored.checksum(algorithm)?,
        };
        let modified = part::commit(app, &upload, number, algorithm, kind, stored).await?;
        let mut result = CopyPartResult {
            e_tag: Some(ETag::Strong(etag)),
            last_modified: Some(time::shown(modified)),
            ..Default::default()
        };
        // An upload that named no algorithm is not told of the one it is stored with.
        if upload.checksum.is_some() {
            set_checksum!(result, Fields::of(Some(&checksum), 0));
        }
        return Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id: present.shown_version(),
            ..Default::default()
        });
    }
    Err(Error::OperationAborted)
}

fn asked_range(text: Option<&str>) -> Result<Option<Range<u64>>, Error> {
    let parse = |text| {
        range::parse_copy_range(text).ok_or(Error::InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy",
        ))
    };
    text.map(parse).transpose()
}

fn checked_range(asked: Option<Range<u64>>, size: u64) -> Result<Range<u64>, Error> {
    let range = asked.unwrap_or(0..size);
    if range.end > size {
        return Err(Error::InvalidArgument(
            "Range specified is not valid for the size of the source object",
        ));
    }
    if range.end - range.start > MAX_BODY_BYTES {
        return Err(Error::InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: 5368709120",
        ));
    }
    Ok(range)
}

async fn stored(
    app: &App,
    present: &Present,
    range: Range<u64>,
    scheme: Scheme,
    digests: Digests,
) -> Result<Option<Stored>, Error> {
    if range.is_empty() {
        return incoming::store(app, scheme, futures::stream::empty(), digests).await.map(Some);
    }
    let Some(stream) = present.read(app, range).await? else { return Ok(None) };
    let stream = stream.map(|item| item.map_err(outgoing::read_error));
    incoming::store(app, scheme, stream, digests).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_must_lie_in_the_source() {
        assert_eq!(checked_range(None, 10).unwrap(), 0..10);
        assert_eq!(checked_range(Some(2..10), 10).unwrap(), 2..10);
        assert!(matches!(checked_range(Some(2..11), 10), Err(Error::InvalidArgument(_))));
        let large = checked_range(None, MAX_BODY_BYTES + 1);
        assert!(matches!(large, Err(Error::InvalidRequest(_))));
        assert!(matches!(asked_range(Some("bytes=5-2")), Err(Error::InvalidArgument(_))));
    }
}
