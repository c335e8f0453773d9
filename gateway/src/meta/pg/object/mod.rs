//! Versions of objects, one operation per file.

pub(super) mod commit;
pub(super) mod delete;
pub(super) mod extents;
pub(super) mod find;
pub(super) mod list;
pub(super) mod list_versions;
mod listed;
pub(super) mod tags;
