//! A new data directory: made aside and renamed, so that a half-made one is never started.

use super::error::{IoContext, PostgresError};
use super::{Cluster, Durability, NAME, launch};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The version that made the data; `None` when there are none yet.
pub(super) fn major(data: &Path) -> Result<Option<u32>, PostgresError> {
    let file = data.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &file),
    }
}

/// Runs `initdb` unless the data are there.
pub(super) async fn create(cluster: &Cluster) -> Result<(), PostgresError> {
    if cluster.data.exists() {
        return Ok(());
    }
    let aside = cluster.home.join("data.new");
    if aside.exists() {
        std::fs::remove_dir_all(&aside).at("remove", &aside)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&aside).at("create", &aside)?;
    cluster.account.give(&aside)?;
    initdb(cluster, &aside).await?;
    std::fs::rename(&aside, &cluster.data).at("create", &cluster.data)?;
    let home = std::fs::File::open(&cluster.home).at("open", &cluster.home)?;
    home.sync_all().at("sync", &cluster.home)
}

async fn initdb(cluster: &Cluster, aside: &Path) -> Result<(), PostgresError> {
    let mut command = cluster.account.command(cluster.binaries.program("initdb"));
    command.arg("-D").arg(aside).current_dir(&cluster.home).args([
        "--username",
        NAME,
        "--encoding=UTF8",
        "--locale=C",
        "--auth=peer",
        "--data-checksums",
        "--no-instructions",
    ]);
    if cluster.settings.durability != Durability::Synced {
        command.arg("--no-sync");
    }
    let output = command.output().await.at("run initdb on", aside)?;
    if output.status.success() {
        return Ok(());
    }
    Err(PostgresError::Failed {
        program: "initdb",
        why: output.status.to_string(),
        output: launch::last_lines(&String::from_utf8_lossy(&output.stderr)),
    })
}
