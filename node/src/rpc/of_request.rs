//! What a call does is logged under the id of the S3 request that it is made for, when it carries
//! one. Short calls share a stream, and carry none.

use sixfold_proto::REQUEST_ID_METADATA_KEY;
use sixfold_proto::chunks::NodeError;
use std::future::Future;
use tonic::metadata::MetadataMap;
use tracing::{Instrument, Span};

/// The most characters of an id: whoever calls knows the secret, and lines stay lines.
const MAX_ID_CHARS: usize = 64;

/// Runs a call and says how it ended.
pub(super) async fn logged<T>(
    name: &'static str,
    metadata: &MetadataMap,
    call: impl Future<Output = Result<T, NodeError>>,
) -> Result<T, NodeError> {
    let call = async {
        let answer = call.await;
        match &answer {
            Ok(_) => tracing::debug!(call = name, "answered"),
            Err(error) => tracing::debug!(call = name, %error, "refused or failed: {error}"),
        }
        answer
    };
    call.instrument(span(metadata)).await
}

fn span(metadata: &MetadataMap) -> Span {
    let id = metadata.get(REQUEST_ID_METADATA_KEY).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        id.len() <= MAX_ID_CHARS && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match id.filter(is_plain) {
        Some(id) => tracing::info_span!("call", request.id = id),
        None => Span::none(),
    }
}
