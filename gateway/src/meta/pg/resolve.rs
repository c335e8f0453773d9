//! Resolves an ambiguous commit by writing. The lost transaction, if it is still there, holds the
//! new body's row; the insert waits for it. If the insert takes place, that commit can never
//! succeed any more. If it does not, the commit has succeeded. Reading instead would lie: the
//! commit may come after the look.

use super::super::types::BodyId;
use super::super::{MetaError, Result};
use super::error::from_sqlx;
use sqlx::PgPool;
use std::time::Duration;

/// The longest that resolving may take. When the database does not answer, the outcome stays
/// unknown; the caller keeps the chunks, which their lease protects.
const RESOLVE_LIMIT: Duration = Duration::from_millis(700);

/// Whether the commit that was to make `body` has succeeded.
pub(super) async fn has_committed(pool: &PgPool, body: BodyId) -> Result<bool> {
    let insert = sqlx::query!(
        "insert into body (id, refs, freed_at) values ($1, 0, clock_timestamp())
        on conflict do nothing",
        body.0
    )
    .execute(pool);
    match tokio::time::timeout(RESOLVE_LIMIT, insert).await {
        Ok(Ok(done)) => Ok(done.rows_affected() == 0),
        Ok(Err(error)) => Err(from_sqlx(error)),
        Err(_) => Err(MetaError::Unavailable("the outcome of a commit is unknown".to_owned())),
    }
}
