//! Segments.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// x
pub(super) struct Segments {
    folder: PathBuf,
}
impl Segments {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
    pub(super) fn file(&self, number: u32) -> io::Result<Arc<File>> {
        Ok(Arc::new(File::open(self.folder.join(format!("{number:08x}")))?))
    }
}
