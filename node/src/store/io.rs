//! The system calls that change a drive, each behind a hook on which tests hang failures and
//! crashes.

use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

/// A step that changes the drive, or makes ready for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Creating a file.
    Create,
    /// Writing bytes.
    Write,
    /// Syncing a file's bytes.
    SyncData,
    /// Opening a directory whose names are going to change, to sync it then.
    OpenDirectory,
    /// Giving a file its final name.
    Rename,
    /// Syncing a directory's names.
    SyncDirectory,
    /// Removing a file.
    Remove,
    /// Cutting a file's end off.
    Truncate,
}

/// Called before each step; an error stands for the step's failure.
pub type Hook = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// The way to the drive.
#[derive(Clone, Default)]
pub(super) struct Io {
    hook: Option<Hook>,
}

/// Memory is forgotten in pages of this size or a part of it.
const PAGE_BYTES: u64 = 64 * 1024;

/// The most slices of one vectored write: the kernel's `IOV_MAX`.
const MAX_SLICES: usize = 1024;

impl Io {
    pub(super) fn new(hook: Option<Hook>) -> Self {
        Self { hook }
    }

    fn before(&self, step: Step) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(step))
    }

    /// Creates a file that must not be there yet, readable and writable.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.before(Step::Create)?;
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Writes all slices at `offset`.
    pub(super) fn write_all_at(
        &self,
        file: &File,
        mut slices: &mut [IoSlice<'_>],
        mut offset: u64,
    ) -> io::Result<()> {
        self.before(Step::Write)?;
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let some = &slices[..slices.len().min(MAX_SLICES)];
            match rustix::io::pwritev(file, some, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Makes a file's bytes durable.
    pub(super) fn sync_data(&self, file: &File) -> io::Result<()> {
        self.before(Step::SyncData)?;
        file.sync_data()
    }

    /// Opens a directory for [`Io::sync_directory`]. That comes before its names are changed: a
    /// process that has no descriptor left has then changed nothing, and it is not the drive that
    /// failed.
    pub(super) fn open_directory(&self, directory: &Path) -> io::Result<File> {
        self.before(Step::OpenDirectory)?;
        File::open(directory)
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_directory(&self, directory: &File) -> io::Result<()> {
        self.before(Step::SyncDirectory)?;
        directory.sync_all()
    }

    /// Makes everything durable that the file system of `directory` holds.
    pub(super) fn sync_file_system(&self, directory: &Path) -> io::Result<()> {
        self.before(Step::SyncDirectory)?;
        Ok(rustix::fs::syncfs(File::open(directory)?)?)
    }

    /// Gives a file its name, in the place of whatever had it.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Step::Rename)?;
        std::fs::rename(from, to)
    }

    /// Removes a file; that it is gone already is no error.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(Step::Remove)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Cuts a file to `length` bytes.
    pub(super) fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.before(Step::Truncate)?;
        file.set_len(length)
    }
}

/// Whether an error means "no room".
pub(super) fn is_no_space(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::NOSPC, Errno::DQUOT].iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// Reads `length` bytes at `offset` if they are in memory; never waits for the drive.
pub(super) fn read_cached(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let read = preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT).ok()?;
    (read == length).then_some(bytes)
}

/// Asks the system to keep these bytes of a file in memory no longer. It may keep them: what is
/// not written yet, and pages that others share.
pub(super) fn forget_cached(file: &File, offset: u64, length: u64) {
    // A hint: where it isn't understood, the next read comes from memory. Of pages that are not
    // named as a whole the system forgets nothing.
    let start = offset / PAGE_BYTES * PAGE_BYTES;
    let length = (offset + length).next_multiple_of(PAGE_BYTES) - start;
    let _ = rustix::fs::fadvise(file, start, NonZeroU64::new(length), Advice::DontNeed);
}

/// Reads up to `length` bytes at `offset`; fewer only where the file ends.
pub(super) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        // The spare capacity may exceed what was asked; the surplus is cut below.
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}
