//! A server that outlived the process that started it. It is recognised by the process id in
//! `postmaster.pid` *and* by the data directory on that process's command line; nothing else
//! is ever signalled.

use super::Cluster;
use super::error::{IoContext, PostgresError};
use super::launch::{STOP_FAST, STOP_IMMEDIATE};
use rustix::process::{Pid, Signal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the process id in `postmaster.pid` stands for.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// Nobody, or somebody who took the number over: the file is stale.
    Nobody,
    /// The server of this data directory.
    Ours(Pid),
    /// A PostgreSQL that can't be told to be another directory's.
    Unknown(Pid),
}

/// Stops an orphan of this data directory and clears what a killed one left.
pub(super) async fn settle(cluster: &Cluster) -> Result<(), PostgresError> {
    let file = cluster.data.join("postmaster.pid");
    let Some(pid) = read_pid(&file)? else { return super::sockets::clear(&cluster.sockets) };
    match look_up(cluster, pid) {
        Named::Unknown(pid) => {
            return Err(PostgresError::ForeignProcess { file, pid: pid.as_raw_nonzero().get() });
        }
        Named::Ours(pid) => {
            tracing::warn!(
                postgres.pid = pid.as_raw_nonzero().get(),
                "a database server that outlived its sixfold still runs: stopping it"
            );
            stop(cluster, pid).await?;
        }
        // PostgreSQL removes a stale file itself, and looks for surviving backends by it. Only
        // when the number was taken over by a live process would it refuse.
        Named::Nobody if is_alive(pid) => std::fs::remove_file(&file).at("remove", &file)?,
        Named::Nobody => {}
    }
    super::sockets::clear(&cluster.sockets)
}

async fn stop(cluster: &Cluster, pid: Pid) -> Result<(), PostgresError> {
    for (signal, patience) in [(Signal::INT, STOP_FAST), (Signal::QUIT, STOP_IMMEDIATE)] {
        rustix::process::kill_process(pid, signal).at("stop the server of", &cluster.data)?;
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if look_up(cluster, pid) != Named::Ours(pid) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(PostgresError::Failed {
        program: "postgres",
        why: "an orphan did not stop".to_owned(),
        output: format!("pid {}", pid.as_raw_nonzero()),
    })
}

fn look_up(cluster: &Cluster, pid: Pid) -> Named {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    if !is_alive(pid) {
        return Named::Nobody;
    }
    // Readable by everybody, which the working directory is not. A zombie's is empty.
    let Ok(command) = std::fs::read(process.join("cmdline")) else { return Named::Unknown(pid) };
    let owner = std::fs::metadata(&process).map(|metadata| metadata.uid()).ok();
    let arguments: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    if !is_postgres(&arguments) || owner != Some(cluster.account.uid) {
        return Named::Nobody;
    }
    let Some(data) = data_argument(&arguments) else { return Named::Unknown(pid) };
    if data == cluster.data {
        return Named::Ours(pid);
    }
    // Only a server whose own directory names it is surely not a moved one of ours.
    match read_pid(&data.join("postmaster.pid")) {
        Ok(Some(other)) if other == pid && !is_same(&data, &cluster.data) => Named::Nobody,
        _ => Named::Unknown(pid),
    }
}

fn is_postgres(arguments: &[&[u8]]) -> bool {
    arguments.first().is_some_and(|program| {
        let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        name == b"postgres" || name == b"postmaster"
    })
}

fn data_argument(arguments: &[&[u8]]) -> Option<PathBuf> {
    let flag = arguments.iter().position(|argument| *argument == b"-D")?;
    arguments.get(flag + 1).map(|path| std::ffi::OsStr::from_bytes(path).into())
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => true,
    }
}

fn is_alive(pid: Pid) -> bool {
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// The first line of `postmaster.pid`; an empty or torn file names nobody.
fn read_pid(file: &Path) -> Result<Option<Pid>, PostgresError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("read", file),
    };
    Ok(text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .filter(|pid| *pid > 1)
        .and_then(Pid::from_raw))
}
