//! The directory of a drive: its identity, its lock, its folders, its room.
//!
//! ```text
//! DIR/sixfold-drive   "sixfold drive", the directory's version, the drive's id
//! DIR/lock            held by the one process that uses the drive; has its number
//! DIR/cluster         the id of the cluster whose chunks are here
//! DIR/copies          no copy number above the one in here was ever given
//! DIR/chunks/00 … ff  large chunks, a file each, see `names`
//! DIR/segments/       small chunks
//! DIR/marks           what is remembered of the database's history, see `history`
//! DIR/scrub           how far the scrub is, see `notes`
//! DIR/unfinished/     files that are being written; emptied at start
//! DIR/needs-journal   only while the last chunks are in a journal, see `journal`
//! ```

use super::format::{DriveKey, VERSION};
use super::io::Io;
use super::{OpenError, lock};
use rustix::fs::FlockOperation;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

const ID_FILE: &str = "sixfold-drive";
const ID_TITLE: &str = "sixfold drive";
const CLUSTER_FILE: &str = "cluster";
const LOCK_FILE: &str = "lock";

/// How many folders the large chunks are spread over, by the last byte of their extent's id.
pub(super) const CHUNK_FOLDERS: usize = 256;

/// For how long the file system is not asked again before a put. A drive that fills up meanwhile
/// fails in the write itself, which is handled as well.
const ROOM_HOLDS: Duration = Duration::from_millis(100);

/// Size and free bytes of a file system.
pub(super) type Room = (u64, u64);

/// An opened, locked drive.
pub(super) struct Drive {
    root: PathBuf,
    id: Uuid,
    device: u64,
    /// Whose chunks are here, once that is known.
    cluster: OnceLock<Uuid>,
    /// Size and free bytes, and when they were asked for.
    seen_room: Mutex<Option<(Instant, Room)>>,
    /// Held while the file system is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Holds the lock for as long as the drive is open.
    _lock: File,
}

/// Whether a directory carries a drive's identity.
pub(super) fn has_identity(root: &Path) -> bool {
    root.join(ID_FILE).is_file()
}

/// Whether a directory carries a drive's identity and that of a cluster.
pub(super) fn is_taken(root: &Path) -> bool {
    has_identity(root) && root.join(CLUSTER_FILE).is_file()
}

impl Drive {
    /// Locks `root` and reads its identity, or gives it one when it is new.
    pub(super) fn open(root: &Path, io: &Io) -> Result<Self, OpenError> {
        let fail = |source| OpenError::io(root, source);
        fs::create_dir_all(root).map_err(fail)?;
        let lock = take_lock(root)?;
        let id = match fs::read_to_string(root.join(ID_FILE)) {
            Ok(text) => parse_id(root, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(root, io)?,
            Err(error) => return Err(fail(error)),
        };
        let device = fs::metadata(root).map_err(fail)?.dev();
        let drive = Self {
            root: root.to_owned(),
            id,
            device,
            cluster: OnceLock::new(),
            seen_room: Mutex::default(),
            asking: Arc::default(),
            _lock: lock,
        };
        drive.make_folders(io).map_err(fail)?;
        Ok(drive)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// The seed of this drive's headers.
    pub(super) fn key(&self) -> DriveKey {
        DriveKey::new(self.id)
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// Notes whose chunks are here, or refuses another cluster: its rows know none of them, and
    /// its sweep would delete them all.
    pub(super) fn join(&self, cluster: Uuid, io: &Io) -> Result<(), OpenError> {
        self.check_cluster(cluster, io)?;
        self.cluster.get_or_init(|| cluster);
        Ok(())
    }

    /// Whose chunks are here, if it has joined.
    pub(super) fn cluster(&self) -> Option<Uuid> {
        self.cluster.get().copied()
    }

    fn check_cluster(&self, cluster: Uuid, io: &Io) -> Result<(), OpenError> {
        let fail = |source| OpenError::io(&self.root, source);
        let found = match fs::read_to_string(self.root.join(CLUSTER_FILE)) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!("{cluster}\n");
                return replace_file(&self.root, CLUSTER_FILE, text.as_bytes(), io).map_err(fail);
            }
            Err(error) => return Err(fail(error)),
        };
        if found == cluster.to_string() {
            return Ok(());
        }
        Err(OpenError::OtherCluster { path: self.root.clone(), found, asked: cluster })
    }

    /// The folder of large chunks number `folder`.
    pub(super) fn chunk_folder(&self, folder: u8) -> PathBuf {
        self.root.join("chunks").join(format!("{folder:02x}"))
    }

    /// The folder of the segments.
    pub(super) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    /// Where a file grows that has no final name yet.
    pub(super) fn unfinished(&self, number: u64) -> PathBuf {
        self.root.join("unfinished").join(format!("{number:x}"))
    }

    /// Size and free bytes of the file system, which is asked. Blocks.
    pub(super) fn room(&self) -> io::Result<Room> {
        let stat = rustix::fs::statvfs(&self.root)?;
        let room = (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize);
        *lock(&self.seen_room) = Some((Instant::now(), room));
        Ok(room)
    }

    /// Size and free bytes as they were a moment ago, if they were asked for then.
    pub(super) fn recent_room(&self) -> Option<Room> {
        let (at, room) = (*lock(&self.seen_room))?;
        (at.elapsed() < ROOM_HOLDS).then_some(room)
    }

    /// The turn to ask: a drive that hangs holds one thread, not one for each caller.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.asking).lock_owned().await
    }

    /// Makes what folders are missing and empties `unfinished`. Whoever opens the drive syncs
    /// its file system next.
    fn make_folders(&self, io: &Io) -> io::Result<()> {
        let chunks = self.root.join("chunks");
        for folder in [&chunks, &self.segments(), &self.root.join("unfinished")] {
            fs::create_dir_all(folder)?;
        }
        for folder in 0..=u8::MAX {
            match fs::create_dir(self.chunk_folder(folder)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        for file in fs::read_dir(self.root.join("unfinished"))? {
            io.remove(&file?.path())?;
        }
        Ok(())
    }
}

fn take_lock(root: &Path) -> Result<File, OpenError> {
    let fail = |source| OpenError::io(root, source);
    let path = root.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(fail)?;
        let holder = holder.trim().to_owned();
        return Err(OpenError::Locked { path: root.to_owned(), holder });
    }
    file.set_len(0).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

/// Gives a new drive its identity. A directory with chunks but no identity is no new drive.
fn create(root: &Path, io: &Io) -> Result<Uuid, OpenError> {
    for folder in ["chunks", "segments"] {
        let used = fs::read_dir(root.join(folder)).is_ok_and(|mut files| files.next().is_some());
        if used {
            return Err(OpenError::NoIdentity { path: root.to_owned() });
        }
    }
    let id = Uuid::new_v4();
    let text = format!("{ID_TITLE}\nversion {VERSION}\nid {id}\n");
    replace_file(root, ID_FILE, text.as_bytes(), io).map_err(|e| OpenError::io(root, e))?;
    Ok(id)
}

fn parse_id(root: &Path, text: &str) -> Result<Uuid, OpenError> {
    let unreadable = || OpenError::NoIdentity { path: root.to_owned() };
    let mut lines = text.lines();
    if lines.next() != Some(ID_TITLE) {
        return Err(unreadable());
    }
    let version = lines.next().and_then(|line| line.strip_prefix("version "));
    let version: u16 = version.and_then(|v| v.parse().ok()).ok_or_else(unreadable)?;
    if version != VERSION {
        return Err(OpenError::Version { path: root.to_owned(), found: version, known: VERSION });
    }
    let id = lines.next().and_then(|line| line.strip_prefix("id "));
    id.and_then(|id| id.parse().ok()).ok_or_else(unreadable)
}

/// Writes a small file as a whole: beside, synced, then named, then the directory synced.
pub(super) fn replace_file(root: &Path, name: &str, bytes: &[u8], io: &Io) -> io::Result<()> {
    let beside = root.join(format!("{name}.new"));
    let directory = io.open_directory(root)?;
    io.remove(&beside)?;
    let file = io.create(&beside)?;
    io.write_all_at(&file, &mut [IoSlice::new(bytes)], 0)?;
    io.sync_data(&file)?;
    io.rename(&beside, &root.join(name))?;
    io.sync_directory(&directory)
}
