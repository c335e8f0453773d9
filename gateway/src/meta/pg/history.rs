//! The database's history, and what nodes keep when it went back.

use super::columns::{broken, node_from, node_number, size_from, size_number};
use super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::types::Quarantine;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::name::{CopyNumber, NodeNumber};
use sqlx::PgPool;

pub(super) async fn witness(
    pool: &PgPool,
    node: NodeNumber,
    marks: &[Mark],
    kept: CopyNumber,
    is_first: bool,
) -> Result<Witnessed> {
    let numbers = marks.iter().map(|mark| size_number(mark.number)).collect::<Result<Vec<_>>>()?;
    let tags = marks.iter().map(|mark| mark.tag).collect::<Vec<_>>();
    let row = sqlx::query!(
        r#"select number as "number!", tag as "tag!", known as "known!", released as "released!"
        from witness_v1($1, $2, $3, $4, $5)"#,
        node_number(node)?,
        &numbers,
        &tags,
        size_number(kept.0)?,
        is_first
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    if row.known.len() != marks.len() {
        return Err(broken("an answer about other marks than were asked for"));
    }
    let known = marks.iter().zip(row.known).filter(|(_, is_known)| *is_known);
    Ok(Witnessed {
        mark: Mark { number: size_from(row.number)?, tag: row.tag },
        known: known.map(|(mark, _)| *mark).collect(),
        released: CopyNumber(size_from(row.released)?),
    })
}

pub(super) async fn is_recent(pool: &PgPool, mark: Mark) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select is_recent_mark_v1($1, $2) as "is_recent!""#,
        size_number(mark.number)?,
        mark.tag
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)
}

/// What was counted of something else than it keeps by now is not noted.
pub(super) async fn count_quarantine(
    pool: &PgPool,
    node: NodeNumber,
    kept: CopyNumber,
    chunks: u64,
    bytes: u64,
) -> Result<()> {
    sqlx::query!(
        "update quarantine set chunks = $3, bytes = $4 where node = $1 and kept = $2",
        node_number(node)?,
        size_number(kept.0)?,
        size_number(chunks)?,
        size_number(bytes)?
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(())
}

pub(super) async fn quarantines(pool: &PgPool) -> Result<Vec<Quarantine>> {
    let rows = sqlx::query!(
        r#"select node, kept, chunks, bytes,
            extract(epoch from clock_timestamp() - since)::float8 as "for_s!"
        from quarantine order by node"#
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let quarantines = rows.into_iter().map(|row| {
        Ok(Quarantine {
            node: node_from(row.node)?,
            kept: CopyNumber(size_from(row.kept)?),
            for_s: row.for_s,
            chunks: row.chunks.map(size_from).transpose()?,
            bytes: row.bytes.map(size_from).transpose()?,
        })
    });
    quarantines.collect()
}

pub(super) async fn release_quarantine(
    pool: &PgPool,
    node: NodeNumber,
    kept: CopyNumber,
) -> Result<bool> {
    let released = sqlx::query!(
        "update quarantine set released = kept where node = $1 and kept = $2",
        node_number(node)?,
        size_number(kept.0)?
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(released.rows_affected() == 1)
}
