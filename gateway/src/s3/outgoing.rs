//! Bytes on their way out: a body of known length that is whole or cut, never padded.

use super::error::Error;
use crate::app::App;
use crate::data::{BodyStream, ReadError};
use crate::meta::types::{BodyId, Extent};
use bytes::Bytes;
use futures::Stream;
use s3s::StdError;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The bytes of an answer. An error in it makes the HTTP layer cut the connection, so that no
/// client takes a part for the whole.
struct Outgoing(BodyStream);

impl Stream for Outgoing {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|item| {
            item.map(|bytes| {
                bytes.map_err(|error| {
                    // The status is long sent: here is the last place that can tell of it.
                    tracing::warn!("answer cut in the middle: {error}");
                    error.into()
                })
            })
        })
    }
}

impl ByteStream for Outgoing {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.0.remaining())
            .map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

/// The range of a body as an answer.
pub(crate) fn streamed(stream: BodyStream) -> StreamingBlob {
    StreamingBlob::new(Outgoing(stream))
}

/// Opens a range of a body; its first bytes are at hand when this answers. `None` when the body
/// was collected since it was looked up.
pub(crate) async fn open(
    app: &App,
    body: BodyId,
    extents: Vec<Extent>,
    range: Range<u64>,
) -> Result<Option<BodyStream>, Error> {
    match app.data.read(body, extents, range).await {
        Ok(stream) => Ok(Some(stream)),
        Err(ReadError::Gone) => Ok(None),
        Err(error) => Err(read_error(error)),
    }
}

/// What a failed read means, as long as an error can be told.
pub(crate) fn read_error(error: ReadError) -> Error {
    match error {
        ReadError::TooFewChunks(_) | ReadError::Gone | ReadError::Cut => {
            Error::Unavailable(error.to_string())
        }
        ReadError::SlowDown { .. } => Error::SlowDown,
        ReadError::Meta(error) => error.into(),
    }
}
