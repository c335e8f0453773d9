//! The root pair: given by the settings, or made once at the first start.

use super::home::{Home, write_private};
use crate::auth::keys::{Key, Keys};
use crate::auth::seal::Secret;
use crate::config::RootCredentials;
use anyhow::Context;

/// The user that the root pair belongs to.
pub(super) const ROOT: &str = "root";

/// The root pair, and whether it was made just now.
pub(super) struct Root {
    pub(super) access_key: String,
    pub(super) secret: Secret,
    pub(super) is_new: bool,
    pub(super) is_given: bool,
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
        return Ok(Root { access_key, secret, is_new: false, is_given: false });
    }
    let key = keys.create(ROOT).await.context("can't make the root pair")?;
    keep(&key, home)?;
    let Key { access_key, secret, .. } = key;
    Ok(Root { access_key, secret, is_new: true, is_given: false })
}

async fn take(given: RootCredentials, keys: &Keys, home: &Home) -> anyhow::Result<Root> {
    let root = take_given(given, keys).await?;
    // What the file says is no longer true.
    let _ = std::fs::remove_file(home.root_file());
    Ok(root)
}

/// Stores the pair that the settings give in place of an older one.
pub(super) async fn take_given(given: RootCredentials, keys: &Keys) -> anyhow::Result<Root> {
    let RootCredentials { access_key, secret_key, source } = given;
    let secret = Secret::new(secret_key);
    let has_changed = keys
        .replace(ROOT, &access_key, secret.clone())
        .await
        .context("can't store the given root pair")?;
    if has_changed {
        tracing::info!(
            access_key,
            source,
            "the given root pair is taken; an older one is replaced"
        );
    } else {
        tracing::info!(access_key, source, "the given root pair is taken");
    }
    Ok(Root { access_key, secret, is_new: false, is_given: true })
}

/// The root pair in the rows, opened with the master key.
async fn stored(keys: &Keys) -> anyhow::Result<Option<Key>> {
    let rows = keys.list().await?;
    let Some(row) = rows.into_iter().find(|row| row.user.name == ROOT) else { return Ok(None) };
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
