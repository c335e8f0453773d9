//! The rows as an embedded node's own jobs see them.

use crate::meta::Meta;
use async_trait::async_trait;
use sixfold_node::rows::Rows;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, CopyNumber, NodeNumber};
use std::sync::Arc;

/// The rows of one embedded node.
pub struct EmbeddedRows {
    meta: Arc<dyn Meta>,
    node: NodeNumber,
}

impl EmbeddedRows {
    /// The rows of the node with this number.
    pub fn new(meta: Arc<dyn Meta>, node: NodeNumber) -> Self {
        Self { meta, node }
    }
}

#[async_trait]
impl Rows for EmbeddedRows {
    async fn mark_rotten(&self, chunks: &[ChunkName]) -> anyhow::Result<()> {
        Ok(self.meta.mark_rotten(self.node, chunks).await?)
    }

    async fn witness(
        &self,
        marks: &[Mark],
        kept: CopyNumber,
        is_first: bool,
    ) -> anyhow::Result<Witnessed> {
        Ok(self.meta.witness(self.node, marks, kept, is_first).await?)
    }

    async fn report_jobs(&self, reports: &[JobReport]) -> anyhow::Result<()> {
        let process = format!("node {}", self.node);
        Ok(self.meta.report_jobs(&process, reports).await?)
    }
}
