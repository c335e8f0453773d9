//! Short calls: puts and gets of one small cell, many on one stream, each answered when it is done
//! and failing alone.
//!
//! All calls of a stream are served by one task. What is done at the same moment is sent in one go:
//! puts that shared a sync do not wake a task each.

use super::Identity;
use super::of_request::{served_short, traced};
use crate::trace::Tracer;
use futures::StreamExt;
use futures::stream::BoxStream;
use sixfold_proto::chunks::{Cell, Chunks, NodeError, SHORT_CALLS_AT_ONCE};
use sixfold_proto::convert::required_name;
use sixfold_proto::name::{CopyNumber, LeaseId};
use sixfold_proto::node_v1;
use sixfold_proto::node_v1::short_answer::Answer;
use sixfold_proto::node_v1::short_call::Call;
use sixfold_proto::node_v1::{PutReply, ShortAnswer, ShortCall, ShortGet, ShortPut};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// What calls are served from.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) chunks: Arc<dyn Chunks>,
    pub(super) identity: Identity,
    pub(super) tracer: Tracer,
}

/// Serves a stream of calls until it ends or breaks off or `ending` comes, and then those that run.
pub(super) fn serve(
    served: Served,
    calls: Streaming<ShortCall>,
    ending: CancellationToken,
) -> BoxStream<'static, Result<ShortAnswer, Status>> {
    // What can't be read ends the stream: where the next call begins is not known any more.
    tokio_stream::StreamExt::map_while(calls, Result::ok)
        .take_until(ending.cancelled_owned())
        .map(move |call| answer(served.clone(), call))
        .buffer_unordered(SHORT_CALLS_AT_ONCE)
        .map(Ok)
        .boxed()
}

async fn answer(served: Served, call: ShortCall) -> ShortAnswer {
    let ShortCall { number, call, trace } = call;
    let Served { chunks, identity, tracer } = &served;
    let answer = match call {
        Some(Call::Put(call)) => {
            let mut span = served_short(tracer, "put", &trace);
            traced(&mut span, put(&**chunks, identity, call)).await.map(Answer::Put)
        }
        Some(Call::Get(call)) => {
            let mut span = served_short(tracer, "get", &trace);
            traced(&mut span, get(&**chunks, identity, call)).await.map(Answer::Get)
        }
        None => Err(NodeError::Invalid("an unknown call".to_owned())),
    };
    let answer = answer.unwrap_or_else(|error| Answer::Failure(error.into()));
    ShortAnswer { number, answer: Some(answer) }
}

async fn put(
    chunks: &dyn Chunks,
    identity: &Identity,
    call: ShortPut,
) -> Result<PutReply, NodeError> {
    let (Some(header), Some(cell)) = (call.header, call.cell) else {
        return Err(NodeError::Invalid("a short put has a header and a cell".to_owned()));
    };
    identity.check(header.node_number, header.registration)?;
    let name = required_name(header.name)?;
    let CopyNumber(copy_number) =
        chunks.put_cell(name, LeaseId(header.writer), Cell::from(cell)).await?;
    Ok(PutReply { copy_number })
}

async fn get(
    chunks: &dyn Chunks,
    identity: &Identity,
    call: ShortGet,
) -> Result<node_v1::Cell, NodeError> {
    identity.check_reader(call.node_number)?;
    Ok(chunks.get_cell(required_name(call.name)?, call.cell).await?.into())
}

#[cfg(test)]
mod tests;
