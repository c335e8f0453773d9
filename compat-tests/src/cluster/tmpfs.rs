//! A small file system of its own, to fill a drive quickly. Mounting takes root or `sudo`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many MiB on the folder `path`, for everybody to write.
    ///
    /// # Panics
    /// When it can't be mounted.
    pub fn mount(path: &Path, mib: u64) -> Self {
        Self::try_mount(path, mib).unwrap_or_else(|said| {
            panic!(
                "this test fills a small drive and must mount a tmpfs on {}: run it as root (in a \
                 container: with the capability SYS_ADMIN): {said}",
                path.display()
            )
        })
    }

    /// As [`Tmpfs::mount`], for tests that can do without it.
    ///
    /// # Errors
    /// What `mount` said.
    pub fn try_mount(path: &Path, mib: u64) -> Result<Self, String> {
        let options = format!("size={mib}m,mode=0777");
        let mut mount = as_root("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path);
        let output = mount.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Self { path: path.into() })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still hold a file.
        drop(as_root("umount").arg("--lazy").arg(&self.path).status());
    }
}

fn as_root(program: &str) -> Command {
    let output = Command::new("id").arg("-u").output().expect("id");
    if output.stdout == b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--non-interactive", program]);
    command
}
