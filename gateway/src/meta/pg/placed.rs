//! Extents by where their chunks are.

use super::columns::{ExtentColumns, node_number};
use super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::types::{Extent, ExtentCursor, Placed};
use sixfold_proto::name::ExtentId;
use sqlx::PgPool;
use uuid::Uuid;

/// An extent's columns with its placement's number.
struct Columns {
    placement_id: i32,
    id: Uuid,
    start: i64,
    size: i64,
    scheme: i16,
    missing: i16,
    nodes: Vec<i16>,
}

impl Columns {
    fn placed(self) -> Result<(ExtentCursor, Extent)> {
        let (placement, extent) = (self.placement_id, ExtentId::from_uuid(self.id));
        let Self { id, start, size, scheme, missing, nodes, .. } = self;
        let extent_columns = ExtentColumns { id, start, size, scheme, missing, nodes };
        Ok((ExtentCursor { placement, extent }, extent_columns.extent()?))
    }
}

/// Three statements, so that each has the index that it needs.
pub(super) async fn placed_extents(
    pool: &PgPool,
    placed: Placed<'_>,
    after: Option<ExtentCursor>,
    limit: usize,
) -> Result<Vec<(ExtentCursor, Extent)>> {
    let start = ExtentCursor { placement: 0, extent: ExtentId(0) };
    let after = after.unwrap_or(start);
    let (placement, extent) = (after.placement, after.extent.to_uuid());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = match placed {
        Placed::On(nodes) => {
            let numbers =
                nodes.iter().map(|node| node_number(*node)).collect::<Result<Vec<_>>>()?;
            sqlx::query_as!(
                Columns,
                "select e.placement_id, e.id, e.start, e.size, e.scheme, e.missing, p.nodes
                from extent e join placement p on p.id = e.placement_id
                where p.nodes && $1 and (e.placement_id, e.id) > ($2, $3)
                order by e.placement_id, e.id limit $4",
                &numbers,
                placement,
                extent,
                limit
            )
            .fetch_all(pool)
            .await
        }
        Placed::Crowded => {
            sqlx::query_as!(
                Columns,
                "select e.placement_id, e.id, e.start, e.size, e.scheme, e.missing, p.nodes
                from extent e join placement p on p.id = e.placement_id
                where is_crowded_v1(p.nodes) and (e.placement_id, e.id) > ($1, $2)
                order by e.placement_id, e.id limit $3",
                placement,
                extent,
                limit
            )
            .fetch_all(pool)
            .await
        }
        Placed::Anywhere => {
            sqlx::query_as!(
                Columns,
                "select e.placement_id, e.id, e.start, e.size, e.scheme, e.missing, p.nodes
                from extent e join placement p on p.id = e.placement_id
                where (e.placement_id, e.id) > ($1, $2)
                order by e.placement_id, e.id limit $3",
                placement,
                extent,
                limit
            )
            .fetch_all(pool)
            .await
        }
    };
    rows.map_err(from_sqlx)?.into_iter().map(Columns::placed).collect()
}
