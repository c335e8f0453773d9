//! The copies of the server's own PostgreSQL: on which drives they are kept, and the way back.

use super::drives::Opened;
use super::home::{self, Home};
use crate::config::{Config, StorageConfig};
use crate::postgres::{self, Candidate, CopyPolicy, Managed, Place, PostgresError, Settings};
use crate::shutdown::Signals;
use anyhow::Context;
use sixfold_node::Store;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How long a start waits until a commit is on a copy when it is acknowledged. A copy goes on in a
/// moment; a first one takes as long as copying the database takes, and serving goes first.
const SETTLE: Duration = Duration::from_secs(15);

/// What the managed PostgreSQL is told.
pub(super) fn settings(config: &Config, meta: &Path) -> Settings {
    let mut settings = Settings::new(meta);
    settings.bin_dir.clone_from(&config.database.bin_dir);
    settings.shared_buffers_mib = config.database.shared_buffers_mib;
    settings
}

/// Refuses to begin with an empty database where copies of one are: its drive is lost or not
/// mounted, and under an empty one nothing that the other drives hold would be wanted.
pub(super) fn refuse_empty(config: &Config) -> anyhow::Result<()> {
    let Some(meta) = home::meta(&config.storage) else { return Ok(()) };
    if config.database.url.is_some() || postgres::is_there(&meta) {
        return Ok(());
    }
    let copies = postgres::copies_at(&home::drives(&config.storage));
    anyhow::ensure!(
        copies.is_empty(),
        "there is no database below {}, and a copy of one below {}: if a drive is not mounted, \
         mount it; if it is lost, start with --recover-meta, which makes the database anew from \
         the newest copy. Nothing was changed",
        meta.display(),
        listed(copies.iter().map(AsRef::as_ref)),
    );
    let drives = home::drives(&config.storage);
    let taken = drives.iter().filter(|drive| Store::is_taken(drive)).map(PathBuf::as_path);
    let taken = listed(taken);
    anyhow::ensure!(
        taken.is_empty(),
        "there is no database below {}, but chunks of a cluster below {taken}: name all the DIRs \
         of that server and mount its drives, or name its --meta-dir; without its database nobody \
         knows whose chunks they are. Nothing was changed",
        meta.display(),
    );
    Ok(())
}

/// Makes the lost database anew from its newest copy; nothing when a signal came before it was.
pub(super) async fn recover(config: &Config, signals: &mut Signals) -> anyhow::Result<Option<()>> {
    let stop = CancellationToken::new();
    let mut recovering = pin!(make_anew(config, &stop));
    let signal = tokio::select! {
        done = &mut recovering => return done.map(Some),
        signal = signals.received() => signal,
    };
    tracing::info!(signal, "stopping before the database is made anew: run it again");
    stop.cancel();
    match recovering.await {
        Err(error) if !is_interrupted(&error) => Err(error),
        _ => Ok(None),
    }
}

async fn make_anew(config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.database.url.is_none(),
        "--recover-meta is for the PostgreSQL that sixfold runs itself, and DATABASE_URL names \
         another: recover that one with its own means"
    );
    let meta = home::meta(&config.storage).context("--recover-meta needs the server's DIRs")?;
    home::make(&meta)?;
    let dirs = home::drives(&config.storage);
    let done = postgres::recover(settings(config, &meta), &dirs, stop).await?;
    tracing::warn!(
        copy = %done.dir.display(),
        base_backup_of = %OffsetDateTime::from(done.taken),
        wal_segments = done.segments,
        up_to = done.position,
        "the database below {} was made anew from its copy",
        meta.display()
    );
    Ok(())
}

/// Keeps the copies that the settings ask for, and answers what a start says of them.
pub(super) async fn keep_copies(
    config: &Config,
    home: &Home,
    managed: &Managed,
    drives: &[Opened],
) -> anyhow::Result<String> {
    let places = places(&config.storage, home, drives)?;
    if places.is_empty() {
        say_alone(config.storage.meta_copies);
        return Ok("on this one drive".to_owned());
    }
    let dirs = listed(places.iter().map(|place| place.dir.as_path()));
    tracing::info!(copies = dirs, "copying the metadata");
    let renew_after = u64::from(config.storage.meta_copies_wal_mib) << 20;
    let protection = managed.keep_copies(places, renew_after, SETTLE).await;
    if !protection.is_required {
        tracing::error!(
            copies = dirs,
            "no copy of the metadata is in step yet: what is written until one is would be lost \
             with the database's drive"
        );
    }
    Ok(format!("copied to {dirs}"))
}

/// Where copies are to be: never below the DIR that the database is below.
fn places(storage: &StorageConfig, home: &Home, drives: &[Opened]) -> anyhow::Result<Vec<Place>> {
    let look_at = |path: &Path| format!("can't look at {}", path.display());
    let meta = home.meta.canonicalize().with_context(|| look_at(&home.meta))?;
    let device = meta.metadata().with_context(|| look_at(&meta))?.dev();
    let candidates = drives.iter().map(Opened::spot).filter(|(dir, _)| {
        let holds_database = dir.canonicalize().is_ok_and(|dir| meta.starts_with(dir));
        !holds_database
    });
    let candidates: Vec<_> = candidates
        .map(|(dir, device)| Candidate {
            dir: dir.to_owned(),
            device,
            seat: postgres::seat_at(dir),
        })
        .collect();
    let places = postgres::choose(&candidates, device, storage.meta_copies);
    for left in candidates.iter().filter(|candidate| candidate.seat.is_some()) {
        if storage.meta_copies != CopyPolicy::Off && !places.iter().any(|it| it.dir == left.dir) {
            let dir = left.dir.join("meta-copy");
            tracing::warn!(dir = %dir.display(), "an older copy of the metadata: remove it");
        }
    }
    Ok(places)
}

fn say_alone(policy: CopyPolicy) {
    match policy {
        CopyPolicy::Off => {
            tracing::warn!("the metadata is on one drive and is not copied, as the settings say");
        }
        CopyPolicy::Auto | CopyPolicy::Always => tracing::warn!(
            "the metadata is on one drive and is not copied: no DIR is on another device, and on \
             the same one a copy gains nothing. Back the metadata up"
        ),
    }
}

fn listed<'a>(dirs: impl Iterator<Item = &'a Path>) -> String {
    dirs.map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" and ")
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(PostgresError::Interrupted))
}
