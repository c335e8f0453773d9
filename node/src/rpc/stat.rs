//! Stat: the entry of one chunk.

use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::convert::required_name;
use sixfold_proto::node_v1::{ChunkEntry, StatRequest};

pub(super) async fn stat(
    chunks: &dyn Chunks,
    request: StatRequest,
) -> Result<ChunkEntry, NodeError> {
    Ok(chunks.stat(required_name(request.name)?).await?.into())
}
