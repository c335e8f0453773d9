//! The root pair: given by the settings, or made once at the first start.

use super::home::{Home, write_private};
use crate::auth::keys::{Key, Keys};
use crate::auth::seal::{MasterKey, Secret};
use crate::config::{RootCredentials, Source};
use crate::meta::Meta;
use anyhow::Context;
use std::path::Path;

/// The pair that MinIO starts with when nobody names one.
const KNOWN_TO_ALL: [&str; 2] = ["minioadmin", "minioadmin"];

/// The user that the root pair belongs to, and that has no other key.
pub(super) const ROOT: &str = "root";

/// The root pair, and whether it was made just now.
pub(super) struct Root {
    pub(super) access_key: String,
    pub(super) secret: Secret,
    pub(super) is_new: bool,
    /// Where the settings gave its secret, when they did.
    pub(super) given_by: Option<Source>,
}

/// The key that secrets are sealed under. It is made only where nothing was ever sealed: a new one
/// in place of a lost one would shut every user out for good.
pub(super) async fn master_key(file: &Path, meta: &dyn Meta) -> anyhow::Result<MasterKey> {
    if matches!(file.try_exists(), Ok(false)) {
        let sealed = meta.keys().await?.len();
        anyhow::ensure!(
            sealed == 0,
            "the master key {} is missing, and {sealed} access keys are sealed under it: restore \
             it from a backup. If it is lost for good, so are their secrets: put a new one there \
             (openssl rand -hex 32, mode 600), start with SIXFOLD_ROOT_ACCESS_KEY and \
             SIXFOLD_ROOT_SECRET_KEY set, and make the users new keys",
            file.display()
        );
    }
    Ok(MasterKey::load_or_create(file)?)
}

/// Sees to it that there is one root pair. One that is given replaces what is stored.
pub(super) async fn ensure(
    given: Option<RootCredentials>,
    keys: &Keys,
    home: &Home,
) -> anyhow::Result<Root> {
    if let Some(given) = given {
        return take(given, keys, home).await;
    }
    if let Some(key) = stored(keys).await? {
        keep(&key, home)?;
        let Key { access_key, secret, .. } = key;
        return Ok(Root { access_key, secret, is_new: false, given_by: None });
    }
    let key = keys.create(ROOT).await.context("can't make the root pair")?;
    keep(&key, home)?;
    let Key { access_key, secret, .. } = key;
    Ok(Root { access_key, secret, is_new: true, given_by: None })
}

async fn take(given: RootCredentials, keys: &Keys, home: &Home) -> anyhow::Result<Root> {
    let root = take_given(given, keys).await?;
    // What the file says is no longer true.
    let _ = std::fs::remove_file(home.root_file());
    Ok(root)
}

/// Stores the pair that the settings give in place of an older one.
pub(super) async fn take_given(given: RootCredentials, keys: &Keys) -> anyhow::Result<Root> {
    let RootCredentials { access_key, secret_key, source, secret_source } = given;
    if [&access_key[..], &secret_key[..]] == KNOWN_TO_ALL {
        tracing::warn!("the root pair is the one that everybody knows: choose another");
    }
    let secret = Secret::new(secret_key);
    let old = keys
        .replace(ROOT, &access_key, secret.clone())
        .await
        .context("can't store the given root pair")?;
    if old.is_empty() {
        tracing::info!(access_key, %source, "the given root pair is taken");
    } else {
        let old = old.join(", ");
        tracing::info!(access_key, %source, old, "the given root pair is taken; it replaced an older one");
    }
    Ok(Root { access_key, secret, is_new: false, given_by: Some(secret_source) })
}

/// The root pair in the rows, opened with the master key.
async fn stored(keys: &Keys) -> anyhow::Result<Option<Key>> {
    let rows = keys.list().await?.into_iter().filter(|row| row.user.name == ROOT);
    let Some(row) = rows.min_by_key(|row| row.created) else { return Ok(None) };
    let key = keys.look_up(&row.access_key).await.context(
        "the stored root pair can't be opened: the master key is not the one it was sealed with; \
         restore meta/master.key",
    )?;
    Ok(key.map(|key| key.as_ref().clone()))
}

/// Writes the pair where its owner can read it.
fn keep(key: &Key, home: &Home) -> anyhow::Result<()> {
    let text = serde_json::json!({
        "access_key": key.access_key,
        "secret_key": key.secret.expose(),
    });
    let text = format!("{text:#}\n");
    let path = home.root_file();
    if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    write_private(&path, &text)
}
