//! Finds one version of a key with the first extents of its body, the bucket joined by name: one
//! statement, so that a bucket deleted and made again can't be confused. Look-ups of current
//! versions that come at the same time share one.

mod current;
mod named;
mod rows;

use super::super::connect::{ANSWER_LIMIT, Line, acquire};
use super::super::error::from_sqlx;
use super::super::together::{Gathering, Together};
use crate::meta::types::{Found, VersionId};
use crate::meta::{MetaError, Result};
use rows::{FoundRow, found};
use sqlx::PgPool;

pub(in crate::meta::pg) async fn find(
    pool: &PgPool,
    look_ups: &Gathering<LookUp>,
    bucket: &str,
    key: &str,
    version: Option<VersionId>,
) -> Result<Found> {
    // No bucket has such a name, and the database would refuse it for all who share the call.
    if bucket.contains('\0') {
        return Err(MetaError::NoSuchBucket);
    }
    let Some(version) = version else {
        return look_ups.ask(LookUp { bucket: bucket.to_owned(), key: key.to_owned() }).await?;
    };
    let mut connection = acquire(pool).await?;
    let rows = named::rows(&mut connection, bucket, key, version).await.map_err(from_sqlx)?;
    found(bucket, key, rows)
}

/// The current version of a key is asked for.
pub(in crate::meta::pg) struct LookUp {
    bucket: String,
    key: String,
}

impl Together for LookUp {
    type Answer = Result<Found>;
    const ITEMS: usize = 64;
    const CALLS: usize = 2;

    fn fits(&self, _others: &[Self]) -> bool {
        true
    }

    async fn call(line: &mut Line, items: Vec<Self>) -> Vec<Self::Answer> {
        let rows = match current_rows(line, &items).await {
            Ok(rows) => rows,
            Err(error) => return items.iter().map(|_| Err(error.clone())).collect(),
        };
        let rows = by_item(rows, items.len());
        let answers = items.iter().zip(rows);
        answers.map(|(item, rows)| found(&item.bucket, &item.key, rows)).collect()
    }
}

async fn current_rows(line: &mut Line, items: &[LookUp]) -> Result<Vec<FoundRow>> {
    let mut connection = line.take().await?;
    match tokio::time::timeout(ANSWER_LIMIT, current::rows(&mut connection, items)).await {
        Ok(Ok(rows)) => {
            line.keep(connection);
            Ok(rows)
        }
        Ok(Err(error)) => Err(from_sqlx(error)),
        Err(_) => {
            connection.close_on_drop();
            Err(MetaError::Unavailable(format!("no answer within {ANSWER_LIMIT:?}")))
        }
    }
}

fn by_item(rows: Vec<FoundRow>, count: usize) -> Vec<Vec<FoundRow>> {
    let mut items: Vec<Vec<FoundRow>> = (0..count).map(|_| Vec::new()).collect();
    for row in rows {
        let index = usize::try_from(row.ord - 1).ok();
        if let Some(item) = index.and_then(|index| items.get_mut(index)) {
            item.push(row);
        }
    }
    items
}
