//! One process per directory, kept by the kernel: a lock dies with its holder.

use super::error::{IoContext, PostgresError};
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An exclusive lock on a directory's file `lock`, released when dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    /// A child that was forked a moment ago still has the file open until it runs its own program:
    /// closing would leave the lock with it.
    fn drop(&mut self) {
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::debug!("a directory's lock is left to the end of its file: {error}");
        }
    }
}

impl DirectoryLock {
    /// Says who holds it, when somebody does; takes and makes nothing.
    pub fn check(dir: &Path) -> Result<(), PostgresError> {
        let path = dir.join("lock");
        // What keeps us from reading it is said when it is taken.
        let Ok(mut file) = File::open(&path) else { return Ok(()) };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use(dir, &path, &mut file)),
            _ => Ok(()),
        }
    }

    /// Takes it at once or says who holds it.
    pub fn take(dir: &Path) -> Result<Self, PostgresError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(dir, &path, &mut file)),
            Err(error) => return Err(error).at("lock", &path),
        }
        file.set_len(0).at("write", &path)?;
        file.rewind().at("write", &path)?;
        writeln!(file, "{}", std::process::id()).at("write", &path)?;
        Ok(Self { file })
    }
}

fn in_use(dir: &Path, path: &Path, file: &mut File) -> PostgresError {
    let mut pid = String::new();
    match file.read_to_string(&mut pid).at("read", path) {
        Ok(_) => PostgresError::InUse { dir: dir.to_owned(), pid: pid.trim().into() },
        Err(error) => error,
    }
}
