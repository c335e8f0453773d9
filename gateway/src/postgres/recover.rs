//! Makes a lost database anew from the newest of its copies that is good.
//!
//! It never touches a database that is there: what it makes grows beside, is replayed to its end
//! under a timeline of its own, stopped in order, and only then gets the database's name. Broken off
//! at any point it is simply run again. The copies are read and never changed.

use super::account::Account;
use super::binaries::Binaries;
use super::copies::{self, CopyFound};
use super::error::{IoContext, PostgresError};
use super::{Cluster, DirectoryLock, Settings, configuration, create, launch, make_home};
use super::{orphan, sockets};
use sqlx::{Connection, PgConnection};
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// What the server is told while it replays: nobody is served, and all WAL is in its place.
const REPLAY: [&str; 2] = ["hot_standby=off", "restore_command=false"];

/// What was done.
#[derive(Debug)]
pub struct Recovered {
    /// The DIR whose copy was taken.
    pub dir: PathBuf,
    /// When its base backup was complete.
    pub taken: SystemTime,
    /// Segments of WAL that were there to be replayed.
    pub segments: usize,
    /// The position up to which the database goes now.
    pub position: String,
}

/// Whether there is a database below a metadata directory, healthy or not.
pub fn is_there(meta: &Path) -> bool {
    meta.join("postgres").join("data").exists()
}

/// The DIRs below which a copy is that a database could be made from, the newest first.
pub fn copies_at(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for copy in copies::find(dirs) {
        if !found.contains(&copy.dir) {
            found.push(copy.dir);
        }
    }
    found
}

/// Makes the database below `settings.dir` from the newest copy below these DIRs.
pub async fn recover(
    settings: Settings,
    dirs: &[PathBuf],
    stop: &CancellationToken,
) -> Result<Recovered, PostgresError> {
    let home = make_home(&settings.dir)?;
    let _lock = DirectoryLock::take(&home)?;
    let data = home.join("data");
    if data.exists() {
        return Err(PostgresError::DatabaseThere { data });
    }
    let (copy, cluster) = laid_out(&settings, &home, dirs, stop).await?;
    let position = replay(&cluster, stop).await?;
    std::fs::rename(&cluster.data, &data).at("create", &data)?;
    File::open(&cluster.home).and_then(|home| home.sync_all()).at("sync", &cluster.home)?;
    Ok(Recovered { dir: copy.dir, taken: copy.taken, segments: copy.wal.len(), position })
}

/// Lays out the newest copy that is good. A drive may rot where nobody reads.
async fn laid_out(
    settings: &Settings,
    home: &Path,
    dirs: &[PathBuf],
    stop: &CancellationToken,
) -> Result<(CopyFound, Cluster), PostgresError> {
    let mut failed = PostgresError::NoCopy { dirs: dirs.to_vec() };
    for copy in of_one_database(dirs)? {
        match try_one(settings.clone(), home.to_owned(), &copy, stop).await {
            Ok(cluster) => return Ok((copy, cluster)),
            Err(PostgresError::Interrupted) => return Err(PostgresError::Interrupted),
            Err(error) => {
                let dir = copy.dir;
                tracing::error!(
                    copy = %dir.display(),
                    "this copy of the metadata can't be used; an older one may lack the last \
                     moments: {error}"
                );
                failed = PostgresError::NoGoodCopy { dir, source: Box::new(error) };
            }
        }
    }
    Err(failed)
}

async fn try_one(
    settings: Settings,
    home: PathBuf,
    copy: &CopyFound,
    stop: &CancellationToken,
) -> Result<Cluster, PostgresError> {
    let cluster = prepare(settings, home, copy).await?;
    verify(&cluster, copy, stop).await?;
    // A recovery that was broken off may have left its server behind.
    orphan::settle(&cluster).await?;
    lay_out(&cluster, copy)?;
    Ok(cluster)
}

/// The copies, the newest first; those of two databases are for a person to choose from.
fn of_one_database(dirs: &[PathBuf]) -> Result<Vec<CopyFound>, PostgresError> {
    let found = copies::find(dirs);
    let Some(newest) = found.first() else { return Ok(found) };
    match found.iter().find(|other| other.database != newest.database) {
        Some(other) => {
            Err(PostgresError::TwoDatabases { one: newest.dir.clone(), other: other.dir.clone() })
        }
        None => Ok(found),
    }
}

/// As for a start, but for a database that grows beside, of the copy's version.
async fn prepare(
    settings: Settings,
    home: PathBuf,
    copy: &CopyFound,
) -> Result<Cluster, PostgresError> {
    let data = home.join("data.recovering");
    let major = create::major(&copy.base)?;
    let binaries = Binaries::find(settings.bin_dir.as_deref(), major).await?;
    let account = Account::choose(&home.join("data")).await?;
    account.check_reach(&home, &binaries).await?;
    let sockets = sockets::prepare(&home, settings.runtime_dir.as_deref(), &account)?;
    let cluster = Cluster { settings, home, data, sockets, binaries, account };
    configuration::write(&cluster)?;
    Ok(cluster)
}

/// As ourselves: on another machine the copy's account may have another number.
async fn verify(
    cluster: &Cluster,
    copy: &CopyFound,
    stop: &CancellationToken,
) -> Result<(), PostgresError> {
    tracing::info!(base = %copy.base.display(), "verifying the base backup");
    let mut command = Command::new(cluster.binaries.program(copies::VERIFY));
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
    copies::verify(cluster, command, &copy.base, stop).await
}

/// The base backup with all WAL in its place. What is copied here is synced by PostgreSQL before
/// it replays.
fn lay_out(cluster: &Cluster, copy: &CopyFound) -> Result<(), PostgresError> {
    let data = &cluster.data;
    if data.exists() {
        std::fs::remove_dir_all(data).at("remove", data)?;
    }
    tracing::info!(from = %copy.dir.display(), to = %data.display(), "copying");
    copy_tree(&cluster.account, &copy.base, data)?;
    let wal = data.join("pg_wal");
    for (segment, path) in &copy.wal {
        copy_file(&cluster.account, path, &wal.join(segment.name()))?;
    }
    for path in &copy.histories {
        let name = path.file_name().unwrap_or_default();
        copy_file(&cluster.account, path, &wal.join(name))?;
    }
    let signal = data.join("recovery.signal");
    File::create(&signal).at("write", &signal)?;
    cluster.account.give(&signal)
}

fn copy_tree(account: &Account, from: &Path, to: &Path) -> Result<(), PostgresError> {
    std::fs::DirBuilder::new().mode(0o700).create(to).at("create", to)?;
    account.give(to)?;
    for entry in std::fs::read_dir(from).at("read", from)? {
        let entry = entry.at("read", from)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().at("look at", &from)?.is_dir() {
            copy_tree(account, &from, &to)?;
        } else {
            copy_file(account, &from, &to)?;
        }
    }
    Ok(())
}

fn copy_file(account: &Account, from: &Path, to: &Path) -> Result<(), PostgresError> {
    std::fs::copy(from, to).at("copy", from)?;
    account.give(to)
}

/// Runs the server until it has replayed everything; answers how far that was.
async fn replay(cluster: &Cluster, stop: &CancellationToken) -> Result<String, PostgresError> {
    tracing::info!("replaying the write-ahead log");
    let postmaster = launch::launch_with(cluster, &REPLAY, stop).await?;
    let position = position(cluster).await;
    postmaster.stop(cluster).await?;
    position
}

async fn position(cluster: &Cluster) -> Result<String, PostgresError> {
    let options = super::options(&cluster.sockets, super::NAME);
    let mut database = PgConnection::connect_with(&options).await?;
    let position = "select pg_current_wal_lsn()::text from pg_database where datname = 'sixfold'";
    let position = sqlx::query_scalar(position).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(position)
}
