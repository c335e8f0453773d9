//! Reads a body's extents from a byte on.

use super::super::columns::{ExtentColumns, size_number};
use super::super::error::from_sqlx;
use crate::meta::types::{BodyId, Extent};
use crate::meta::{EXTENTS_PER_PAGE, Result};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn extents(
    pool: &PgPool,
    body: BodyId,
    from: u64,
) -> Result<Vec<Extent>> {
    // The first one is found by its start, not by a scan of all that end before it.
    let rows = sqlx::query_as!(
        ExtentColumns,
        "select e.id, e.start, e.size, e.scheme, e.missing, p.nodes
        from extent e join placement p on p.id = e.placement_id
        where e.body_id = $1 and e.start + e.size > $2 and e.start >= coalesce((
            select f.start from extent f where f.body_id = $1 and f.start <= $2
            order by f.start desc limit 1), 0)
        order by e.start limit $3",
        body.0,
        size_number(from)?,
        i64::try_from(EXTENTS_PER_PAGE).unwrap_or(i64::MAX)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    rows.into_iter().map(ExtentColumns::extent).collect()
}
