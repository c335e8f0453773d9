//! Where the programs under test are.
//!
//! `SIXFOLD_BIN_DIR` names the folder of `sixfold` and `sixfold-node`; without it they are the ones
//! beside the test's own binary, built once per test run so that no test meets a stale program.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of `sixfold` or `sixfold-node`.
///
/// # Panics
/// When it can't be built.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(folder).join(name);
    assert!(path.is_file(), "no {} there", path.display());
    path
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SIXFOLD_BIN_DIR") {
        return folder.into();
    }
    let own = std::env::current_exe().expect("the test's own path");
    // <target>/<profile>/deps/<test>
    let folder = own.ancestors().nth(2).expect("a target folder").to_owned();
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--ignore-rust-version",
        "-p",
        "sixfold",
        "-p",
        "sixfold-node",
    ]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    build.env("CARGO_TARGET_DIR", folder.parent().expect("a target folder"));
    if folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo").success(), "cargo build failed");
    folder
}
