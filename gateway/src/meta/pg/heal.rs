//! Chunks that are missing, and where they are made anew.

use super::columns::{ExtentColumns, lease_number, node_number};
use super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::types::{ChunkSet, Extent, ExtentCursor, Lost, Move, Placement, RiskCursor};
use sixfold_proto::name::{ExtentId, NodeNumber};
use sqlx::PgPool;
use uuid::Uuid;

/// Idempotent; an extent that is gone has nothing missing.
pub(super) async fn mark_missing(pool: &PgPool, extent: ExtentId, chunks: ChunkSet) -> Result<()> {
    sqlx::query!(
        "update extent set missing = missing | $2 where id = $1 and missing | $2 <> missing",
        extent.to_uuid(),
        i16::from(chunks.0)
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(())
}

/// A page is read and then marked; what changes in between is marked by the same bits.
pub(super) async fn lose_chunks_on(
    pool: &PgPool,
    nodes: &[NodeNumber],
    lost: Lost,
    after: Option<ExtentCursor>,
    limit: usize,
) -> Result<Option<ExtentCursor>> {
    let numbers = nodes.iter().map(|node| node_number(*node)).collect::<Result<Vec<_>>>()?;
    let start = ExtentCursor { placement: 0, extent: ExtentId(0) };
    let after = after.unwrap_or(start);
    let page = sqlx::query!(
        r#"select e.placement_id, e.id, lost.chunks as "chunks!"
        from extent e join (
            select p.id, bit_or((1 << (place.position - 1)::integer)::smallint) as chunks
            from placement p, unnest(p.nodes) with ordinality as place (node, position)
            where p.nodes && $1 and place.node = any ($1) group by p.id
        ) lost on lost.id = e.placement_id
        where (e.placement_id, e.id) > ($2, $3)
        order by e.placement_id, e.id limit $4"#,
        &numbers,
        after.placement,
        after.extent.to_uuid(),
        limit_number(limit)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let ids = page.iter().map(|row| row.id).collect::<Vec<_>>();
    let chunks = page.iter().map(|row| row.chunks).collect::<Vec<_>>();
    mark(pool, &ids, &chunks, lost).await?;
    let last = page.last().filter(|_| page.len() >= limit);
    Ok(last.map(|row| ExtentCursor {
        placement: row.placement_id,
        extent: ExtentId::from_uuid(row.id),
    }))
}

async fn mark(pool: &PgPool, ids: &[Uuid], chunks: &[i16], lost: Lost) -> Result<()> {
    sqlx::query!(
        "update extent e set missing = e.missing | lost.chunks
        from unnest($1::uuid[], $2::smallint[]) as lost (id, chunks)
        where e.id = lost.id and e.missing | lost.chunks <> e.missing
            and ($3 or spare_v1(e.scheme, e.missing | lost.chunks) = 0)",
        ids,
        chunks,
        lost == Lost::Every
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(())
}

/// Those with the fewest chunks to spare first.
pub(super) async fn degraded_extents(
    pool: &PgPool,
    after: Option<RiskCursor>,
    limit: usize,
) -> Result<Vec<Extent>> {
    let start = RiskCursor { spare: i32::MIN, extent: ExtentId(0) };
    let after = after.unwrap_or(start);
    let rows = sqlx::query_as!(
        ExtentColumns,
        "select e.id, e.start, e.size, e.scheme, e.missing, p.nodes
        from extent e join placement p on p.id = e.placement_id
        where e.missing <> 0 and (spare_v1(e.scheme, e.missing), e.id) > ($1, $2)
        order by spare_v1(e.scheme, e.missing), e.id
        limit $3",
        after.spare,
        after.extent.to_uuid(),
        limit_number(limit)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    rows.into_iter().map(ExtentColumns::extent).collect()
}

pub(super) async fn move_chunks(pool: &PgPool, moved: Move) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select move_chunks_v1($1, $2, $3, $4, $5) as "is_moved!""#,
        lease_number(moved.lease),
        moved.extent.to_uuid(),
        &numbers(&moved.from)?,
        &numbers(&moved.to)?,
        i16::from(moved.healed.0)
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)
}

fn numbers(placement: &Placement) -> Result<Vec<i16>> {
    placement.iter().map(|node| node_number(*node)).collect()
}

fn limit_number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
