//! Access keys: made, found, replaced, deleted. A secret leaves this module opened, and reaches
//! the database sealed.

use super::seal::{MasterKey, Secret, Unopenable};
use super::{Identities, Identity};
use crate::meta::types::{AccessKey, User};
use crate::meta::{Meta, MetaError};
use async_trait::async_trait;
use rand::rngs::OsRng;
use rand::seq::IndexedRandom;
use rand::{Rng, TryRngCore};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After this an access key is read again, so a deleted one is refused everywhere by then.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// The most keys kept. Only existing ones are, so it takes as many users to fill it.
const KEPT_COUNT: usize = 10_000;

const ID_PREFIX: &str = "SX";
const ID_CHARS: usize = 20;
const SECRET_CHARS: usize = 40;
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const MIXED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Why an access key could not be used or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The rows could not be read or written.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// It was sealed under another master key.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
}

/// An access key with its secret and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret: Secret,
    /// Whose it is.
    pub user: User,
}

/// The access keys of the cluster.
pub struct Keys {
    meta: Arc<dyn Meta>,
    master: MasterKey,
    kept: Mutex<HashMap<String, (Instant, Arc<Key>)>>,
}

impl Keys {
    /// Keys sealed under `master`.
    pub fn new(meta: Arc<dyn Meta>, master: MasterKey) -> Self {
        Self { meta, master, kept: Mutex::default() }
    }

    /// The key of that id, at most [`KEPT_FOR`] old; that there is none is never remembered.
    pub async fn look_up(&self, access_key: &str) -> Result<Option<Arc<Key>>, KeyError> {
        if let Some(key) = self.kept(access_key) {
            return Ok(Some(key));
        }
        let asked = Instant::now();
        let Some(row) = self.meta.key(access_key).await? else { return Ok(None) };
        let secret = self.master.open(access_key, &row.sealed_secret)?;
        let key = Arc::new(Key { access_key: row.access_key, secret, user: row.user });
        self.keep(asked, key.clone());
        Ok(Some(key))
    }

    /// Whether the master key is the one that the cluster's secrets are sealed under: that of the
    /// oldest key of `user`, which a server has stored, or where there is none, of any key.
    pub async fn fits(&self, user: &str) -> Result<bool, KeyError> {
        let rows = self.meta.keys().await?;
        let opens = |row: &AccessKey| self.master.open(&row.access_key, &row.sealed_secret).is_ok();
        let own = rows.iter().filter(|row| row.user.name == user);
        Ok(match own.min_by_key(|row| row.created) {
            Some(own) => opens(own),
            None => rows.is_empty() || rows.iter().any(opens),
        })
    }

    /// Gives a user, made if there is none of that name, a random key.
    pub async fn create(&self, user: &str) -> Result<Key, KeyError> {
        let access_key = format!("{ID_PREFIX}{}", random(UPPER, ID_CHARS - ID_PREFIX.len()));
        self.add(user, &access_key, Secret::new(random(MIXED, SECRET_CHARS))).await
    }

    /// Makes this the only key of a user, as a server does with the root key it is given. Gives the
    /// access keys that it took the place of.
    pub async fn replace(
        &self,
        user: &str,
        access_key: &str,
        secret: Secret,
    ) -> Result<Vec<String>, KeyError> {
        let rows = self.meta.keys().await?;
        let (own, others): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.user.name == user);
        if others.iter().any(|row| row.access_key == access_key) {
            return Err(MetaError::Exists(format!("access key {access_key}")).into());
        }
        let is_same = |row: &AccessKey| {
            row.access_key == access_key
                && self.master.open(access_key, &row.sealed_secret).is_ok_and(|old| old == secret)
        };
        let is_there = own.iter().any(is_same);
        let old = own.iter().filter(|row| !is_same(row)).map(|row| row.access_key.clone());
        let old: Vec<_> = old.collect();
        for access_key in &old {
            self.delete(access_key).await?;
        }
        if !is_there {
            self.add(user, access_key, secret).await?;
        }
        Ok(old)
    }

    /// All keys without their secrets, by user name.
    pub async fn list(&self) -> Result<Vec<AccessKey>, KeyError> {
        Ok(self.meta.keys().await?)
    }

    /// Deletes a key; other gateways refuse it within [`KEPT_FOR`]. `false`: there was none.
    pub async fn delete(&self, access_key: &str) -> Result<bool, KeyError> {
        let deleted = self.meta.delete_key(access_key).await?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(access_key);
        Ok(deleted)
    }

    async fn add(&self, user: &str, access_key: &str, secret: Secret) -> Result<Key, KeyError> {
        let user = self.user(user).await?;
        let sealed = self.master.seal(access_key, &secret)?;
        self.meta.create_key(user.id, access_key, &sealed).await?;
        Ok(Key { access_key: access_key.to_owned(), secret, user })
    }

    async fn user(&self, name: &str) -> Result<User, KeyError> {
        if let Some(user) = self.meta.user(name).await? {
            return Ok(user);
        }
        match self.meta.create_user(name).await {
            // Made by another process in between.
            Err(MetaError::Exists(what)) => {
                self.meta.user(name).await?.ok_or_else(|| MetaError::Exists(what).into())
            }
            result => Ok(result?),
        }
    }

    fn kept(&self, access_key: &str) -> Option<Arc<Key>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, key) = kept.get(access_key)?;
        (asked.elapsed() < KEPT_FOR).then(|| key.clone())
    }

    fn keep(&self, asked: Instant, key: Arc<Key>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_COUNT {
            kept.clear();
        }
        kept.insert(key.access_key.clone(), (asked, key));
    }
}

#[async_trait]
impl Identities for Keys {
    async fn identity(&self, access_key: &str) -> Result<Option<Identity>, MetaError> {
        let found = self.look_up(access_key).await.map_err(|error| match error {
            KeyError::Meta(error) => error,
            KeyError::Unopenable(error) => MetaError::Broken(format!("{access_key}: {error}")),
        })?;
        Ok(found.map(|key| Identity {
            user: key.user.clone(),
            secret: key.secret.expose().to_owned().into(),
        }))
    }
}

/// Characters drawn from the system's generator. It never fails once the system runs.
fn random(alphabet: &[u8], count: usize) -> String {
    let mut rng = OsRng.unwrap_err();
    (0..count).filter_map(|_| draw(&mut rng, alphabet)).collect()
}

fn draw(rng: &mut impl Rng, alphabet: &[u8]) -> Option<char> {
    alphabet.choose(rng).map(|byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::model::Model;

    fn keys() -> (Arc<dyn Meta>, Keys) {
        let meta: Arc<dyn Meta> = Arc::new(Model::new());
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::load_or_create(&dir.path().join("key")).unwrap();
        (meta.clone(), Keys::new(meta, master))
    }

    #[tokio::test]
    async fn a_new_key_is_random_and_is_found() {
        let (_, keys) = keys();
        let key = keys.create("alt").await.unwrap();
        assert_eq!((key.access_key.len(), key.secret.expose().len()), (20, 40));
        assert!(key.access_key.starts_with("SX"));
        let second = keys.create("alt").await.unwrap();
        assert_eq!(second.user, key.user, "the same user");
        assert_ne!(second.access_key, key.access_key);
        assert_eq!(keys.look_up(&key.access_key).await.unwrap().as_deref(), Some(&key));
        let identity = keys.identity(&key.access_key).await.unwrap().unwrap();
        assert_eq!(identity.secret.expose(), key.secret.expose());
        assert!(!format!("{key:?}").contains(key.secret.expose()));
    }

    fn another_master() -> MasterKey {
        let dir = tempfile::tempdir().unwrap();
        MasterKey::load_or_create(&dir.path().join("key")).unwrap()
    }

    /// The root pair decides: it is sealed anew by the servers after a master key was lost.
    #[tokio::test]
    async fn a_master_key_that_no_secret_opens_under_does_not_fit() {
        let (meta, keys) = keys();
        let other = Keys::new(meta, another_master());
        assert!(keys.fits("root").await.unwrap() && other.fits("root").await.unwrap(), "no keys");
        keys.create("alt").await.unwrap();
        assert!(keys.fits("root").await.unwrap() && !other.fits("root").await.unwrap());
        other.replace("root", "ADMIN", Secret::new("one")).await.unwrap();
        assert!(!keys.fits("root").await.unwrap() && other.fits("root").await.unwrap());
    }

    #[tokio::test]
    async fn f37_a_deleted_key_is_gone_and_absence_is_not_remembered() {
        let (meta, keys) = keys();
        assert!(keys.look_up("SXNEW").await.unwrap().is_none());
        keys.replace("root", "SXNEW", Secret::new("secret")).await.unwrap();
        assert!(keys.look_up("SXNEW").await.unwrap().is_some());
        assert!(keys.delete("SXNEW").await.unwrap());
        assert!(keys.look_up("SXNEW").await.unwrap().is_none());
        assert!(meta.keys().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn f37_what_another_process_deleted_is_refused_after_a_named_time() {
        let (meta, keys) = keys();
        let key = keys.create("alt").await.unwrap();
        keys.look_up(&key.access_key).await.unwrap();
        meta.delete_key(&key.access_key).await.unwrap();
        assert!(keys.look_up(&key.access_key).await.unwrap().is_some(), "kept for a moment");
        keys.kept.lock().unwrap().get_mut(&key.access_key).unwrap().0 -= KEPT_FOR;
        assert!(keys.look_up(&key.access_key).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_given_root_key_replaces_the_stored_ones() {
        let (_, keys) = keys();
        let other = keys.create("alt").await.unwrap();
        let stored = keys.create("root").await.unwrap();
        let old = keys.replace("root", "ADMIN", Secret::new("one")).await.unwrap();
        assert_eq!(old, [stored.access_key.as_str()]);
        assert!(keys.look_up(&stored.access_key).await.unwrap().is_none());
        let old = keys.replace("root", "ADMIN", Secret::new("one")).await.unwrap();
        assert_eq!(old, Vec::<String>::new(), "the same");
        let old = keys.replace("root", "ADMIN", Secret::new("two")).await.unwrap();
        assert_eq!(old, ["ADMIN"]);
        let root = keys.look_up("ADMIN").await.unwrap().unwrap();
        assert_eq!(root.secret.expose(), "two");
        let taken = keys.replace("root", &other.access_key, Secret::new("x")).await;
        assert!(taken.is_err(), "another user's key is never taken over");
        assert_eq!(keys.list().await.unwrap().len(), 2);
    }
}
