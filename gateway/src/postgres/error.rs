//! Why a managed PostgreSQL could not be started or stopped: each message says the mend.

use std::io;
use std::path::{Path, PathBuf};

/// Why a managed PostgreSQL could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable programs.
    #[error(
        "no PostgreSQL 15 to 18 found ({seen}): install it (Debian: apt install postgresql), \
         or name its bin directory (SIXFOLD_POSTGRES_BIN), or set DATABASE_URL"
    )]
    NoBinaries {
        /// What was found instead.
        seen: String,
    },
    /// The data want programs of their own version.
    #[error(
        "the database was made by PostgreSQL {major}, whose programs are not here ({seen}): install \
         them (Debian: apt install postgresql-{major}) or name their bin directory \
         (SIXFOLD_POSTGRES_BIN), or bring the database to the new version as \
         docs/postgresql-upgrade.md says"
    )]
    OtherMajor {
        /// The version that made the data.
        major: u32,
        /// What was found instead.
        seen: String,
    },
    /// Another Sixfold holds the directory.
    #[error("{dir} is in use by another sixfold (pid {pid}): stop it or choose another directory")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other's process id, as it noted it.
        pid: String,
    },
    /// The account that the database runs as can't pass a directory on the way.
    #[error(
        "the database runs as {account} (uid {uid}) and can't pass {component}: \
         chmod o+x {component}, or choose another directory (--meta-dir for the database; \
         SIXFOLD_META_COPIES=off keeps its copies away)"
    )]
    Unreachable {
        /// The directory that stops it.
        component: PathBuf,
        /// The account's name.
        account: String,
        /// Its user id.
        uid: u32,
    },
    /// No account can be named for the database.
    #[error("no account for the database: {why}")]
    NoAccount {
        /// What is missing, and the mend.
        why: String,
    },
    /// The path of the socket would not fit.
    #[error(
        "the socket path {path} is longer than {limit} bytes: choose a shorter runtime directory"
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// What fits.
        limit: usize,
    },
    /// Another PostgreSQL may be running on the data directory.
    #[error(
        "{file} names the running process {pid}, which is a PostgreSQL but not recognisably ours: \
         stop it, or remove the file if it serves another directory"
    )]
    ForeignProcess {
        /// The file `postmaster.pid`.
        file: PathBuf,
        /// The process.
        pid: i32,
    },
    /// `initdb` or the server failed.
    #[error("{program} failed ({why}): {output}")]
    Failed {
        /// Which program.
        program: &'static str,
        /// Its status, or what was waited for.
        why: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// A copy's place holds the copy of another database.
    #[error(
        "{dir} holds a copy of another database, perhaps all that is left of it: nothing is copied \
         there. Move it away, or remove it when it is not needed, and restart"
    )]
    OtherCopy {
        /// The copy's directory.
        dir: PathBuf,
    },
    /// What a copy had received is not there any more, or not all of it.
    #[error(
        "what it had received is gone from {path}: it is begun anew. Nobody but Sixfold may remove \
         anything there"
    )]
    CopyGone {
        /// The generation that was received.
        path: PathBuf,
    },
    /// The directory of a copy is not on the drive that it was on.
    #[error("{dir} is not on the drive that it was on when the server started: mount that again")]
    OtherDevice {
        /// The DIR.
        dir: PathBuf,
    },
    /// The programs that receive the log are not installed.
    #[error(
        "{program} is not there, and copies of the metadata need it: install PostgreSQL's client \
         programs of the same version (Debian: apt install postgresql-client), or set \
         SIXFOLD_META_COPIES=off"
    )]
    NoReceiver {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// A recovery would stand where a database is.
    #[error(
        "there is a database in {data}, and --recover-meta makes none in its place: start without \
         the flag. If it is broken, move it away first (mv {data} {data}.broken) and keep it until \
         you have found everything again"
    )]
    DatabaseThere {
        /// Its directory.
        data: PathBuf,
    },
    /// Nothing to recover from.
    #[error(
        "no complete copy of the metadata is below {}: name the DIRs of the server that are left, \
         mounted, or restore a backup of your own", shown(.dirs)
    )]
    NoCopy {
        /// Where it was looked.
        dirs: Vec<PathBuf>,
    },
    /// There are copies, and none of them is good.
    #[error(
        "none of the copies of the metadata can be used; the last that was tried, below {dir}: \
         {source}. Name the DIRs of other copies too, or see \
         docs/metadata-recovery.md#no-copy-can-be-used"
    )]
    NoGoodCopy {
        /// The DIR of the last one.
        dir: PathBuf,
        /// What is wrong with it.
        source: Box<PostgresError>,
    },
    /// The copies are not all of one database.
    #[error(
        "{one} and {other} hold copies of different databases: name only the DIRs of the one that \
         you mean"
    )]
    TwoDatabases {
        /// The DIR of one.
        one: PathBuf,
        /// The DIR of another.
        other: PathBuf,
    },
    /// Nothing runs below the directory.
    #[error("no sixfold server runs on {dir}: start it, or set DATABASE_URL")]
    NotRunning {
        /// The directory.
        dir: PathBuf,
    },
    /// The start was given up because it was asked to; nothing runs.
    #[error("the start of the database was interrupted")]
    Interrupted,
    /// A file or directory could not be used.
    #[error("can't {action} {path} as uid {uid}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// As whom.
        uid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The database answered with an error.
    #[error("the database refused: {0}")]
    Database(#[from] sqlx::Error),
    /// The task that watches the server ended without an answer: a bug.
    #[error("the database's watcher failed: {0}")]
    Watcher(String),
}

fn shown(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Says what was tried, on what, as whom.
pub(super) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PostgresError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, PostgresError> {
        self.map_err(|source| PostgresError::Io {
            action,
            path: path.to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            source: source.into(),
        })
    }
}
