//! Health: who the node is and how it is.

use super::Identity;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::node_v1::{HealthReply, HealthRequest};

pub(super) async fn health(
    chunks: &dyn Chunks,
    identity: &Identity,
    request: HealthRequest,
) -> Result<HealthReply, NodeError> {
    identity.check_reader(request.node_number)?;
    Ok(chunks.health().await?.into())
}
