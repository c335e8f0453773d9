//! Put: a header, the cells, the end. A stream that breaks off is an abandoned chunk.

use super::Identity;
use futures::{StreamExt, stream};
use sixfold_proto::chunks::{Chunks, NodeError, PutItem};
use sixfold_proto::convert::required_name;
use sixfold_proto::name::LeaseId;
use sixfold_proto::node_v1::put_request::Item;
use sixfold_proto::node_v1::{PutReply, PutRequest};
use tonic::Streaming;

pub(super) async fn put(
    chunks: &dyn Chunks,
    identity: &Identity,
    mut requests: Streaming<PutRequest>,
) -> Result<PutReply, NodeError> {
    let first = requests.message().await.map_err(|status| {
        NodeError::Invalid(format!("the header can't be read: {}", status.message()))
    })?;
    let Some(Item::Header(header)) = first.and_then(|request| request.item) else {
        return Err(NodeError::Invalid("a put begins with its header".to_owned()));
    };
    identity.check(header.node_number, header.registration)?;
    let name = required_name(header.name)?;
    // Whatever is neither a cell nor the end closes the stream without an end.
    let items = stream::unfold(requests, |mut requests| async {
        let item = match requests.message().await.ok()??.item? {
            Item::Cell(cell) => PutItem::Cell(cell.into()),
            Item::End(_) => PutItem::End,
            Item::Header(_) => return None,
        };
        Some((item, requests))
    });
    let copy = chunks.put(name, LeaseId(header.writer), items.boxed()).await?;
    Ok(PutReply { copy_number: copy.0 })
}
