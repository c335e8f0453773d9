//! Real client programs, run against a server with nothing of the machine's own configuration.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::cluster::{ACCESS_KEY, SECRET_KEY, Server};

/// Where `install.sh` put what isn't a Debian package.
///
/// # Panics
/// When it wasn't run.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os("SIXFOLD_CLIENTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME");
        Path::new(&home).join(".cache/sixfold-clients")
    });
    assert!(folder.is_dir(), "no clients in {}: run compat-tests/install.sh", folder.display());
    folder
}

/// One of the programs below `compat-tests/clients`.
pub fn program(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(path)
}

/// Runs a client program to its end; it has an empty home and an empty current directory.
///
/// # Panics
/// When it fails, with everything it printed.
#[track_caller]
pub fn run(server: &Server, name: &str, command: &mut Command) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let bucket = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (home, work) = (scratch.path().join("home"), scratch.path().join("work"));
    std::fs::create_dir(&home).expect("a home");
    std::fs::create_dir(&work).expect("a working folder");
    forget_the_machine(command);
    let started = Instant::now();
    let output = command
        .current_dir(work)
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .env("S3_ENDPOINT", server.endpoint())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("BUCKET", bucket)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}: run compat-tests/install.sh"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = server.log_tail();
    assert!(
        output.status.success(),
        "{name}: {}\n{out}\n{err}\nthe server's log:\n{log}",
        output.status
    );
    println!("{name}: {:.1} s", started.elapsed().as_secs_f32());
}

/// Leaves of the environment only what the test set, and the path.
fn forget_the_machine(command: &mut Command) {
    let set: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).envs(set);
}
