//! Gives multipart uploads up that nobody has touched for days, or whose bucket was deleted.

use super::{Job, JobPace, Paces, Progress};
use crate::meta::Meta;
use crate::points::crash_point;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// The most uploads given up by one transaction; fewer where they have many parts.
const PER_STEP: usize = 500;

/// The job `expire_uploads`.
pub struct ExpireUploads {
    meta: Arc<dyn Meta>,
    pace: JobPace,
    idle: Duration,
}

impl ExpireUploads {
    /// With the pace and age of `paces`.
    pub fn new(meta: Arc<dyn Meta>, paces: &Paces) -> Self {
        Self { meta, pace: paces.expire_uploads, idle: paces.upload_idle }
    }
}

#[async_trait]
impl Job for ExpireUploads {
    fn name(&self) -> &'static str {
        "expire_uploads"
    }

    fn pace(&self) -> JobPace {
        self.pace
    }

    async fn step(&self) -> anyhow::Result<Progress> {
        let count = self.meta.expire_uploads(self.idle, PER_STEP).await?;
        crash_point!("expire_uploads.expired");
        Ok(if count > 0 { Progress::More(count) } else { Progress::Idle(0) })
    }
}
