//! The registry of nodes.

use super::columns::{broken, node_from, node_number, size_from, size_number};
use super::error::from_sqlx;
use super::scram;
use crate::meta::types::{Heir, NodeCondition, NodeRow, NodeState, Removal, RemoveNode};
use crate::meta::{LOST_LIMIT, MetaError, Result};
use sixfold_proto::name::NodeNumber;
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// The longest that the database may count what a removal would lose, which may be a long walk where
/// chunks of nodes removed before are not made anew yet: no transaction over 10 s.
const COUNT_LIMIT: &str = "set local statement_timeout = '9s'";

/// The longest wait for the answer, with a new connection and the transaction's end.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// A node's columns.
struct Columns {
    number: i16,
    drive: Uuid,
    address: Option<String>,
    zone: String,
    weight: f64,
    seat: i16,
    chunks: Option<i64>,
    capacity: i64,
    free: i64,
    registration: i64,
    state: String,
    silent_for: f64,
}

impl Columns {
    fn node(self) -> Result<NodeRow> {
        Ok(NodeRow {
            number: node_from(self.number)?,
            drive: self.drive,
            address: self.address,
            zone: self.zone,
            weight: self.weight,
            seat: node_from(self.seat)?,
            chunk_count: self.chunks.map(size_from).transpose()?,
            capacity_bytes: size_from(self.capacity)?,
            free_bytes: size_from(self.free)?,
            registration: self.registration,
            state: state_from(&self.state)?,
            silent_for: self.silent_for,
        })
    }
}

pub(super) async fn register_node(
    pool: &PgPool,
    drive: Uuid,
    address: Option<&str>,
    zone: &str,
    weight: f64,
) -> Result<NodeRow> {
    let registered = sqlx::query!(
        r#"select number as "number!" from register_node_v1($1, $2, $3, $4)"#,
        drive,
        address,
        zone,
        weight
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    let number = node_from(registered.number)?;
    let found = nodes(pool).await?.into_iter().find(|node| node.number == number);
    found.ok_or_else(|| broken("a node that is not there after its registration"))
}

pub(super) async fn heartbeat(
    pool: &PgPool,
    node: NodeNumber,
    registration: i64,
    condition: NodeCondition,
) -> Result<Option<NodeState>> {
    let now = sqlx::query_scalar!(
        "select heartbeat_v1($1, $2, $3, $4, $5, $6)",
        node_number(node)?,
        registration,
        state_text(condition.state),
        size_number(condition.capacity_bytes)?,
        size_number(condition.free_bytes)?,
        size_number(condition.chunk_count)?
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    now.as_deref().map(state_from).transpose()
}

pub(super) async fn set_node_state(
    pool: &PgPool,
    node: NodeNumber,
    state: NodeState,
) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select set_node_state_v1($1, $2) as "is_set!""#,
        node_number(node)?,
        state_text(state)
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)
}

pub(super) async fn set_node_weight(pool: &PgPool, node: NodeNumber, weight: f64) -> Result<bool> {
    sqlx::query_scalar!(
        r#"select set_node_weight_v1($1, $2) as "is_set!""#,
        node_number(node)?,
        weight
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)
}

/// A removal whose answer was lost may have happened; said again, it is `Absent` or done once more.
pub(super) async fn remove_node(pool: &PgPool, removal: RemoveNode) -> Result<Removal> {
    let silent = || MetaError::Unavailable(format!("no answer within {ANSWER_LIMIT:?}"));
    tokio::time::timeout(ANSWER_LIMIT, attempt_removal(pool, removal))
        .await
        .map_err(|_| silent())?
}

async fn attempt_removal(pool: &PgPool, removal: RemoveNode) -> Result<Removal> {
    let new = match removal.heir {
        Heir::Node(new) => Some(node_number(new)?),
        Heir::NextDrive | Heir::Nobody => None,
    };
    let most = i32::try_from(LOST_LIMIT).unwrap_or(i32::MAX);
    let mut transaction = pool.begin().await.map_err(from_sqlx)?;
    sqlx::query(COUNT_LIMIT).execute(&mut *transaction).await.map_err(from_sqlx)?;
    let row = sqlx::query!(
        r#"select outcome as "outcome!", lost as "lost!" from remove_node_v1($1, $2, $3, $4, $5)"#,
        node_number(removal.node)?,
        new as Option<i16>,
        removal.heir == Heir::NextDrive,
        removal.may_lose,
        most
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(from_sqlx)?;
    transaction.commit().await.map_err(from_sqlx)?;
    match &*row.outcome {
        "done" => Ok(Removal::Done),
        "absent" => Ok(Removal::Absent),
        "taken" => Ok(Removal::SeatTaken),
        "loses" => Ok(Removal::Loses(usize::try_from(row.lost).unwrap_or(LOST_LIMIT))),
        _ => Err(broken("an outcome that this release does not know")),
    }
}

pub(super) async fn nodes(pool: &PgPool) -> Result<Vec<NodeRow>> {
    let rows = sqlx::query_as!(
        Columns,
        r#"select number, drive, address, zone, coalesce(set_weight, weight) as "weight!", seat,
            chunks, capacity, free, registration, state,
            extract(epoch from clock_timestamp() - heartbeat)::float8 as "silent_for!"
        from node order by number"#
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    rows.into_iter().map(Columns::node).collect()
}

pub(super) async fn cluster_id(pool: &PgPool) -> Result<Uuid> {
    sqlx::query_scalar!("select id from cluster").fetch_one(pool).await.map_err(from_sqlx)
}

/// Lets node processes log in with this password. What is sent is its verifier, which needs no
/// quoting. Not a checked query: it has no result to check.
pub(super) async fn set_node_password(pool: &PgPool, password: &str) -> Result<()> {
    let verifier = scram::verifier(password)?;
    let statement = format!("alter role sixfold_node login password '{verifier}'");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await.map_err(from_sqlx)?;
    Ok(())
}

fn state_text(state: NodeState) -> &'static str {
    match state {
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Full => "full",
        NodeState::Fenced => "fenced",
        NodeState::Removed => "removed",
    }
}

fn state_from(text: &str) -> Result<NodeState> {
    match text {
        "active" => Ok(NodeState::Active),
        "draining" => Ok(NodeState::Draining),
        "full" => Ok(NodeState::Full),
        "fenced" => Ok(NodeState::Fenced),
        "removed" => Ok(NodeState::Removed),
        _ => Err(broken("a node state that this release does not know")),
    }
}
