//! A read's call, framed by hand: the generated client copies every message once more on its way
//! in. Here a cell is a slice of the frame in which it came.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Full};
use prost::Message;
use sixfold_proto::MAX_MESSAGE_BYTES;
use sixfold_proto::chunks::{Cell, NodeError};
use sixfold_proto::node_v1::{self, GetRequest};
use std::collections::VecDeque;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tower::{Service, ServiceExt};

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX_BYTES: usize = 5;

/// Makes the call `Get`; the answer's cells as they come.
pub(super) async fn get(
    mut channel: Channel,
    request: Request<GetRequest>,
) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
    let failed = |error: tonic::transport::Error| Status::from_error(error.into());
    let channel = channel.ready().await.map_err(failed)?;
    let response = channel.call(framed(request)).await.map_err(failed)?;
    if let Some(status) = Status::from_header_map(response.headers()) {
        ended(Some(status))?;
        return Ok(stream::empty().boxed());
    }
    if !response.status().is_success() {
        return Err(NodeError::Unavailable(format!("answered with HTTP {}", response.status())));
    }
    let answer = Answer { body: response.into_body(), held: Held::default() };
    let cells = stream::unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        let cell = answer.next().await?;
        // After an error nothing follows.
        let answer = cell.is_ok().then_some(answer);
        Some((cell, answer))
    });
    Ok(cells.boxed())
}

/// The call as HTTP has it.
fn framed(request: Request<GetRequest>) -> http::Request<Body> {
    let (metadata, _, message) = request.into_parts();
    let size = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + size);
    bytes.put_u8(0);
    bytes.put_u32(size as u32);
    bytes.put(message.encode_to_vec().as_slice());
    let mut call = http::Request::new(Body::new(Full::new(bytes.freeze())));
    *call.method_mut() = http::Method::POST;
    *call.version_mut() = http::Version::HTTP_2;
    let path = PathAndQuery::from_static("/sixfold.node.v1.Node/Get");
    *call.uri_mut() = path.into();
    *call.headers_mut() = metadata.into_headers();
    call.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    call
}

/// What a call's last words mean; without any it was cut off.
fn ended(status: Option<Status>) -> Result<(), NodeError> {
    match status {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(status.into()),
        None => Err(NodeError::Unavailable("the answer was cut off".to_owned())),
    }
}

/// An answer on its way.
struct Answer {
    body: Body,
    held: Held,
}

impl Answer {
    /// The next cell; `None` after the last one.
    async fn next(&mut self) -> Option<Result<Cell, NodeError>> {
        loop {
            match self.held.cell() {
                Ok(None) => {}
                found => return found.transpose(),
            }
            let frame = match self.body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(status)) => return Some(Err(status.into())),
                None => return ended(None).err().map(Err),
            };
            match frame.into_data() {
                Ok(data) => self.held.push(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().ok();
                    let status = trailers.and_then(|trailers| Status::from_header_map(&trailers));
                    return ended(status).err().map(Err);
                }
            }
        }
    }
}

/// Bytes that came and are not taken yet: at most what the stream's window lets come.
#[derive(Default)]
struct Held {
    frames: VecDeque<Bytes>,
    size: usize,
}

impl Held {
    fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.size += data.len();
            self.frames.push_back(data);
        }
    }

    /// The next cell, if all of it is here.
    fn cell(&mut self) -> Result<Option<Cell>, NodeError> {
        let Some(size) = self.message_size()? else { return Ok(None) };
        if self.size < PREFIX_BYTES + size {
            return Ok(None);
        }
        self.advance(PREFIX_BYTES);
        let cell = node_v1::Cell::decode(self.take(size))
            .map_err(|error| NodeError::Invalid(format!("a cell can't be read: {error}")))?;
        Ok(Some(cell.into()))
    }

    /// The size of the next message, if its prefix is here.
    fn message_size(&self) -> Result<Option<usize>, NodeError> {
        let mut prefix = self.frames.iter().flatten().take(PREFIX_BYTES);
        if self.size < PREFIX_BYTES {
            return Ok(None);
        }
        let is_compressed = prefix.next() != Some(&0);
        let size = prefix.fold(0, |size, byte| size << 8 | usize::from(*byte));
        if is_compressed || size > MAX_MESSAGE_BYTES {
            let text = format!("a message of {size} bytes, compressed: {is_compressed}");
            return Err(NodeError::Invalid(text));
        }
        Ok(Some(size))
    }
}

impl Buf for Held {
    fn remaining(&self) -> usize {
        self.size
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| &frame[..])
    }

    fn advance(&mut self, mut count: usize) {
        self.size -= count;
        while let Some(frame) = self.frames.front_mut() {
            if count < frame.len() {
                frame.advance(count);
                return;
            }
            count -= frame.len();
            self.frames.pop_front();
        }
    }

    /// Without a copy where one frame has all of it.
    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if let Some(frame) = self.frames.front_mut()
            && count <= frame.len()
        {
            let bytes = frame.split_to(count);
            self.size -= count;
            if frame.is_empty() {
                self.frames.pop_front();
            }
            return bytes;
        }
        let mut bytes = BytesMut::with_capacity(count);
        bytes.put(self.take(count));
        bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(cell: &Cell) -> Vec<u8> {
        let message = node_v1::Cell::from(cell.clone()).encode_to_vec();
        let prefix = [&[0][..], &(message.len() as u32).to_be_bytes()].concat();
        [prefix, message].concat()
    }

    fn cell(size: usize, checksum: u64) -> Cell {
        Cell {
            data: (0..size).map(|at| (at * 7) as u8).collect::<Vec<_>>().into(),
            checksum,
            is_verified: false,
        }
    }

    proptest! {
        #[test]
        fn cells_come_back_however_they_are_cut(
            sizes in prop::collection::vec(0_usize..300, 0..6),
            cuts in prop::collection::vec(1_usize..200, 0..40),
        ) {
            let cells = sizes.iter().zip(0..).map(|(&size, at)| cell(size, at)).collect::<Vec<_>>();
            let mut wire = Bytes::from(cells.iter().flat_map(message).collect::<Vec<_>>());
            let mut held = Held::default();
            let mut found = Vec::new();
            let ends = cuts.into_iter().chain([usize::MAX]);
            for cut in ends {
                held.push(wire.split_to(cut.min(wire.len())));
                while let Some(cell) = held.cell().unwrap() {
                    found.push(cell);
                }
            }
            prop_assert_eq!(found, cells);
            prop_assert_eq!((held.size, held.frames.len()), (0, 0));
        }
    }

    #[test]
    fn a_cell_is_a_slice_of_its_frame() {
        let frame = Bytes::from(message(&cell(1000, 3)));
        let all = frame.as_ptr_range();
        let mut held = Held::default();
        held.push(frame);
        let found = held.cell().unwrap().unwrap();
        assert_eq!(found, cell(1000, 3));
        assert!(all.contains(&found.data.as_ptr()));
    }

    #[test]
    fn f33_what_is_no_message_is_refused_before_it_is_waited_for() {
        let size = (MAX_MESSAGE_BYTES as u32 + 1).to_be_bytes();
        for wrong in [vec![1, 0, 0, 0, 9], [&[0][..], &size].concat()] {
            let mut held = Held::default();
            held.push(wrong.into());
            assert!(matches!(held.cell(), Err(NodeError::Invalid(_))));
        }
        let mut held = Held::default();
        held.push(vec![0, 0, 0, 0, 2, 0xff, 0xff].into());
        assert!(matches!(held.cell(), Err(NodeError::Invalid(_))));
    }

    #[test]
    fn an_answer_without_last_words_was_cut_off() {
        assert_eq!(ended(Some(Status::ok(""))), Ok(()));
        assert!(matches!(ended(None), Err(NodeError::Unavailable(_))));
        let refused = Status::from(NodeError::NotFound);
        assert_eq!(ended(Some(refused)), Err(NodeError::NotFound));
    }
}
