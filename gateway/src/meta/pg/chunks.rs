//! Chunks: freed, condemned.

use super::columns::{ExtentColumns, broken, lease_number, node_number};
use super::error::from_sqlx;
use super::lease::interval;
use crate::meta::types::{BodyId, Extent};
use crate::meta::{FreedBody, Result};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use sqlx::PgPool;
use std::collections::HashMap;
use std::time::Duration;

pub(super) async fn freed_bodies(
    pool: &PgPool,
    at_least: Duration,
    limit: usize,
) -> Result<Vec<FreedBody>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id!" from freed_bodies_v1($1, $2) id"#,
        interval(at_least)?,
        i32::try_from(limit).unwrap_or(i32::MAX)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let mut extents = extents_of(pool, &ids).await?;
    Ok(ids
        .into_iter()
        .map(|id| FreedBody { id: BodyId(id), extents: extents.remove(&id).unwrap_or_default() })
        .collect())
}

/// A freed body is never revived, so its extents may be read in a statement of their own.
async fn extents_of(
    pool: &PgPool,
    bodies: &[uuid::Uuid],
) -> Result<HashMap<uuid::Uuid, Vec<Extent>>> {
    let rows = sqlx::query!(
        "select e.body_id, e.id, e.start, e.size, e.scheme, e.missing, p.nodes
        from extent e join placement p on p.id = e.placement_id
        where e.body_id = any ($1) order by e.body_id, e.start",
        bodies
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let mut extents: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let columns = ExtentColumns {
            id: row.id,
            start: row.start,
            size: row.size,
            scheme: row.scheme,
            missing: row.missing,
            nodes: row.nodes,
        };
        extents.entry(row.body_id).or_default().push(columns.extent()?);
    }
    Ok(extents)
}

pub(super) async fn forget_bodies(pool: &PgPool, bodies: &[BodyId]) -> Result<()> {
    let ids: Vec<_> = bodies.iter().map(|body| body.0).collect();
    sqlx::query!("select forget_bodies_v1($1)", &ids).fetch_one(pool).await.map_err(from_sqlx)?;
    Ok(())
}

pub(super) async fn condemned(
    pool: &PgPool,
    node: NodeNumber,
    copies: &[(ChunkName, LeaseId, CopyNumber)],
    kept: Duration,
) -> Result<Vec<(ChunkName, CopyNumber)>> {
    let extents: Vec<_> = copies.iter().map(|(name, ..)| name.extent.to_uuid()).collect();
    let indexes: Vec<_> = copies.iter().map(|(name, ..)| i16::from(name.index.get())).collect();
    let writers: Vec<_> = copies.iter().map(|(_, writer, _)| lease_number(*writer)).collect();
    let positions = sqlx::query_scalar!(
        r#"select position as "position!" from condemned_v1($1, $2, $3, $4, $5) position"#,
        node_number(node)?,
        &extents,
        &indexes,
        &writers,
        interval(kept)?
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    positions.into_iter().map(|position| named(copies, position)).collect()
}

/// The copy at a position, which PostgreSQL counts from 1.
fn named(
    copies: &[(ChunkName, LeaseId, CopyNumber)],
    position: i32,
) -> Result<(ChunkName, CopyNumber)> {
    usize::try_from(position)
        .ok()
        .and_then(|position| copies.get(position.checked_sub(1)?))
        .map(|(name, _, copy)| (*name, *copy))
        .ok_or_else(|| broken("a position that was not asked for"))
}
