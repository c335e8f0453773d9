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
    _file: File,
}

impl DirectoryLock {
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
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).at("read", &path)?;
                return Err(PostgresError::InUse { dir: dir.to_owned(), pid: pid.trim().into() });
            }
            Err(error) => return Err(error).at("lock", &path),
        }
        file.set_len(0).at("write", &path)?;
        file.rewind().at("write", &path)?;
        writeln!(file, "{}", std::process::id()).at("write", &path)?;
        Ok(Self { _file: file })
    }
}
