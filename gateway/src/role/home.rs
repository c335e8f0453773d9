//! Where a server's own files are.
//!
//! ```text
//! DIR/                    the only directory, or the first of six and more
//!   node1 … node6/        the drives, when there is one DIR
//!   meta/                 or --meta-dir
//!     postgres/           the managed PostgreSQL
//!     master.key          seals the secrets in the rows; 0600
//!     root.json           the root pair that was made at the first start; 0600
//!     lock                one server per directory
//! ```

use crate::config::StorageConfig;
use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many nodes are made below a single DIR.
const NODES_PER_DIR: usize = 6;

/// The server's own files.
#[derive(Debug)]
pub(super) struct Home {
    /// Where the metadata lives.
    pub(super) meta: PathBuf,
    /// One directory per drive.
    pub(super) drives: Vec<PathBuf>,
    /// Whether nothing was here before.
    pub(super) is_new: bool,
}

impl Home {
    /// Finds the files, and makes the directories at the very first start. Later a missing
    /// drive's directory is a lost drive and is not made anew.
    pub(super) fn open(storage: &StorageConfig) -> anyhow::Result<Self> {
        let Some(first) = storage.dirs.first() else {
            anyhow::bail!(
                "no directory given: name one for the data, as in `sixfold server ./data`"
            );
        };
        let meta = storage.meta_dir.clone().unwrap_or_else(|| first.join("meta"));
        let is_new = !meta.join("master.key").exists();
        let drives = match &storage.dirs[..] {
            [only] => (1..=NODES_PER_DIR).map(|n| only.join(format!("node{n}"))).collect(),
            many => many.to_vec(),
        };
        make(&meta)?;
        if is_new {
            drives.iter().try_for_each(|drive| make(drive))?;
        }
        check_writable(&meta)?;
        Ok(Self { meta, drives, is_new })
    }

    /// The key that seals secrets.
    pub(super) fn master_key(&self) -> PathBuf {
        self.meta.join("master.key")
    }

    /// The root pair, for its owner to read.
    pub(super) fn root_file(&self) -> PathBuf {
        self.meta.join("root.json")
    }
}

fn make(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| mend("make", dir))
}

fn check_writable(dir: &Path) -> anyhow::Result<()> {
    let probe = dir.join(".writable");
    let written = File::create(&probe).and_then(|_| std::fs::remove_file(&probe));
    written.with_context(|| mend("write in", dir))
}

fn mend(action: &str, dir: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!(
        "can't {action} {} as uid {uid}; give the directory to that user (chown {uid} …), or name \
         another one",
        dir.display()
    )
}

/// Writes a file that only we may read, whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let aside = path.with_extension("new");
    let written = (|| {
        let _ = std::fs::remove_file(&aside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    })();
    written.with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Home, write_private};
    use crate::config::StorageConfig;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn storage(dirs: Vec<PathBuf>) -> StorageConfig {
        StorageConfig { dirs, meta_dir: None, zone: None }
    }

    #[test]
    fn a_lost_drive_is_not_made_anew() {
        let temporary = tempfile::tempdir().unwrap();
        let storage = storage(vec![temporary.path().join("data")]);
        let home = Home::open(&storage).unwrap();
        assert!(home.is_new && home.drives.len() == 6);
        assert!(home.drives.iter().all(|drive| drive.is_dir()));
        std::fs::write(home.master_key(), "").unwrap();
        std::fs::remove_dir(&home.drives[2]).unwrap();
        let home = Home::open(&storage).unwrap();
        assert!(!home.is_new && !home.drives[2].exists());
    }

    #[test]
    fn private_files_are_private() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("root.json");
        write_private(&path, "a").unwrap();
        write_private(&path, "b").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
