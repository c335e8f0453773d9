//! The rows that the lists of versions answer.

use super::super::columns::{ChecksumColumns, VersionColumns};
use super::super::page::Listed;
use crate::meta::Result;
use crate::meta::types::Version;
use time::OffsetDateTime;
use uuid::Uuid;

/// Lists show no headers; they may be long.
const NO_HEADERS: &str = "{}";

/// A version, or a common prefix.
#[derive(Debug)]
pub(super) struct ListedVersion {
    pub(super) common_prefix: Option<Vec<u8>>,
    pub(super) is_current: bool,
    pub(super) key: Vec<u8>,
    pub(super) seq: i64,
    pub(super) version: Option<Uuid>,
    pub(super) marker: bool,
    pub(super) modified: OffsetDateTime,
    pub(super) body: Option<Uuid>,
    pub(super) size: i64,
    pub(super) etag: String,
    pub(super) storage_class: String,
    pub(super) checksum_algorithm: Option<i16>,
    pub(super) checksum_kind: Option<i16>,
    pub(super) checksum: Option<Vec<u8>>,
}

impl Listed for ListedVersion {
    type Entry = Version;

    fn common_prefix(&mut self) -> Option<Vec<u8>> {
        self.common_prefix.take()
    }

    fn entry(self) -> Result<Version> {
        let columns = VersionColumns {
            key: self.key,
            seq: self.seq,
            version: self.version,
            marker: self.marker,
            is_current: self.is_current,
            modified: self.modified,
            body: self.body,
            size: self.size,
            etag: self.etag,
            storage_class: self.storage_class,
            headers: NO_HEADERS.to_owned(),
            checksum: ChecksumColumns {
                algorithm: self.checksum_algorithm,
                kind: self.checksum_kind,
                value: self.checksum,
            },
            parts: None,
            tags: None,
        };
        columns.version()
    }
}
