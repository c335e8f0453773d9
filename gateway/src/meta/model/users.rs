//! Users and their access keys.

use super::state::State;
use crate::chance;
use crate::meta::types::{AccessKey, User, UserId};
use crate::meta::{MetaError, Result};
use std::collections::BTreeMap;

/// The rows of users and access keys.
#[derive(Default)]
pub(super) struct Users {
    by_name: BTreeMap<String, User>,
    keys: BTreeMap<String, AccessKey>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").field("by_name", &self.by_name).finish_non_exhaustive()
    }
}

pub(super) fn create_user(state: &mut State, name: &str) -> Result<User> {
    let users = &mut state.users.by_name;
    if users.contains_key(name) {
        return Err(MetaError::Exists(format!("user {name}")));
    }
    let user = User { id: UserId(chance::uuid()), name: name.to_owned() };
    users.insert(name.to_owned(), user.clone());
    Ok(user)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn user(state: &mut State, name: &str) -> Result<Option<User>> {
    Ok(state.users.by_name.get(name).cloned())
}

pub(super) fn create_key(
    state: &mut State,
    user: UserId,
    access_key: &str,
    sealed: &[u8],
) -> Result<()> {
    if state.users.keys.contains_key(access_key) {
        return Err(MetaError::Exists(format!("access key {access_key}")));
    }
    let owner = state.users.by_name.values().find(|candidate| candidate.id == user).cloned();
    let key = AccessKey {
        access_key: access_key.to_owned(),
        sealed_secret: sealed.to_owned(),
        user: owner.ok_or_else(|| MetaError::Broken("a key without a user".to_owned()))?,
        created: state.now(),
    };
    state.users.keys.insert(access_key.to_owned(), key);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn key(state: &mut State, access_key: &str) -> Result<Option<AccessKey>> {
    Ok(state.users.keys.get(access_key).cloned())
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn keys(state: &mut State) -> Result<Vec<AccessKey>> {
    let mut keys: Vec<_> = state.users.keys.values().cloned().collect();
    keys.sort_by(|a, b| (&a.user.name, &a.access_key).cmp(&(&b.user.name, &b.access_key)));
    Ok(keys)
}

#[allow(clippy::unnecessary_wraps)] // As PostgreSQL's, which may fail.
pub(super) fn delete_key(state: &mut State, access_key: &str) -> Result<bool> {
    Ok(state.users.keys.remove(access_key).is_some())
}
