//! Lists uploads under way: one call of `list_uploads_v1`.

use super::super::error::from_sqlx;
use super::super::page::{Asked, Listed, empty, page};
use super::UploadRow;
use crate::meta::Result;
use crate::meta::types::{BucketId, ListQuery, Page, Upload, UploadId};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// An upload, or a common prefix.
#[derive(Debug)]
struct ListedUpload {
    common_prefix: Option<Vec<u8>>,
    id: Uuid,
    bucket_id: i64,
    key: Vec<u8>,
    started: OffsetDateTime,
    initiator: Uuid,
    storage_class: String,
    headers: String,
    checksum_algorithm: Option<i16>,
    checksum_kind: Option<i16>,
}

impl Listed for ListedUpload {
    type Entry = Upload;

    fn common_prefix(&mut self) -> Option<Vec<u8>> {
        self.common_prefix.take()
    }

    fn entry(self) -> Result<Upload> {
        let columns = UploadRow {
            id: self.id,
            bucket_id: self.bucket_id,
            key: self.key,
            started: self.started,
            initiator: self.initiator,
            storage_class: self.storage_class,
            headers: self.headers,
            checksum_algorithm: self.checksum_algorithm,
            checksum_kind: self.checksum_kind,
            tags: None,
        };
        columns.upload()
    }
}

pub(in crate::meta::pg) async fn list_uploads(
    pool: &PgPool,
    bucket: BucketId,
    query: &ListQuery,
    after_upload: Option<UploadId>,
) -> Result<Page<Upload>> {
    if query.limit == 0 {
        return Ok(empty());
    }
    let asked = Asked::of(query);
    let rows = sqlx::query_as!(
        ListedUpload,
        r#"select common_prefix as "common_prefix?", id as "id!", $1::bigint as "bucket_id!",
            key as "key!", started as "started!", initiator as "initiator!",
            storage_class as "storage_class!", headers as "headers!",
            checksum_algorithm as "checksum_algorithm?", checksum_kind as "checksum_kind?"
        from list_uploads_v1($1, $2, $3, $4, $5, $6)"#,
        bucket.0,
        asked.prefix,
        asked.delimiter,
        asked.after,
        after_upload.map(|upload| upload.0),
        asked.limit
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    page(rows, query.limit)
}
