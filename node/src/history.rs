//! Asks the database again and again whether it still knows what the node remembers of its history
//! (see the store's `history`), and says when it does not.

use crate::rows::Rows;
use crate::store::Store;
use anyhow::Context;
use sixfold_proto::history::Memory;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often; the database's mark changes every minute.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Asks until it is dropped.
pub async fn keep(store: Arc<Store>, rows: Arc<dyn Rows>) {
    let mut is_first = true;
    loop {
        let before = store.memory();
        match ask(&store, rows.as_ref(), is_first).await {
            Ok(memory) => {
                is_first = false;
                tell(before, memory, &store);
            }
            Err(error) => tracing::debug!("the database's history was not read: {error:#}"),
        }
        sleep(ASK_EVERY).await;
    }
}

async fn ask(store: &Arc<Store>, rows: &dyn Rows, is_first: bool) -> anyhow::Result<Memory> {
    let answer = rows.witness(&store.marks(), store.memory().kept, is_first).await?;
    let store = Arc::clone(store);
    let taken = tokio::task::spawn_blocking(move || store.witness(&answer)).await?;
    taken.context("what the drive remembers can't be written")
}

fn tell(before: Memory, now: Memory, store: &Store) {
    let drive = store.drive_id();
    if now.kept > before.kept {
        tracing::error!(
            drive.id = %drive,
            copy.number = now.kept.0,
            "the database went back in time: chunks that it does not know are kept in quarantine, \
             see `sixfold node quarantine list`"
        );
    } else if now.kept < before.kept {
        tracing::info!(drive.id = %drive, copy.number = now.kept.0, "chunks left the quarantine");
    }
}
