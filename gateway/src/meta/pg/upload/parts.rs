//! Lists an upload's parts by number.

use super::super::columns::{ChecksumColumns, broken, limit_and_one, size_from};
use super::super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::types::{Page, Part, UploadId};
use sqlx::PgPool;
use time::OffsetDateTime;

#[derive(Debug)]
struct PartRow {
    number: i32,
    size: i64,
    etag: String,
    checksum_algorithm: Option<i16>,
    checksum_kind: Option<i16>,
    checksum: Option<Vec<u8>>,
    modified: OffsetDateTime,
}

impl PartRow {
    fn part(self) -> Result<Part> {
        let checksum = ChecksumColumns {
            algorithm: self.checksum_algorithm,
            kind: self.checksum_kind,
            value: self.checksum,
        };
        Ok(Part {
            number: u16::try_from(self.number).map_err(|_| broken("a part number above 10000"))?,
            size: size_from(self.size)?,
            etag: self.etag,
            checksum: checksum.checksum()?,
            modified: self.modified,
        })
    }
}

pub(in crate::meta::pg) async fn parts(
    pool: &PgPool,
    upload: UploadId,
    after: u16,
    limit: usize,
) -> Result<Page<Part>> {
    let mut rows = sqlx::query_as!(
        PartRow,
        "select number, size, etag, checksum_algorithm, checksum_kind, checksum, modified
        from part where upload_id = $1 and number > $2 order by number limit $3",
        upload.0,
        i32::from(after),
        i64::from(limit_and_one(limit))
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let is_truncated = rows.len() > limit && limit > 0;
    rows.truncate(limit);
    let entries = rows.into_iter().map(PartRow::part).collect::<Result<_>>()?;
    Ok(Page { entries, prefixes: Vec::new(), is_truncated })
}
