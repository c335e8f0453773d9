//! The checked-in gRPC code is what `node.proto` says.
//!
//! To write it anew: `SIXFOLD_REGENERATE=1 cargo test --ignore-rust-version -p sixfold-proto
//! --test generated`. No protoc is needed, neither here nor to build.
#![allow(clippy::unwrap_used)]

use std::path::Path;

const FILE: &str = "sixfold.node.v1.rs";

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile([root.join("node.proto")], [root]).unwrap();
    let out = tempfile::tempdir().unwrap();
    // `bytes` fields become `Bytes`: a received cell is a slice of the frame it came in.
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(files)
        .unwrap();
    std::fs::read_to_string(out.path().join(FILE)).unwrap()
}

#[test]
fn the_generated_code_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen").join(FILE);
    let fresh = generate();
    if std::env::var_os("SIXFOLD_REGENERATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "{FILE} is stale: run this test with SIXFOLD_REGENERATE=1");
}
