//! How administration finds its server: the directory of an embedded one, or a database.

use super::home;
use crate::auth::keys::Keys;
use crate::auth::seal::MasterKey;
use crate::meta::Meta;
use crate::meta::pg::Pg;
use crate::postgres::url_of_running;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// Connections of an administration command.
const CONNECTIONS: u32 = 2;

/// Which server is meant.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The first directory of a running `sixfold server`, or its --meta-dir
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The PostgreSQL of the cluster
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A file with that URL, which has a password
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// The file of the master key, for commands that make keys [default: master.key below DIR]
    #[arg(long, env = "SIXFOLD_MASTER_KEY_FILE", value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

impl Target {
    /// Connects to the rows.
    pub async fn connect(&self) -> anyhow::Result<Pg> {
        let pg = Pg::open(&self.url()?, CONNECTIONS)?;
        pg.reach().await?;
        Ok(pg)
    }

    /// The access keys, with the master key at hand.
    pub fn keys(&self, meta: Arc<dyn Meta>) -> anyhow::Result<Keys> {
        let file = match (&self.master_key_file, &self.dir) {
            (Some(file), _) => file.clone(),
            (None, Some(dir)) => home::find_meta(dir)?.join("master.key"),
            (None, None) => anyhow::bail!(
                "where is the master key? name --dir or --master-key-file (SIXFOLD_MASTER_KEY_FILE)"
            ),
        };
        Ok(Keys::new(meta, MasterKey::load(&file)?))
    }

    fn url(&self) -> anyhow::Result<String> {
        // A server of its own on DIR wins over a variable that happens to be set.
        if let Some(dir) = &self.dir {
            let meta = home::find_meta(dir)?;
            if meta.join("postgres").is_dir() {
                return url_of_running(&meta).map_err(Into::into);
            }
        }
        if let (None, Some(file)) = (&self.database_url, &self.database_url_file) {
            let text = std::fs::read_to_string(file);
            let text = text.with_context(|| format!("can't read {}", file.display()))?;
            return Ok(text.trim().to_owned());
        }
        self.database_url.clone().context(
            "which server? name the first directory of a running one (--dir ./data), or its \
             PostgreSQL (--database-url, DATABASE_URL, DATABASE_URL_FILE)",
        )
    }
}
