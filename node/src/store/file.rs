//! A large chunk in a file of its own: written under no name, synced, named, its folder synced.

use super::Inner;
use super::format::{CHECKSUM_BYTES, Geometry, HEADER_BYTES, Header, Seal, Subject};
use super::index::{Located, Place};
use super::io::is_no_space;
use super::names;
use super::read::{Body, compare};
use super::record::entry;
use sixfold_proto::chunks::{Cell, NodeError};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use std::fs::File;
use std::hash::Hasher;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;
use twox_hash::XxHash3_64;

/// A file that has no final name yet; dropped, it is removed.
struct Unfinished {
    inner: Arc<Inner>,
    path: PathBuf,
    named: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.named
            && let Err(error) = self.inner.io.remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "an unfinished chunk stays behind");
        }
    }
}

/// Writes one chunk's file. Every method blocks.
pub(super) struct FileWriter {
    unfinished: Unfinished,
    file: File,
    name: ChunkName,
    writer: LeaseId,
    copy: CopyNumber,
    content: Box<XxHash3_64>,
    /// Bytes of the cells and checksums so far.
    body_bytes: u64,
}

impl FileWriter {
    /// Creates the file and writes header and the first cells.
    pub(super) fn create(
        inner: &Arc<Inner>,
        name: ChunkName,
        writer: LeaseId,
        cell_bytes: u32,
        first: &[Cell],
    ) -> Result<Self, NodeError> {
        let copy = inner.take_copy()?;
        let path = inner.drive.unfinished(copy.0);
        let file = inner.written(inner.io.create(&path))?;
        let unfinished = Unfinished { inner: Arc::clone(inner), path, named: false };
        let subject = Subject::Chunk { writer, cell_bytes, body_bytes: 0 };
        let header = Header { name, copy, subject, batch: 0 }.encode(inner.drive.key());
        let content = Box::new(XxHash3_64::new());
        let mut created = Self { unfinished, file, name, writer, copy, content, body_bytes: 0 };
        created.write(&header, first)?;
        Ok(created)
    }

    /// Writes the next cells in one call to the system.
    pub(super) fn append(&mut self, cells: &[Cell]) -> Result<(), NodeError> {
        if cells.is_empty() { Ok(()) } else { self.write(&[], cells) }
    }

    /// Writes cells behind the others, the first ones behind the header.
    fn write(&mut self, header: &[u8], cells: &[Cell]) -> Result<(), NodeError> {
        let inner = Arc::clone(&self.unfinished.inner);
        let checksums: Vec<_> = cells.iter().map(|cell| cell.checksum.to_le_bytes()).collect();
        let mut slices = Vec::with_capacity(2 * cells.len() + 1);
        let mut offset = HEADER_BYTES as u64 + self.body_bytes;
        if !header.is_empty() {
            slices.push(IoSlice::new(header));
            offset = 0;
        }
        for (cell, checksum) in cells.iter().zip(&checksums) {
            self.content.write(&cell.data);
            self.content.write(checksum);
            slices.push(IoSlice::new(&cell.data));
            slices.push(IoSlice::new(checksum));
        }
        inner.written(inner.io.write_all_at(&self.file, &mut slices, offset))?;
        let body_bytes = |cell: &Cell| (cell.data.len() + CHECKSUM_BYTES) as u64;
        self.body_bytes += cells.iter().map(body_bytes).sum::<u64>();
        Ok(())
    }

    /// Seals the chunk, makes it durable and visible. The caller holds the claim on its name.
    pub(super) fn publish(mut self, geometry: Geometry) -> Result<CopyNumber, NodeError> {
        let inner = Arc::clone(&self.unfinished.inner);
        let old = super::lock(&inner.index).get(self.name);
        if let Some(old) = &old
            && compare(&inner, old, geometry, &Body::File(&self.file))?.is_same()
            && old.entry.writer == self.writer
        {
            return Ok(old.entry.copy);
        }
        self.seal(&inner, geometry)?;
        let entry = entry(self.name, self.writer, self.copy, geometry);
        let folder = inner.drive.chunk_folder(names::folder(self.name));
        let path = folder.join(names::file_name(&entry));
        inner.synced(inner.io.sync_data(&self.file))?;
        let opened = inner.written(inner.io.open_directory(&folder))?;
        // A folder may have no room for one more name.
        inner.written(inner.io.rename(&self.unfinished.path, &path))?;
        self.unfinished.named = true;
        inner.synced(inner.directories.sync(folder, opened, &inner.io))?;
        // Another call's sync may have failed meanwhile.
        inner.refuse_when_fenced()?;
        let replaced = super::lock(&inner.index).insert(&Located { entry, place: Place::File });
        if let Some(replaced) = replaced {
            inner.discard(&replaced);
        }
        Ok(self.copy)
    }

    fn seal(&self, inner: &Inner, geometry: Geometry) -> Result<(), NodeError> {
        let content = self.content.finish();
        let (cell_count, data_bytes) = (geometry.cell_count(), geometry.data_bytes);
        let seal = Seal { cell_count, data_bytes, content }.encode(self.name, self.copy);
        let offset = HEADER_BYTES as u64 + self.body_bytes;
        inner.written(inner.io.write_all_at(&self.file, &mut [IoSlice::new(&seal)], offset))
    }
}

/// Removes a chunk's file so that it does not come back. Blocks.
pub(super) fn delete(inner: &Inner, located: &Located) -> Result<(), NodeError> {
    let folder = inner.drive.chunk_folder(names::folder(located.entry.name));
    let path = folder.join(names::file_name(&located.entry));
    let opened = inner.written(inner.io.open_directory(&folder))?;
    super::lock(&inner.index).remove(located.entry.name);
    if let Err(error) = inner.io.remove(&path) {
        super::lock(&inner.index).insert(located);
        return Err(if is_no_space(&error) { NodeError::Full } else { inner.fence(&error) });
    }
    inner.synced(inner.directories.sync(folder, opened, &inner.io))
}
