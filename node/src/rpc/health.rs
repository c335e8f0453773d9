//! Health: who the node is and how it is.

use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::node_v1::HealthReply;

pub(super) async fn health(chunks: &dyn Chunks) -> Result<HealthReply, NodeError> {
    Ok(chunks.health().await?.into())
}
