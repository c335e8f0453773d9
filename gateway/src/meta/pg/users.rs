//! Users and their access keys.

use crate::meta::types::{AccessKey, User, UserId};
use crate::meta::{MetaError, Result};
use sqlx::PgPool;

pub(super) async fn create_user(_pool: &PgPool, _name: &str) -> Result<User> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) async fn user(_pool: &PgPool, _name: &str) -> Result<Option<User>> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) async fn create_key(
    _pool: &PgPool,
    _user: UserId,
    _access_key: &str,
    _sealed: &[u8],
) -> Result<()> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) async fn key(_pool: &PgPool, _access_key: &str) -> Result<Option<AccessKey>> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) async fn keys(_pool: &PgPool) -> Result<Vec<AccessKey>> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) async fn delete_key(_pool: &PgPool, _access_key: &str) -> Result<bool> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}
