//! `HeadObject`: what `GetObject` would say, without the bytes.

use super::find;
use super::get::{asked_range, describe, is_checksum_wanted};
use super::part_range;
use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::{Error, http_date};
use s3s::dto::{HeadObjectInput, HeadObjectOutput};

/// Describes an object, or a range or part of it.
pub(crate) async fn head(
    app: &App,
    context: &Context,
    input: HeadObjectInput,
) -> Result<HeadObjectOutput, Error> {
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
    let output: HeadObjectOutput = describe!(HeadObjectOutput, &present, &selection);
    Ok(overridden(output, input))
}

/// The `response-*` parameters, which the front end applies to `GetObject` only.
fn overridden(mut output: HeadObjectOutput, input: HeadObjectInput) -> HeadObjectOutput {
    let replace = |field: &mut Option<String>, value: Option<String>| {
        if value.is_some() {
            *field = value;
        }
    };
    replace(&mut output.cache_control, input.response_cache_control);
    replace(&mut output.content_disposition, input.response_content_disposition);
    replace(&mut output.content_encoding, input.response_content_encoding);
    replace(&mut output.content_language, input.response_content_language);
    replace(&mut output.content_type, input.response_content_type);
    replace(&mut output.expires, input.response_expires.map(|date| http_date(date.into())));
    output
}
