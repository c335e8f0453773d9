//! The account that the database runs as: ours, or the least privileged one when we are root
//! (PostgreSQL refuses to run as root).

use super::binaries::Binaries;
use super::error::{IoContext, PostgresError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Tried in this order by root: the packages' own account, then the one without any rights.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Who runs the database.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
    /// Whether that is another account than ours.
    is_other: bool,
}

impl Account {
    /// The owner of existing data; else ourselves, or an unprivileged account for root.
    pub(super) async fn choose(data: &Path) -> Result<Self, PostgresError> {
        let our_uid = rustix::process::geteuid().as_raw();
        let owner = match std::fs::symlink_metadata(data) {
            Ok(metadata) => Some((metadata.uid(), metadata.gid())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).at("look at", data),
        };
        match owner {
            Some((0, _)) => Err(no_account(format!(
                "{} belongs to root, and PostgreSQL refuses to run as root: \
                 chown -R postgres {0}",
                data.display()
            ))),
            Some((uid, gid)) if our_uid == 0 => Self::named(uid, gid, true).await,
            Some((uid, _)) if uid != our_uid => Err(no_account(format!(
                "{} belongs to uid {uid} and this is uid {our_uid}: run as that user or as root",
                data.display()
            ))),
            None if our_uid == 0 => Self::unprivileged().await,
            Some(_) | None => {
                Self::named(our_uid, rustix::process::getegid().as_raw(), false).await
            }
        }
    }

    async fn unprivileged() -> Result<Self, PostgresError> {
        for name in UNPRIVILEGED {
            let uid = id("-u", name).await.and_then(|id| id.parse().ok());
            let gid = id("-g", name).await.and_then(|id| id.parse().ok());
            if let (Some(uid @ 1..), Some(gid)) = (uid, gid) {
                return Ok(Self { uid, gid, name: name.to_owned(), is_other: true });
            }
        }
        Err(no_account(
            "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: \
             useradd --system postgres"
                .to_owned(),
        ))
    }

    async fn named(uid: u32, gid: u32, is_other: bool) -> Result<Self, PostgresError> {
        let name = id("-un", &uid.to_string()).await.ok_or_else(|| {
            no_account(format!(
                "uid {uid} has no name and PostgreSQL needs one: add it to /etc/passwd, \
                 run as a user that is there, or set DATABASE_URL"
            ))
        })?;
        Ok(Self { uid, gid, name, is_other })
    }

    /// A command that runs as this account, with an empty environment and without our
    /// supplementary groups, so that nothing of ours reaches it unasked.
    pub(super) fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        if self.is_other {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a file or directory to this account.
    pub(super) fn give(&self, path: &Path) -> Result<(), PostgresError> {
        if !self.is_other {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).at("chown", path)
    }

    /// Tries for real whether the account can pass to `home`, and names what stops it.
    pub(super) async fn check_reach(
        &self,
        home: &Path,
        binaries: &Binaries,
    ) -> Result<(), PostgresError> {
        let mut command = self.command(binaries.program("postgres"));
        command.arg("--version").current_dir(home).stdout(Stdio::null()).stderr(Stdio::null());
        match command.status().await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(PostgresError::Unreachable {
                    component: self.first_closed(home).unwrap_or_else(|| home.to_owned()),
                    account: self.name.clone(),
                    uid: self.uid,
                })
            }
            Err(error) => Err(error).at("run postgres below", home),
        }
    }

    /// The topmost directory on the way whose mode keeps the account out.
    fn first_closed(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter().find(|dir| !self.may_pass(dir)).map(Path::to_owned)
    }

    fn may_pass(&self, dir: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(dir) else { return false };
        let mode = metadata.mode();
        if metadata.uid() == self.uid {
            return mode & 0o100 != 0;
        }
        if metadata.gid() == self.gid {
            return mode & 0o010 != 0;
        }
        mode & 0o001 != 0
    }
}

fn no_account(why: String) -> PostgresError {
    PostgresError::NoAccount { why }
}

/// Asks the system's account database, whatever is behind it.
async fn id(what: &str, whom: &str) -> Option<String> {
    let output = Command::new("id").args([what, whom]).output().await.ok()?;
    let answer = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !answer.is_empty()).then_some(answer)
}
