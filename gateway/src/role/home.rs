//! Where a server's own files are.
//!
//! ```text
//! DIR/                    the only directory, or the first of six and more
//!   node1 … node6/        the drives, when there is one DIR
//!   journal/              what is not in them yet, then; gone after a clean stop
//!   meta/                 or --meta-dir
//!     postgres/           the managed PostgreSQL
//!     master.key          seals the secrets in the rows; 0600
//!     root.json           the root pair that was made at the first start; 0600
//!     lock                one server per directory
//!   meta-copy/            on two other directories: a copy of the metadata, see `postgres::copies`
//!   meta.path             with --meta-dir: where that is, for administration by --dir DIR
//! ```

use crate::config::StorageConfig;
use crate::postgres::DirectoryLock;
use anyhow::Context;
use sixfold_node::Store;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How many nodes are made below a single DIR.
const NODES_PER_DIR: usize = 6;

/// Any of these says that a server has been here.
const SIGNS: [&str; 3] = ["master.key", "postgres", "lock"];

/// The note in the first directory.
const NOTE: &str = "meta.path";

/// The server's own files.
#[derive(Debug)]
pub(super) struct Home {
    /// The only directory, or the first one.
    first: PathBuf,
    /// Where the metadata lives.
    pub(super) meta: PathBuf,
    /// One directory per drive.
    pub(super) drives: Vec<PathBuf>,
    /// Where drives that share a directory keep their journal.
    pub(super) journal: Option<PathBuf>,
    /// Whether nothing was here before.
    pub(super) is_new: bool,
}

impl Home {
    /// Finds the files, and makes the directories at the very first start. Later a missing
    /// drive's directory is a lost drive and is not made anew.
    pub(super) fn open(storage: &StorageConfig) -> anyhow::Result<Self> {
        let (Some(first), Some(meta)) = (storage.dirs.first(), meta(storage)) else {
            anyhow::bail!(
                "no directory given: name one for the data, as in `sixfold server ./data`"
            );
        };
        let is_new = !has_signs(&meta);
        let drives = drives(storage);
        let journal = (storage.dirs.len() == 1).then(|| first.join("journal"));
        make(&meta)?;
        if is_new {
            drives.iter().try_for_each(|drive| make(drive))?;
        }
        check_writable(&meta)?;
        Ok(Self { first: first.clone(), meta, drives, journal, is_new })
    }

    /// Refuses when another server runs on the directory, before anything is made.
    pub(super) fn check_free(storage: &StorageConfig) -> anyhow::Result<()> {
        let Some(meta) = meta(storage) else { return Ok(()) };
        DirectoryLock::check(&meta.join("postgres"))?;
        Ok(DirectoryLock::check(&meta)?)
    }

    /// Notes in the first directory where the metadata is, when that is elsewhere. To be called
    /// when the drives are open: nothing is written to what is below a missing mount.
    pub(super) fn leave_note(&self) -> anyhow::Result<()> {
        let note = self.first.join(NOTE);
        if self.meta == self.first.join("meta") {
            let _ = std::fs::remove_file(&note);
            return Ok(());
        }
        let is_ours = self.drives.len() > 1 && self.drives[0].parent() == Some(&self.first)
            || Store::is_drive(&self.first);
        if !is_ours {
            return Ok(());
        }
        let meta = self.meta.canonicalize().with_context(|| mend("find", &self.meta))?;
        let text = format!("{}\n", meta.display());
        if std::fs::read_to_string(&note).is_ok_and(|old| old == text) {
            return Ok(());
        }
        std::fs::write(&note, text).with_context(|| mend("write", &note))
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

/// Where the metadata lives; none without any directory. When it is not named it is below the
/// directory that has it, whatever place that has on the command line today, and below the first
/// one at the very first start.
pub(super) fn meta(storage: &StorageConfig) -> Option<PathBuf> {
    let below = || storage.dirs.iter().map(|dir| dir.join("meta"));
    let found = || below().find(|meta| has_signs(meta)).or_else(|| below().next());
    storage.meta_dir.clone().or_else(found)
}

fn has_signs(meta: &Path) -> bool {
    SIGNS.iter().any(|name| meta.join(name).exists())
}

/// One directory per drive.
pub(super) fn drives(storage: &StorageConfig) -> Vec<PathBuf> {
    match &storage.dirs[..] {
        [only] => (1..=NODES_PER_DIR).map(|n| only.join(format!("node{n}"))).collect(),
        many => many.to_vec(),
    }
}

/// The metadata's directory of the server whose first directory, or --meta-dir, this is.
pub(super) fn find_meta(dir: &Path) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(dir.is_dir(), "--dir {}: there is no such directory", dir.display());
    let noted = std::fs::read_to_string(dir.join(NOTE)).ok();
    let noted = noted.map(|text| PathBuf::from(text.trim_end_matches('\n')));
    let candidates = noted.into_iter().chain([dir.join("meta"), dir.to_owned()]);
    candidates.into_iter().find(|meta| has_signs(meta)).with_context(|| {
        format!(
            "--dir {}: no sixfold server has its metadata there; name the first directory given \
             to `sixfold server`, or its --meta-dir",
            dir.display()
        )
    })
}

/// Makes a directory with those above it. What root makes can be passed by others whatever the
/// umask is: PostgreSQL runs as another account.
pub(super) fn make(dir: &Path) -> anyhow::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    std::fs::create_dir_all(dir).with_context(|| mend("make", dir))?;
    if rustix::process::geteuid().is_root() {
        let passable = Permissions::from_mode(0o711);
        for dir in missing.into_iter().filter(|dir| !dir.as_os_str().is_empty()) {
            let opened = std::fs::set_permissions(dir, passable.clone());
            opened.with_context(|| mend("open to others", dir))?;
        }
    }
    Ok(())
}

fn check_writable(dir: &Path) -> anyhow::Result<()> {
    let probe = dir.join(".writable");
    let written = File::create(&probe).and_then(|_| std::fs::remove_file(&probe));
    written.with_context(|| mend("write in", dir))
}

fn mend(action: &str, dir: &Path) -> String {
    let uid = rustix::process::geteuid().as_raw();
    if uid == 0 {
        return format!(
            "can't {action} {} even as root; see what is there and how it is mounted, or name \
             another one",
            dir.display()
        );
    }
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
    use super::{Home, find_meta, write_private};
    use crate::config::StorageConfig;
    use crate::postgres::CopyPolicy;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn storage(dirs: Vec<PathBuf>) -> StorageConfig {
        StorageConfig {
            dirs,
            meta_dir: None,
            meta_copies: CopyPolicy::Auto,
            meta_copies_wal_mib: 1024,
            zone: None,
        }
    }

    #[test]
    fn the_metadata_is_found_below_any_directory() {
        let parent = tempfile::tempdir().unwrap();
        let dirs: Vec<_> = (1..=6).map(|n| parent.path().join(format!("d{n}"))).collect();
        let first = Home::open(&storage(dirs.clone())).unwrap();
        assert!(first.is_new && first.meta == dirs[0].join("meta"));
        std::fs::create_dir(first.meta.join("postgres")).unwrap();
        let mut exchanged = dirs.clone();
        exchanged.swap(0, 3);
        let second = Home::open(&storage(exchanged)).unwrap();
        assert!(!second.is_new);
        assert_eq!(second.meta, first.meta);
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
    fn a_lost_master_key_does_not_make_a_place_new() {
        let temporary = tempfile::tempdir().unwrap();
        let storage = storage(vec![temporary.path().join("data")]);
        let home = Home::open(&storage).unwrap();
        std::fs::create_dir(home.meta.join("postgres")).unwrap();
        std::fs::remove_dir(&home.drives[5]).unwrap();
        let home = Home::open(&storage).unwrap();
        assert!(!home.is_new && !home.drives[5].exists());
    }

    #[test]
    fn the_metadata_is_found_by_the_first_directory_or_by_its_own() {
        let temporary = tempfile::tempdir().unwrap();
        let data = temporary.path().join("data");
        let error = find_meta(&data).unwrap_err().to_string();
        assert!(error.contains("no such directory"), "{error}");
        std::fs::create_dir(&data).unwrap();
        let error = find_meta(&data).unwrap_err().to_string();
        assert!(error.contains("--meta-dir"), "{error}");
        let meta_dir = Some(temporary.path().join("meta"));
        let home = Home::open(&StorageConfig { meta_dir, ..storage(vec![data.clone()]) }).unwrap();
        std::fs::write(home.master_key(), "").unwrap();
        home.leave_note().unwrap();
        assert_eq!(find_meta(&data).unwrap(), home.meta.canonicalize().unwrap());
        assert_eq!(find_meta(&home.meta).unwrap(), home.meta);
        let home = Home::open(&storage(vec![data.clone()])).unwrap();
        std::fs::write(home.master_key(), "").unwrap();
        home.leave_note().unwrap();
        assert_eq!(find_meta(&data).unwrap(), data.join("meta"), "an old note is taken away");
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
