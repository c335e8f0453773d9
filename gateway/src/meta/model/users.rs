//! Users and their access keys.

use super::state::State;
use crate::meta::types::{AccessKey, User, UserId};
use crate::meta::{MetaError, Result};

pub(super) fn create_user(_state: &mut State, _name: &str) -> Result<User> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) fn user(_state: &mut State, _name: &str) -> Result<Option<User>> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) fn create_key(
    _state: &mut State,
    _user: UserId,
    _access_key: &str,
    _sealed: &[u8],
) -> Result<()> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) fn key(_state: &mut State, _access_key: &str) -> Result<Option<AccessKey>> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) fn keys(_state: &mut State) -> Result<Vec<AccessKey>> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

pub(super) fn delete_key(_state: &mut State, _access_key: &str) -> Result<bool> {
    Err(MetaError::Broken("users have no rows yet".to_owned()))
}

/// The rows of users and access keys.
#[derive(Debug, Default)]
pub(super) struct Users {}
