//! What a node's own jobs ask of the rows: by the few functions that its role may call, or through
//! the process that it is embedded in.

use async_trait::async_trait;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, CopyNumber};

/// The rows as one node sees them. A call that fails changed nothing, and may be made again.
#[async_trait]
pub trait Rows: Send + Sync + 'static {
    /// Marks chunks of this node as missing, as far as rows place them here. Heal makes them anew.
    async fn mark_rotten(&self, chunks: &[ChunkName]) -> anyhow::Result<()>;

    /// Asks the database for its newest mark and which of `marks` it knows; tells it up to which
    /// copy the node keeps what no row wants. `is_first` asks for a new mark.
    async fn witness(
        &self,
        marks: &[Mark],
        kept: CopyNumber,
        is_first: bool,
    ) -> anyhow::Result<Witnessed>;

    /// Shows an operator how the node's jobs are.
    async fn report_jobs(&self, reports: &[JobReport]) -> anyhow::Result<()>;
}
