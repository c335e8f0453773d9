//! Stat: the entry of one chunk.

use super::Identity;
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::convert::required_name;
use sixfold_proto::node_v1::{ChunkEntry, StatRequest};

pub(super) async fn stat(
    chunks: &dyn Chunks,
    identity: &Identity,
    request: StatRequest,
) -> Result<ChunkEntry, NodeError> {
    identity.check_reader(request.node_number)?;
    Ok(chunks.stat(required_name(request.name)?).await?.into())
}
