//! A base backup: taken, verified, named, and what it makes superfluous dropped. In this order, so
//! that there is a complete one, with all WAL since, at any moment.

use super::super::Cluster;
use super::super::create::run;
use super::super::error::{IoContext, PostgresError};
use super::super::launch::last_lines;
use super::files::Generation;
use super::wal::{self, SEGMENT_BYTES, Segment};
use super::{ROLE, sync_dir};
use std::io;
use std::path::Path;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// What a base backup reads of the database's drive per second at most, in kB: requests use the same
/// drive.
const MAX_RATE_KB: &str = "102400";

/// Whether a generation needs its first base backup, or a newer one.
pub(super) fn is_due(generation: &Generation, renew_after: u64) -> Result<bool, PostgresError> {
    let bases = generation.bases()?;
    let Some(newest) = bases.keys().next_back() else { return Ok(true) };
    let received = wal::segments(&generation.wal()).at("read", &generation.path)?;
    let since = received.range(newest..).count() as u64;
    Ok(since * SEGMENT_BYTES > renew_after)
}

/// Takes one and drops what is older.
pub(super) async fn take(
    cluster: &Cluster,
    generation: &Generation,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    let new = generation.new_base();
    if new.exists() {
        std::fs::remove_dir_all(&new).at("remove", &new)?;
    }
    pg_basebackup(cluster, &new, stop).await?;
    verify_own(cluster, &new, stop).await?;
    let first = first_segment(&new)?;
    let named = generation.base(first);
    if named.exists() {
        std::fs::remove_dir_all(&named).at("remove", &named)?;
    }
    std::fs::rename(&new, &named).at("create", &named)?;
    sync_dir(&generation.path)?;
    drop_older(generation, first)
}

/// Compares the newest one with its manifest; none is well.
pub(super) async fn verify_newest(
    cluster: &Cluster,
    generation: &Generation,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    let Some((_, base)) = generation.bases()?.pop_last() else { return Ok(()) };
    verify_own(cluster, &base, stop).await
}

/// As the account that took it.
async fn verify_own(
    cluster: &Cluster,
    base: &Path,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    verify(cluster, cluster.account.command(cluster.binaries.program(VERIFY)), base, stop).await
}

/// Its files and directories are synced when the program has ended well.
async fn pg_basebackup(
    cluster: &Cluster,
    new: &Path,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    let mut command = cluster.account.command(cluster.binaries.program("pg_basebackup"));
    command.current_dir(&cluster.home).arg("--pgdata").arg(new);
    command.arg("--host").arg(&cluster.sockets);
    command.args(["--port", &super::super::PORT.to_string(), "--username", ROLE]);
    // At once: what a checkpoint has to write is at most the server's page cache.
    command.args(["--no-password", "--checkpoint=fast", "--wal-method=fetch"]);
    command.args(["--max-rate", MAX_RATE_KB, "--label=sixfold"]);
    finish("pg_basebackup", command, new, stop).await
}

/// The program that compares a base backup with its manifest.
pub(in super::super) const VERIFY: &str = "pg_verifybackup";

/// Compares every file with the backup's manifest, where the program for it is installed.
pub(in super::super) async fn verify(
    cluster: &Cluster,
    mut command: Command,
    base: &Path,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    if !cluster.binaries.program(VERIFY).is_file() {
        tracing::warn!(dir = %cluster.binaries.dir.display(), "{VERIFY} is not there: not verified");
        return Ok(());
    }
    command.arg("--quiet").arg(base);
    finish(VERIFY, command, base, stop).await
}

async fn finish(
    program: &'static str,
    command: Command,
    on: &Path,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    let output =
        run(command, stop).await.at("back up or verify", on)?.ok_or(PostgresError::Interrupted)?;
    if output.status.success() {
        return Ok(());
    }
    let said = last_lines(&String::from_utf8_lossy(&output.stderr));
    Err(PostgresError::Failed { program, why: output.status.to_string(), output: said })
}

/// The segment that a replay begins with, as the backup's label says.
fn first_segment(base: &Path) -> Result<Segment, PostgresError> {
    let label = base.join("backup_label");
    let text = std::fs::read_to_string(&label).at("read", &label)?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    parse_label(&text).ok_or_else(invalid).at("understand", &label)
}

/// `START WAL LOCATION: 0/6000028 (file 000000010000000000000006)`
fn parse_label(text: &str) -> Option<Segment> {
    let line = text.lines().find(|line| line.starts_with("START WAL LOCATION:"))?;
    Segment::parse(line.split_once("(file ")?.1.strip_suffix(')')?)
}

/// Drops the base backups and the WAL before a segment.
fn drop_older(generation: &Generation, first: Segment) -> Result<(), PostgresError> {
    for (_, base) in generation.bases()?.range(..first) {
        std::fs::remove_dir_all(base).at("remove", base)?;
    }
    let received = wal::segments(&generation.wal()).at("read", &generation.path)?;
    for (_, path) in received.range(..first) {
        std::fs::remove_file(path).at("remove", path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::wal::SEGMENT_BYTES;
    use super::{Generation, drop_older, is_due, parse_label};

    #[test]
    fn the_label_names_the_first_segment() {
        let label = "START WAL LOCATION: 0/6000028 (file 000000010000000000000006)\n\
                     CHECKPOINT LOCATION: 0/6000060\nLABEL: sixfold\n";
        assert_eq!(parse_label(label).unwrap().name(), "000000010000000000000006");
        assert!(parse_label("LABEL: sixfold\n").is_none());
    }

    #[test]
    fn a_base_is_renewed_when_the_wal_has_grown_and_what_is_older_goes() {
        let temporary = tempfile::tempdir().unwrap();
        let generation = Generation { number: 1, path: temporary.path().to_owned() };
        std::fs::create_dir(generation.wal()).unwrap();
        let put = |names: &[&str]| {
            names.iter().for_each(|name| std::fs::write(generation.wal().join(name), "").unwrap());
        };
        put(&["000000010000000000000005", "000000010000000000000006", "00000001.history"]);
        assert!(is_due(&generation, SEGMENT_BYTES).unwrap(), "there is none yet");
        let base = generation.path.join("base-000000010000000000000006");
        std::fs::create_dir(&base).unwrap();
        assert!(!is_due(&generation, SEGMENT_BYTES).unwrap());
        put(&["000000010000000000000007.partial"]);
        assert!(is_due(&generation, SEGMENT_BYTES).unwrap());
        assert!(!is_due(&generation, 2 * SEGMENT_BYTES).unwrap());

        let newer = generation.path.join("base-000000010000000000000007");
        std::fs::create_dir(&newer).unwrap();
        drop_older(&generation, super::Segment::parse("000000010000000000000007").unwrap())
            .unwrap();
        assert!(!base.exists() && newer.exists());
        let mut left: Vec<_> = std::fs::read_dir(generation.wal()).unwrap().flatten().collect();
        left.sort_by_key(std::fs::DirEntry::file_name);
        let left: Vec<_> = left.iter().map(std::fs::DirEntry::file_name).collect();
        assert_eq!(left, ["00000001.history", "000000010000000000000007.partial"]);
    }
}
