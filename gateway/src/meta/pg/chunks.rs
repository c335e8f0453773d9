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
    let copies = at_positions(copies, &positions)?;
    Ok(copies.into_iter().map(|(name, _, copy)| (name, copy)).collect())
}

pub(super) async fn unplaced(
    pool: &PgPool,
    node: NodeNumber,
    chunks: &[ChunkName],
) -> Result<Vec<ChunkName>> {
    let extents: Vec<_> = chunks.iter().map(|name| name.extent.to_uuid()).collect();
    let indexes: Vec<_> = chunks.iter().map(|name| i16::from(name.index.get())).collect();
    let positions = sqlx::query_scalar!(
        r#"select c.position::integer as "position!"
        from unnest($2::uuid[], $3::smallint[]) with ordinality as c (extent, chunk, position)
        where not exists (
            select from extent e join placement p on p.id = e.placement_id
            where e.id = c.extent and p.nodes[c.chunk + 1] = $1)
        order by c.position"#,
        node_number(node)?,
        &extents,
        &indexes
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    at_positions(chunks, &positions)
}

/// Those at these positions, which PostgreSQL counts from 1.
fn at_positions<T: Copy>(all: &[T], positions: &[i32]) -> Result<Vec<T>> {
    let at = |position: &i32| all.get(usize::try_from(*position).ok()?.checked_sub(1)?).copied();
    let found = positions.iter().map(at).collect::<Option<Vec<_>>>();
    found.ok_or_else(|| broken("a position that was not asked for"))
}
