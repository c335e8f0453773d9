//! Users and their access keys.

use super::error::from_sqlx;
use crate::meta::types::{AccessKey, User, UserId};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// An access key joined with its owner.
struct KeyRow {
    access_key: String,
    sealed: Vec<u8>,
    user_id: Uuid,
    name: String,
    created: OffsetDateTime,
}

impl KeyRow {
    fn key(self) -> AccessKey {
        AccessKey {
            access_key: self.access_key,
            sealed_secret: self.sealed,
            user: User { id: UserId(self.user_id), name: self.name },
            created: self.created,
        }
    }
}

pub(super) async fn create_user(pool: &PgPool, name: &str) -> Result<User> {
    let id = Uuid::new_v4();
    let done = sqlx::query!(
        "insert into users (id, name) values ($1, $2) on conflict (name) do nothing",
        id,
        name
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    if done.rows_affected() == 0 {
        return Err(MetaError::Exists(format!("user {name}")));
    }
    Ok(User { id: UserId(id), name: name.to_owned() })
}

pub(super) async fn user(pool: &PgPool, name: &str) -> Result<Option<User>> {
    let row = sqlx::query!("select id, name from users where name = $1", name)
        .fetch_optional(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(row.map(|row| User { id: UserId(row.id), name: row.name }))
}

pub(super) async fn create_key(
    pool: &PgPool,
    user: UserId,
    access_key: &str,
    sealed: &[u8],
) -> Result<()> {
    let done = sqlx::query!(
        "insert into access_key (access_key, user_id, sealed) values ($1, $2, $3)
        on conflict (access_key) do nothing",
        access_key,
        user.0,
        sealed
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    if done.rows_affected() == 0 {
        return Err(MetaError::Exists(format!("access key {access_key}")));
    }
    Ok(())
}

pub(super) async fn key(pool: &PgPool, access_key: &str) -> Result<Option<AccessKey>> {
    let row = sqlx::query_as!(
        KeyRow,
        "select k.access_key, k.sealed, k.user_id, u.name, k.created
        from access_key k join users u on u.id = k.user_id where k.access_key = $1",
        access_key
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(row.map(KeyRow::key))
}

pub(super) async fn keys(pool: &PgPool) -> Result<Vec<AccessKey>> {
    let rows = sqlx::query_as!(
        KeyRow,
        "select k.access_key, k.sealed, k.user_id, u.name, k.created
        from access_key k join users u on u.id = k.user_id order by u.name, k.access_key"
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(rows.into_iter().map(KeyRow::key).collect())
}

pub(super) async fn delete_key(pool: &PgPool, access_key: &str) -> Result<bool> {
    let done = sqlx::query!("delete from access_key where access_key = $1", access_key)
        .execute(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(done.rows_affected() > 0)
}
