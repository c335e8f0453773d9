//! Multipart uploads, one operation per file.

pub(super) mod abort;
pub(super) mod complete;
pub(super) mod create;
pub(super) mod expire;
pub(super) mod find;
pub(super) mod list;
pub(super) mod part;
pub(super) mod parts;

use super::columns::{
    algorithm_from, algorithm_number, broken, headers_from, kind_from, kind_number, tags_from,
    text_from,
};
use crate::meta::Result;
use crate::meta::types::{BucketId, ChecksumAlgorithm, ChecksumType, Upload, UploadId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

/// The columns of an upload under way.
#[derive(Debug)]
struct UploadRow {
    id: Uuid,
    bucket_id: i64,
    key: Vec<u8>,
    started: OffsetDateTime,
    initiator: Uuid,
    storage_class: String,
    headers: String,
    checksum_algorithm: Option<i16>,
    checksum_kind: Option<i16>,
    tags: Option<String>,
}

impl UploadRow {
    fn upload(self) -> Result<Upload> {
        Ok(Upload {
            id: UploadId(self.id),
            bucket: BucketId(self.bucket_id),
            key: text_from(self.key)?,
            started: self.started,
            storage_class: self.storage_class,
            headers: headers_from(&self.headers)?,
            tags: tags_from(self.tags.as_deref())?,
            checksum: checksum_from(self.checksum_algorithm, self.checksum_kind)?,
            initiator: UserId(self.initiator),
        })
    }
}

type UploadChecksum = Option<(ChecksumAlgorithm, ChecksumType)>;

fn checksum_from(algorithm: Option<i16>, kind: Option<i16>) -> Result<UploadChecksum> {
    match (algorithm, kind) {
        (Some(algorithm), Some(kind)) => Ok(Some((algorithm_from(algorithm)?, kind_from(kind)?))),
        (None, None) => Ok(None),
        _ => Err(broken("half an upload's checksum")),
    }
}

fn checksum_numbers(checksum: UploadChecksum) -> (Option<i16>, Option<i16>) {
    let algorithm = checksum.map(|(algorithm, _)| algorithm_number(algorithm));
    (algorithm, checksum.map(|(_, kind)| kind_number(kind)))
}
