//! Delete: one copy of a chunk, named by its number, on the node that is meant.

use super::Identity;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::convert::required_name;
use sixfold_proto::name::CopyNumber;
use sixfold_proto::node_v1::{DeleteReply, DeleteRequest};

pub(super) async fn delete(
    chunks: &dyn Chunks,
    identity: &Identity,
    request: DeleteRequest,
) -> Result<DeleteReply, NodeError> {
    identity.check(request.node_number, request.registration)?;
    chunks.delete(required_name(request.name)?, CopyNumber(request.copy_number)).await?;
    Ok(DeleteReply {})
}
