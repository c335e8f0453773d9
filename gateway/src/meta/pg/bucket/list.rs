//! Lists a user's buckets by name.

use super::super::columns::limit_and_one;
use super::super::error::from_sqlx;
use super::BucketRow;
use crate::meta::Result;
use crate::meta::types::{Bucket, Page, UserId};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn buckets(
    pool: &PgPool,
    owner: UserId,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Bucket>> {
    let mut rows = sqlx::query_as!(
        BucketRow,
        "select id, name, owner, config_epoch, versioning, created from bucket
        where owner = $1 and name > $2 and name >= $3 and starts_with(name, $3)
        order by name limit $4",
        owner.0,
        after.unwrap_or_default(),
        prefix,
        i64::from(limit_and_one(limit))
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let is_truncated = rows.len() > limit && limit > 0;
    rows.truncate(limit);
    let entries = rows.into_iter().map(BucketRow::bucket).collect::<Result<_>>()?;
    Ok(Page { entries, prefixes: Vec::new(), is_truncated })
}
