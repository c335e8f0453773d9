//! Get: the asked cells, a message each, of the node that is meant.

use super::Identity;
use futures::StreamExt;
use futures::stream::BoxStream;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::convert::required_name;
use sixfold_proto::node_v1::{Cell, GetRequest};
use tonic::Status;

pub(super) async fn get(
    chunks: &dyn Chunks,
    identity: &Identity,
    request: GetRequest,
) -> Result<BoxStream<'static, Result<Cell, Status>>, NodeError> {
    identity.check_reader(request.node_number)?;
    let name = required_name(request.name)?;
    let end = request.first_cell.checked_add(request.cell_count);
    let end = end.ok_or_else(|| NodeError::Invalid("no chunk has that many cells".to_owned()))?;
    let cells = chunks.get(name, request.first_cell..end).await?;
    Ok(cells.map(|cell| cell.map(Cell::from).map_err(Status::from)).boxed())
}
