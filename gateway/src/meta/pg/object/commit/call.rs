//! The call of `commit_v1`: items as arrays of columns, one row of outcome for each.

use super::super::super::columns::{
    ChecksumColumns, ExtentArrays, headers_text, key_lock, lease_number, parts_text, size_number,
    tags_text,
};
use crate::meta::Result;
use crate::meta::types::{BodyId, BodySource, Commit};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What `commit_v1` answers for an item.
#[derive(Debug)]
pub(in crate::meta::pg) struct OutcomeRow {
    pub(in crate::meta::pg) outcome: String,
    pub(super) version: Option<Uuid>,
    pub(super) modified: Option<OffsetDateTime>,
}

/// A commit with those of its columns that may not be had.
pub(in crate::meta::pg) struct Item {
    pub(super) commit: Commit,
    pub(super) version: Uuid,
    size: i64,
    headers: String,
    parts: Option<String>,
    tags: Option<String>,
}

impl Item {
    pub(in crate::meta::pg) fn new(commit: Commit) -> Result<Self> {
        Ok(Self {
            version: Uuid::new_v4(),
            size: size_number(commit.content.size)?,
            headers: headers_text(&commit.content.headers)?,
            parts: parts_text(&commit.content.parts)?,
            tags: tags_text(&commit.content.tags)?,
            commit,
        })
    }

    fn body(&self) -> Option<BodyId> {
        match &self.commit.body {
            BodySource::Empty => None,
            BodySource::New(body) => Some(body.id),
            BodySource::Shared(body) => Some(*body),
        }
    }

    fn checksum(&self) -> ChecksumColumns {
        ChecksumColumns::of(self.commit.content.checksum.as_ref())
    }
}

/// Before anything is sent: the extents of all items, or why they can't be columns.
pub(in crate::meta::pg) fn extents(items: &[Item]) -> Result<ExtentArrays> {
    let mut arrays = ExtentArrays::default();
    for item in items {
        if let BodySource::New(body) = &item.commit.body {
            arrays.add(body.id, &body.extents)?;
        }
    }
    Ok(arrays)
}

/// A column of all items.
fn column<'a, T>(items: &'a [Item], of: impl Fn(&'a Item) -> T) -> Vec<T> {
    items.iter().map(of).collect()
}

/// Commits items of one lease and one configuration of a bucket, of distinct keys.
#[allow(clippy::too_many_lines)] // One statement.
pub(in crate::meta::pg) async fn call(
    connection: &mut PgConnection,
    items: &[Item],
    extents: &ExtentArrays,
) -> std::result::Result<Vec<OutcomeRow>, sqlx::Error> {
    let Some(Item { commit: first, .. }) = items.first() else { return Ok(Vec::new()) };
    let bucket = first.bucket.id.0;
    sqlx::query_as!(
        OutcomeRow,
        r#"select outcome as "outcome!", version as "version?", modified as "modified?"
        from commit_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
            $18, $19, $20, $21, $22, $23, $24, $25, $26) order by ord"#,
        lease_number(first.lease),
        bucket,
        first.bucket.config_epoch,
        &column(items, |item| item.commit.key.as_bytes().to_vec()),
        &column(items, |item| key_lock(bucket, &item.commit.key)),
        &column(items, |item| item.version),
        &column(items, |item| item.body().map(|body| body.0)) as &[Option<Uuid>],
        &column(items, |item| matches!(item.commit.body, BodySource::Shared(_))),
        &column(items, |item| item.size),
        &column(items, |item| item.commit.content.etag.clone()),
        &column(items, |item| item.commit.content.storage_class.clone()),
        &column(items, |item| item.headers.clone()),
        &column(items, |item| item.checksum().algorithm) as &[Option<i16>],
        &column(items, |item| item.checksum().kind) as &[Option<i16>],
        &column(items, |item| item.checksum().value) as &[Option<Vec<u8>>],
        &column(items, |item| item.parts.clone()) as &[Option<String>],
        &column(items, |item| item.tags.clone()) as &[Option<String>],
        &column(items, |item| item.commit.condition.if_match.clone()) as &[Option<String>],
        &column(items, |item| item.commit.condition.if_none_match.clone()) as &[Option<String>],
        &extents.bodies,
        &extents.ids,
        &extents.starts,
        &extents.sizes,
        &extents.schemes,
        &extents.missing,
        &extents.nodes
    )
    .fetch_all(connection)
    .await
}
