//! A log in a file that neither grows nor ages without limit: a full or old file gets the next number
//! (`sixfold.log.1` is the newest ended one) and a new one begins. What is beyond the limits is
//! deleted when that happens.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tracing_subscriber::fmt::MakeWriter;

/// How large and old a log becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// A file ends with the line that brings it to this size.
    pub file_bytes: u64,
    /// How many ended files are kept.
    pub files: u32,
    /// Ended files that were last written before are deleted; a file in use ends after a tenth of
    /// it, so that this holds for lines nearly as well.
    pub keep: Duration,
}

impl Default for FileLimits {
    fn default() -> Self {
        let week = Duration::from_secs(7 * 24 * 3600);
        Self { file_bytes: 100 * 1024 * 1024, files: 10, keep: week }
    }
}

/// Takes whole lines. A cheap handle.
#[derive(Clone, Debug)]
pub struct LogFile(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    limits: FileLimits,
    file: File,
    size_bytes: u64,
    begun: SystemTime,
}

impl LogFile {
    /// Goes on with the file at `path`, or begins it.
    pub fn open(path: &Path, limits: FileLimits) -> io::Result<Self> {
        let file = append(path)?;
        let metadata = file.metadata()?;
        let begun = metadata.created().unwrap_or_else(|_| SystemTime::now());
        let (path, size_bytes) = (path.to_owned(), metadata.len());
        Ok(Self(Arc::new(Mutex::new(Open { path, limits, file, size_bytes, begun }))))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogFile {
    /// Writes a line, or as many as come at once.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut open = self.lock();
        open.write(lines)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().file.flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Open {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_over() {
            // A log that can't be turned over is better long than lost.
            self.turn_over().unwrap_or(());
        }
        self.file.write_all(lines)?;
        self.size_bytes += lines.len() as u64;
        Ok(())
    }

    fn is_over(&self) -> bool {
        let age = self.begun.elapsed().unwrap_or_default();
        self.size_bytes > 0
            && (self.size_bytes >= self.limits.file_bytes || age >= self.limits.keep / 10)
    }

    /// Moves every file on by one number and begins anew.
    fn turn_over(&mut self) -> io::Result<()> {
        self.begun = SystemTime::now();
        for number in (1..=self.limits.files).rev() {
            let (from, to) = (self.numbered(number - 1), self.numbered(number));
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        if self.limits.files == 0 {
            std::fs::remove_file(&self.path)?;
        }
        self.file = append(&self.path)?;
        self.size_bytes = 0;
        self.delete_old();
        Ok(())
    }

    fn delete_old(&self) {
        let numbers = 1..=self.limits.files;
        for path in numbers.map(|number| self.numbered(number)) {
            let written = path.metadata().and_then(|metadata| metadata.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok());
            if age.is_some_and(|age| age >= self.limits.keep) {
                // What can't be deleted now is looked at again the next time.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// The path of an ended file; 0 is the one in use.
    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::{FileLimits, LogFile};
    use std::io::Write;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    fn files(folder: &Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut files = entries
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect::<Vec<_>>();
        files.sort();
        files
    }

    fn file(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn full_files_get_numbers_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limits = FileLimits { file_bytes: 8, files: 2, ..FileLimits::default() };
        let mut log = LogFile::open(&path, limits).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let expected =
            [file("log", "seven\n"), file("log.1", "five\nsix\n"), file("log.2", "three\nfour\n")];
        assert_eq!(files(folder.path()), expected);
        drop(log);
        // Another process goes on.
        let mut log = LogFile::open(&path, limits).unwrap();
        log.write_all(b"8\n").unwrap();
        assert_eq!(files(folder.path())[0], file("log", "seven\n8\n"));
    }

    #[test]
    fn old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limits = FileLimits { file_bytes: 1, files: 5, keep: Duration::from_secs(3600) };
        let mut log = LogFile::open(&path, limits).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        let old = std::fs::File::options().append(true).open(folder.path().join("log.1")).unwrap();
        old.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
        log.write_all(b"three\n").unwrap();
        assert_eq!(files(folder.path()), [file("log", "three\n"), file("log.1", "two\n")]);
    }
}
