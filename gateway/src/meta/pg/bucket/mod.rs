//! Buckets, one operation per file.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod find;
pub(super) mod list;
pub(super) mod set_versioning;
pub(super) mod tags;

use super::columns::versioning_from;
use crate::meta::Result;
use crate::meta::types::{Bucket, BucketId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of `bucket`.
#[derive(Debug)]
struct BucketRow {
    id: i64,
    name: String,
    owner: Uuid,
    config_epoch: i64,
    versioning: i16,
    created: OffsetDateTime,
}

impl BucketRow {
    fn bucket(self) -> Result<Bucket> {
        Ok(Bucket {
            id: BucketId(self.id),
            name: self.name,
            owner: UserId(self.owner),
            config_epoch: self.config_epoch,
            versioning: versioning_from(self.versioning)?,
            created: self.created,
        })
    }
}
