//! `sixfold migrate`: brings the database to this release's schema.

use super::admin::Target;
use super::assembly;
use crate::role::say::say;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// What can be asked of it.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The database
    #[command(flatten)]
    target: Target,
    /// A file with the password that node processes log in with, as the role `sixfold_node`
    #[arg(long, value_name = "FILE")]
    node_role_password_file: Option<PathBuf>,
}

/// Migrates once, under a lock of the database.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { target, node_role_password_file } = arguments;
    let pg = target.connect().await?;
    assembly::check(&pg).await?;
    crate::meta::migrate::migrate(pg.pool()).await?;
    if let Some(file) = &node_role_password_file {
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {shown}"))?;
        let set = pg.set_node_password(text.trim_end_matches(['\r', '\n'])).await;
        set.context("can't let the role sixfold_node log in")?;
    }
    if target.json {
        say!("{}", serde_json::json!({ "migrated": true }))?;
    } else {
        say!("the database has this release's schema")?;
    }
    Ok(())
}
