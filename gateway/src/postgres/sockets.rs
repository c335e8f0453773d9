//! The private directory of the server's socket. A socket's path holds little more than a
//! hundred bytes, so it can't stand below any data directory; its name can't be guessed, its
//! mode is 0700, and who owns it is checked before it is used again.

use super::account::Account;
use super::error::{IoContext, PostgresError};
use super::{PORT, set_mode};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What fits into a `sun_path` with its final NUL on every system (Linux 107, macOS 103).
const SOCKET_PATH_LIMIT: usize = 103;

/// The socket's file in its directory.
pub(super) fn file_name() -> String {
    format!(".s.PGSQL.{PORT}")
}

/// The directory noted at an earlier start if it is still there and still ours, else a new one.
pub(super) fn prepare(
    home: &Path,
    runtime_dir: Option<&Path>,
    account: &Account,
) -> Result<PathBuf, PostgresError> {
    if let Some(dir) = recorded(home)?
        && runtime_dir.is_none_or(|runtime| dir.parent() == Some(runtime))
        && is_private(&dir, account)
    {
        return Ok(dir);
    }
    let dir = runtime_dir.map_or_else(usual_runtime_dir, Path::to_owned).join(random_name());
    let socket = dir.join(file_name());
    if socket.as_os_str().len() > SOCKET_PATH_LIMIT {
        return Err(PostgresError::PathTooLong { path: socket, limit: SOCKET_PATH_LIMIT });
    }
    std::fs::DirBuilder::new().mode(0o700).create(&dir).at("create", &dir)?;
    account.give(&dir)?;
    record(home, &dir)?;
    Ok(dir)
}

/// The directory noted at the last start.
pub(super) fn recorded(home: &Path) -> Result<Option<PathBuf>, PostgresError> {
    let file = home.join("socket");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(PathBuf::from(text.trim_end_matches('\n')))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &file),
    }
}

/// Removes what a killed server left; its lock file would make a new one refuse when the
/// process id in it has been given to somebody else.
pub(super) fn clear(dir: &Path) -> Result<(), PostgresError> {
    for name in [file_name(), format!("{}.lock", file_name())] {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).at("remove", &path);
            }
            _ => {}
        }
    }
    Ok(())
}

fn record(home: &Path, dir: &Path) -> Result<(), PostgresError> {
    let (file, new) = (home.join("socket"), home.join("socket.new"));
    std::fs::write(&new, format!("{}\n", dir.display())).at("write", &new)?;
    set_mode(&new, 0o644)?;
    std::fs::rename(&new, &file).at("write", &file)
}

fn is_private(dir: &Path, account: &Account) -> bool {
    std::fs::symlink_metadata(dir).is_ok_and(|found| {
        found.is_dir() && found.uid() == account.uid && found.mode() & 0o777 == 0o700
    })
}

fn usual_runtime_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() && Path::new("/run").is_dir() {
        return "/run".into();
    }
    "/tmp".into()
}

fn random_name() -> String {
    format!("sixfold-{:016x}", rand::random::<u64>())
}
