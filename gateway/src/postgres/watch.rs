//! Keeps the server running: one that dies is started again, on the same socket.

use super::Cluster;
use super::error::PostgresError;
use super::launch::{self, Postmaster};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first and the longest pause before a dead server is started again.
const RESTART_PAUSE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// Runs until `stop`, then stops the server.
pub(super) async fn watch(
    cluster: Arc<Cluster>,
    mut postmaster: Postmaster,
    stop: CancellationToken,
) -> Result<(), PostgresError> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return postmaster.stop(&cluster).await,
            status = postmaster.exited() => {
                let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
                tracing::error!(%status, "the database server died, starting it again");
            }
        }
        match restart(&cluster, &stop).await {
            Some(again) => postmaster = again,
            None => return Ok(()),
        }
    }
}

/// Tries until it runs; `None` when asked to stop meanwhile.
async fn restart(cluster: &Cluster, stop: &CancellationToken) -> Option<Postmaster> {
    let [mut pause, longest] = RESTART_PAUSE;
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(pause) => {}
        }
        match launch::launch(cluster, stop).await {
            Ok(postmaster) => return Some(postmaster),
            Err(PostgresError::Interrupted) => return None,
            Err(error) => tracing::error!(%error, "the database server does not start"),
        }
        pause = (pause * 2).min(longest);
    }
}
