//! A new data directory: made aside and renamed, so that a half-made one is never started.

use super::error::{IoContext, PostgresError};
use super::{Cluster, Durability, NAME, launch};
use rustix::process::{Pid, Signal};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::pin::pin;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// How long an interrupted `initdb` may take to clean up behind itself.
const STOP_INITDB: Duration = Duration::from_secs(5);

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
pub(super) async fn create(
    cluster: &Cluster,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    if cluster.data.exists() {
        return Ok(());
    }
    let aside = cluster.home.join("data.new");
    if aside.exists() {
        std::fs::remove_dir_all(&aside).at("remove", &aside)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&aside).at("create", &aside)?;
    cluster.account.give(&aside)?;
    initdb(cluster, &aside, stop).await?;
    std::fs::rename(&aside, &cluster.data).at("create", &cluster.data)?;
    let home = std::fs::File::open(&cluster.home).at("open", &cluster.home)?;
    home.sync_all().at("sync", &cluster.home)
}

async fn initdb(
    cluster: &Cluster,
    aside: &Path,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
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
    let output = run(command, stop).await.at("run initdb on", aside)?;
    let output = output.ok_or(PostgresError::Interrupted)?;
    if output.status.success() {
        return Ok(());
    }
    Err(PostgresError::Failed {
        program: "initdb",
        why: output.status.to_string(),
        output: launch::last_lines(&String::from_utf8_lossy(&output.stderr)),
    })
}

/// Runs a program to its end, with all that it starts; `None` when `stop` came before.
pub(super) async fn run(
    mut command: Command,
    stop: &CancellationToken,
) -> io::Result<Option<Output>> {
    // Its own process group: a terminal's Ctrl-C is for us, who end the group in order.
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut ended = pin!(child.wait_with_output());
    tokio::select! {
        output = &mut ended => return output.map(Some),
        () = stop.cancelled() => {}
    }
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process_group(group, signal);
        }
        if tokio::time::timeout(STOP_INITDB, &mut ended).await.is_ok() {
            break;
        }
    }
    Ok(None)
}
