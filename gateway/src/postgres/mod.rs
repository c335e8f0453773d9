//! A PostgreSQL of our own: found, initialised, started, watched, stopped.
//!
//! It promises: one server per directory, reachable by a unix socket in a private directory
//! only (never TCP), running as the least privileged account at hand, with fsync,
//! `full_page_writes` and `synchronous_commit` on whatever its configuration says. After a
//! `kill -9` of everything it recovers; one that outlived us alone is recognised by its data
//! directory, stopped and started anew. Where it is told to, it keeps copies on other drives
//! ([`copies`]), from which [`recover`] makes it anew; it makes no other backups.
//!
//! ```text
//! DIR/postgres/          ours
//!   lock                 flock: one Sixfold per directory, with its pid
//!   socket               the path of the socket's directory (a sun_path is short)
//!   postgresql.conf …    written at every start; local.conf is the operator's
//!   copies.conf          which copies a commit waits for; written while it runs
//!   start.log            what the server said before its own log was open
//!   sixfold_copy_1.log … what the receivers of the copies said
//!   data/                the database account's: PGDATA, its logs in data/log
//! ```
//!
//! The child is not tied to us by `PR_SET_PDEATHSIG`: the kernel ties it to the *thread* that
//! started it, and threads of a runtime come and go. A start deals with an orphan instead.

mod account;
mod binaries;
pub mod checks;
mod configuration;
mod copies;
mod create;
mod error;
mod launch;
mod lock;
mod orphan;
mod recover;
mod sockets;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod watch;

pub use copies::{Candidate, CopyPolicy, Place, Protection, choose, seat_at};
pub use error::PostgresError;
pub use lock::DirectoryLock;
pub use recover::{Recovered, copies_at, is_there, recover};

use account::Account;
use binaries::Binaries;
use error::IoContext;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The superuser and the database that hold Sixfold's rows.
const NAME: &str = "sixfold";

/// The server's port; it names the socket's file and nothing else.
const PORT: u16 = 5432;

/// What a managed PostgreSQL is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it lives: a directory `postgres` is made below this one.
    pub dir: PathBuf,
    /// Where its programs are; `None` looks in the usual places.
    pub bin_dir: Option<PathBuf>,
    /// Below which directory the socket's private directory is made; `None`: `/run` for root,
    /// else `/tmp`.
    pub runtime_dir: Option<PathBuf>,
    /// The most connections; each costs the server up to some 10 MiB.
    pub max_connections: u32,
    /// Its page cache in MiB; the kernel caches beside it.
    pub shared_buffers_mib: u32,
    /// Whether writes are synced. Only a test's server turns it off.
    durability: Durability,
}

impl Settings {
    /// The defaults for a server below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bin_dir: None,
            runtime_dir: None,
            max_connections: 100,
            shared_buffers_mib: 128,
            durability: Durability::Synced,
        }
    }
}

/// Whether the server syncs what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    /// Always, outside tests.
    Synced,
    /// A test's throw-away rows.
    #[cfg(any(test, feature = "testing"))]
    ForgottenAfterTheTest,
}

/// Where one server lives, and as whom and with which programs it runs.
#[derive(Debug)]
struct Cluster {
    settings: Settings,
    /// `DIR/postgres`, canonical.
    home: PathBuf,
    /// `DIR/postgres/data`: PGDATA.
    data: PathBuf,
    /// Where its socket is.
    sockets: PathBuf,
    binaries: Binaries,
    account: Account,
}

impl Cluster {
    /// Finds programs and account, makes the directories and the rows' files.
    async fn prepare(
        settings: Settings,
        home: PathBuf,
        stop: &CancellationToken,
    ) -> Result<Self, PostgresError> {
        let data = home.join("data");
        let account = Account::choose(&data).await?;
        let binaries = Binaries::find(settings.bin_dir.as_deref(), create::major(&data)?).await?;
        account.check_reach(&home, &binaries).await?;
        let sockets = sockets::prepare(&home, settings.runtime_dir.as_deref(), &account)?;
        let cluster = Self { settings, home, data, sockets, binaries, account };
        configuration::write(&cluster)?;
        create::create(&cluster, stop).await?;
        Ok(cluster)
    }
}

/// A running PostgreSQL of our own, restarted when it dies. Dropped without
/// [`Managed::stop`], it is asked to stop but not waited for.
#[derive(Debug)]
pub struct Managed {
    cluster: Arc<Cluster>,
    stop: CancellationToken,
    watcher: JoinHandle<Result<(), PostgresError>>,
    copies: OnceLock<copies::Copies>,
    /// Held until the server has stopped.
    _lock: DirectoryLock,
}

impl Managed {
    /// Starts it: the directory is locked, created when new, an orphan is stopped, and the
    /// database answers when this returns. When `stop` is cancelled before that, what was started
    /// is stopped and waited for.
    pub async fn start(
        settings: Settings,
        stop: &CancellationToken,
    ) -> Result<Self, PostgresError> {
        let home = make_home(&settings.dir)?;
        let lock = DirectoryLock::take(&home)?;
        let cluster = Arc::new(Cluster::prepare(settings, home, stop).await?);
        let postmaster = launch::launch(&cluster, stop).await?;
        launch::create_database(&cluster).await?;
        let stop = CancellationToken::new();
        let watcher = tokio::spawn(watch::watch(cluster.clone(), postmaster, stop.clone()));
        Ok(Self { cluster, stop, watcher, copies: OnceLock::new(), _lock: lock })
    }

    /// How to connect.
    pub fn options(&self) -> PgConnectOptions {
        options(&self.cluster.sockets, NAME)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        url(&self.cluster.sockets, NAME)
    }

    /// Keeps copies in these places from now on, and waits until a commit is on one of them when it
    /// is acknowledged, or for so long. A base backup is renewed after so many bytes of WAL.
    pub async fn keep_copies(
        &self,
        places: Vec<Place>,
        renew_after: u64,
        patience: Duration,
    ) -> Protection {
        let keep = || copies::Copies::keep(&self.cluster, places, renew_after);
        self.copies.get_or_init(keep).settled(patience).await
    }

    /// Stops it within a named time, its copies first, the lock last.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        if let Some(copies) = self.copies.take() {
            copies.stop().await;
        }
        self.stop.cancel();
        (&mut self.watcher)
            .await
            .unwrap_or_else(|error| Err(PostgresError::Watcher(error.to_string())))?;
        // Empty now, and the next start makes another. One that stays harms nobody.
        let _ = std::fs::remove_dir(&self.cluster.sockets);
        Ok(())
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How to connect to the server that another process runs below `dir`: for administration.
pub fn url_of_running(dir: &Path) -> Result<String, PostgresError> {
    let home = dir.join("postgres");
    let sockets = sockets::recorded(&home)?
        .filter(|sockets| sockets.join(sockets::file_name()).exists())
        .ok_or_else(|| PostgresError::NotRunning { dir: dir.to_owned() })?;
    Ok(url(&sockets, NAME))
}

fn make_home(dir: &Path) -> Result<PathBuf, PostgresError> {
    let home = dir.join("postgres");
    std::fs::create_dir_all(&home).at("create", &home)?;
    // The database account passes through it, and nobody needs to list it.
    set_mode(&home, 0o711)?;
    home.canonicalize().at("resolve", &home)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PostgresError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .at("set the permissions of", path)
}

/// Every field is set, so that no `PG…` variable of the environment is taken.
fn options(sockets: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(sockets)
        .port(PORT)
        .username(NAME)
        .password("")
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .application_name("sixfold")
}

fn url(sockets: &Path, database: &str) -> String {
    let host = percent_encoding::utf8_percent_encode(
        &sockets.to_string_lossy(),
        percent_encoding::NON_ALPHANUMERIC,
    )
    .to_string();
    format!("postgres://{NAME}@localhost:{PORT}/{database}?host={host}&sslmode=disable")
}
