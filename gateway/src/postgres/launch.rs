//! One start of the server, until it answers, and one stop.

use super::error::{IoContext, PostgresError};
use super::{Cluster, NAME, configuration, options, orphan};
use rustix::process::{Pid, Signal};
use sqlx::{Connection, PgConnection};
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// How long a fast stop (rolling transactions back, a checkpoint) may take.
pub(super) const STOP_FAST: Duration = Duration::from_secs(30);

/// How long an immediate stop may take after that; the next start then replays the log.
pub(super) const STOP_IMMEDIATE: Duration = Duration::from_secs(10);

/// How long a start may take: replaying the log after a crash included.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// The pause between two tries to connect.
const READY_POLL: Duration = Duration::from_millis(50);

/// Backends of a killed server take a moment to notice, and the next one refuses until then.
const START_TRIES: u32 = 5;

/// The pause between two starts.
const START_PAUSE: Duration = Duration::from_secs(1);

/// How much of a log an error shows.
const LINES_SHOWN: usize = 6;

/// The running server. Dropped alive, it is asked to stop and not waited for.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    /// Waits until it is gone.
    pub(super) async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops it: fast, then at once.
    pub(super) async fn stop(mut self, cluster: &Cluster) -> Result<(), PostgresError> {
        for (signal, patience) in [(Signal::INT, STOP_FAST), (Signal::QUIT, STOP_IMMEDIATE)] {
            self.signal(signal);
            if let Ok(status) = tokio::time::timeout(patience, self.child.wait()).await {
                status.at("wait for the server of", &cluster.data)?;
                return Ok(());
            }
        }
        Err(failed(cluster, format!("did not stop within {STOP_FAST:?} + {STOP_IMMEDIATE:?}")))
    }

    fn signal(&self, signal: Signal) {
        // `None` once it was waited for: then the number may be somebody else's.
        let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        if let Some(pid) = Pid::from_raw(pid)
            && let Err(error) = rustix::process::kill_process(pid, signal)
        {
            tracing::warn!(%error, "the database server could not be signalled");
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

/// Starts the server and waits until it answers, or stops it again when `stop` is cancelled.
pub(super) async fn launch(
    cluster: &Cluster,
    stop: &CancellationToken,
) -> Result<Postmaster, PostgresError> {
    launch_with(cluster, &[], stop).await
}

/// The same with more settings than every start has.
pub(super) async fn launch_with(
    cluster: &Cluster,
    settings: &[&str],
    stop: &CancellationToken,
) -> Result<Postmaster, PostgresError> {
    let mut tries = 1;
    loop {
        orphan::settle(cluster).await?;
        match start_once(cluster, settings, stop).await {
            Err(PostgresError::Failed { why, .. }) if tries < START_TRIES => {
                tracing::warn!(%why, "the database server did not start, trying again");
                tries += 1;
                tokio::time::sleep(START_PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn start_once(
    cluster: &Cluster,
    settings: &[&str],
    stop: &CancellationToken,
) -> Result<Postmaster, PostgresError> {
    if stop.is_cancelled() {
        return Err(PostgresError::Interrupted);
    }
    let log = cluster.home.join("start.log");
    let stdout = std::fs::File::create(&log).at("write", &log)?;
    let stderr = stdout.try_clone().at("write", &log)?;
    let mut command = cluster.account.command(cluster.binaries.program("postgres"));
    command
        .arg("-D")
        .arg(&cluster.data)
        .arg("-c")
        .arg(format!("config_file={}", cluster.home.join("postgresql.conf").display()));
    for setting in configuration::durability(cluster).iter().chain(settings) {
        command.args(["-c", setting]);
    }
    // Its own process group: a terminal's Ctrl-C is for us, who stop it in order.
    command.current_dir(&cluster.home).stdout(stdout).stderr(stderr).process_group(0);
    let child = command.spawn().at("start the server of", &cluster.data)?;
    let mut postmaster = Postmaster { child };
    let ready = tokio::select! {
        ready = wait_ready(cluster, &mut postmaster) => ready,
        () = stop.cancelled() => Err(PostgresError::Interrupted),
    };
    match ready {
        Ok(()) => Ok(postmaster),
        Err(PostgresError::Interrupted) => {
            postmaster.stop(cluster).await?;
            Err(PostgresError::Interrupted)
        }
        Err(error) => Err(error),
    }
}

async fn wait_ready(cluster: &Cluster, postmaster: &mut Postmaster) -> Result<(), PostgresError> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = postmaster.child.try_wait().at("wait for", &cluster.data)? {
            return Err(failed(cluster, status.to_string()));
        }
        match PgConnection::connect_with(&options(&cluster.sockets, "postgres")).await {
            Ok(connection) => return Ok(connection.close().await?),
            Err(error) if Instant::now() > until => {
                return Err(failed(cluster, format!("not ready in {READY_WITHIN:?}: {error}")));
            }
            Err(_) => tokio::time::sleep(READY_POLL).await,
        }
    }
}

/// Makes the database unless it is there.
pub(super) async fn create_database(cluster: &Cluster) -> Result<(), PostgresError> {
    let mut connection = PgConnection::connect_with(&options(&cluster.sockets, "postgres")).await?;
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(NAME)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        sqlx::query("create database sixfold").execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

fn failed(cluster: &Cluster, why: String) -> PostgresError {
    let early = std::fs::read_to_string(cluster.home.join("start.log")).unwrap_or_default();
    let late = newest_log(cluster).unwrap_or_default();
    PostgresError::Failed { program: "postgres", why, output: last_lines(&(early + &late)) }
}

/// The log that was written last, if the server came as far as to open one.
fn newest_log(cluster: &Cluster) -> Option<String> {
    let started = std::fs::metadata(cluster.home.join("start.log")).ok()?.created().ok()?;
    std::fs::read_dir(cluster.data.join("log"))
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
        .filter(|(modified, _)| *modified >= started)
        .max()
        .and_then(|(_, path)| std::fs::read_to_string(path).ok())
}

/// The end of what a program said, on one line.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join(" | ")
}
