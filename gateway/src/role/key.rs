//! `sixfold key`: users and their access keys.

use super::admin::Target;
use super::root::ROOT;
use crate::auth::keys::Keys;
use crate::meta::Meta;
use crate::meta::types::{User, UserId};
use crate::role::say::say;
use clap::Subcommand;
use std::sync::Arc;

/// What can be done with keys.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make an access key for a user; the user is made when there is none of that name
    Create {
        /// The user's name
        #[arg(long)]
        name: String,
        /// The server
        #[command(flatten)]
        target: Target,
    },
    /// All access keys, without their secrets
    List {
        /// The server
        #[command(flatten)]
        target: Target,
    },
    /// Delete an access key; it is refused everywhere within seconds
    Delete {
        /// The access key
        access_key: String,
        /// Also the root pair's
        #[arg(long)]
        force: bool,
        /// The server
        #[command(flatten)]
        target: Target,
    },
}

/// Runs one of them.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { name, target } => create(&name, &target).await,
        Command::List { target } => list(&target).await,
        Command::Delete { access_key, force, target } => delete(&access_key, force, &target).await,
    }
}

async fn keys(target: &Target) -> anyhow::Result<Keys> {
    let meta: Arc<dyn Meta> = Arc::new(target.connect().await?);
    target.keys(meta)
}

async fn create(name: &str, target: &Target) -> anyhow::Result<()> {
    anyhow::ensure!(
        !name.is_empty() && name.chars().count() <= 64 && !name.chars().any(char::is_control),
        "a user's name has 1 to 64 characters"
    );
    anyhow::ensure!(
        name != ROOT,
        "{ROOT} has one pair, the server's own: start with SIXFOLD_ROOT_ACCESS_KEY and \
         SIXFOLD_ROOT_SECRET_KEY set to change it, or choose another name"
    );
    let keys = keys(target).await?;
    anyhow::ensure!(
        keys.fits(ROOT).await?,
        "this master key is not the one that the cluster's secrets are sealed under, and no server \
         could open a key made with it: name the servers' own with --master-key-file \
         (SIXFOLD_MASTER_KEY_FILE)"
    );
    let key = keys.create(name).await?;
    let owner = owner_id(key.user.id);
    if target.json {
        let value = serde_json::json!({
            "access_key": key.access_key,
            "secret_key": key.secret.expose(),
            "owner_id": owner,
            "display_name": key.user.name,
        });
        say!("{value:#}")?;
        return Ok(());
    }
    say!("access key    {}", key.access_key)?;
    say!("secret key    {}   (not shown again)", key.secret.expose())?;
    say!("owner id      {owner}")?;
    say!("display name  {}", key.user.name)?;
    Ok(())
}

async fn list(target: &Target) -> anyhow::Result<()> {
    let meta: Arc<dyn Meta> = Arc::new(target.connect().await?);
    let rows = meta.keys().await?;
    if target.json {
        let rows: Vec<_> = rows.iter().map(|row| as_json(&row.access_key, &row.user)).collect();
        say!("{:#}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    say!("{:<24} {:<20} owner id", "access key", "user")?;
    for row in rows {
        say!("{:<24} {:<20} {}", row.access_key, row.user.name, owner_id(row.user.id))?;
    }
    Ok(())
}

fn as_json(access_key: &str, user: &User) -> serde_json::Value {
    serde_json::json!({
        "access_key": access_key,
        "owner_id": owner_id(user.id),
        "display_name": user.name,
    })
}

async fn delete(access_key: &str, is_forced: bool, target: &Target) -> anyhow::Result<()> {
    let meta: Arc<dyn Meta> = Arc::new(target.connect().await?);
    let is_root = meta.key(access_key).await?.is_some_and(|row| row.user.name == ROOT);
    anyhow::ensure!(
        is_forced || !is_root,
        "{access_key} is the root pair's: nobody is root then until a server is started again, \
         which makes a new pair or takes SIXFOLD_ROOT_ACCESS_KEY and SIXFOLD_ROOT_SECRET_KEY; \
         --force deletes it all the same"
    );
    anyhow::ensure!(meta.delete_key(access_key).await?, "there is no access key {access_key}");
    if target.json {
        say!("{}", serde_json::json!({ "deleted": access_key }))?;
    } else {
        say!("deleted {access_key}")?;
    }
    Ok(())
}

/// A user's id as clients see it: 64 hex digits, as Amazon's canonical ids.
fn owner_id(id: UserId) -> String {
    let half = id.0.simple().to_string();
    format!("{half}{half}")
}
