//! List: a page of entries in the order of their names.

use super::Identity;
use sixfold_proto::chunks::{Chunks, MAX_LIST_ENTRIES, NodeError};
use sixfold_proto::name::ChunkName;
use sixfold_proto::node_v1::{ListReply, ListRequest};

pub(super) async fn list(
    chunks: &dyn Chunks,
    identity: &Identity,
    request: ListRequest,
) -> Result<ListReply, NodeError> {
    identity.check_reader(request.node_number)?;
    let after = request.after.map(ChunkName::try_from).transpose()?;
    let limit = usize::try_from(request.limit).unwrap_or(MAX_LIST_ENTRIES).min(MAX_LIST_ENTRIES);
    let entries = chunks.list(after, limit).await?;
    Ok(ListReply { entries: entries.into_iter().map(Into::into).collect() })
}
