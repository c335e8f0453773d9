//! `sixfold server`: everything on one machine. Its files are drawn in [`super::home`].

use super::announce::Announcement;
use super::assembly::{self, Listeners, Parts};
use super::home::Home;
use super::{drives, root};
use crate::auth::keys::Keys;
use crate::auth::seal::MasterKey;
use crate::config::Config;
use crate::lease::Lease;
use crate::meta::pg::Pg;
use crate::meta::{Meta, migrate};
use crate::nodes::Directory;
use crate::postgres::{DirectoryLock, Managed, Settings};
use crate::shutdown::Shutdown;
use anyhow::Context;
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::NodeNumber;
use std::collections::HashMap;
use std::sync::Arc;

/// Starts, serves until a signal comes, and stops.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let listeners = Listeners::bind(&config).await?;
    let home = Home::open(&config.storage)?;
    let database = Database::start(&config, &home).await?;
    let served = serve(&config, &home, &database, listeners).await;
    let stopped = database.stop().await;
    served.and(stopped)
}

async fn serve(
    config: &Config,
    home: &Home,
    database: &Database,
    listeners: Listeners,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::new(config.http.drain + assembly::STOP_MARGIN);
    let pg = assembly::database(&database.url, config).await?;
    migrate::migrate(pg.pool()).await?;
    let meta: Arc<dyn Meta> = Arc::new(pg.clone());

    let key_file = config.cluster.master_key_file.clone().unwrap_or_else(|| home.master_key());
    let keys = Arc::new(Keys::new(Arc::clone(&meta), MasterKey::load_or_create(&key_file)?));
    let root = root::ensure(config.root.clone(), &keys, home).await?;

    let cluster = meta.cluster_id().await?;
    let known = if home.is_new { 0 } else { drives::known(&meta).await? };
    let opened = drives::open(&home.drives, known, cluster).await?;
    let zone = config.storage.zone.as_deref();
    let nodes = drives::register(opened, &meta, zone, &config.times, &shutdown).await?;
    let directory = directory(config, &meta, nodes).await?;
    let lease = Lease::begin(Arc::clone(&meta), "server", config.times.lease_renewal).await?;

    let parts = Parts { meta, keys, directory, lease, shutdown };
    let announcement = Announcement {
        address: listeners.s3.local_addr()?,
        admin_address: listeners.admin.local_addr()?,
        is_tls: listeners.tls.is_some(),
        region: &config.s3.region,
        root: &root,
        root_file: &home.root_file(),
        metadata: &database.shown,
    };
    let served = parts.serve(config, listeners, || announcement.print()).await;
    parts.finish().await;
    close(&pg).await;
    served
}

/// The cluster's nodes: ours, and those that registered, when a secret or a certificate lets us call them.
async fn directory(
    config: &Config,
    meta: &Arc<dyn Meta>,
    nodes: HashMap<NodeNumber, Arc<dyn Chunks>>,
) -> anyhow::Result<Arc<Directory>> {
    let cluster = meta.cluster_id().await?;
    let remote = assembly::remote(&config.cluster)?;
    let directory = Directory::with_limits(cluster, Arc::clone(meta), nodes, remote, config.nodes);
    directory.refresh().await.context("can't read the registry of nodes")?;
    Ok(directory)
}

/// Closes the pool so that PostgreSQL's own stop waits for nobody.
async fn close(pg: &Pg) {
    pg.pool().close().await;
}

/// The database: a PostgreSQL of our own, or one that somebody else runs.
struct Database {
    url: String,
    shown: String,
    managed: Option<Managed>,
    /// One server per directory, also when its database is elsewhere.
    _lock: Option<DirectoryLock>,
}

impl Database {
    async fn start(config: &Config, home: &Home) -> anyhow::Result<Self> {
        if let Some(url) = &config.database.url {
            let lock = DirectoryLock::take(&home.meta)?;
            let shown = "in the PostgreSQL that DATABASE_URL names".to_owned();
            return Ok(Self { url: url.clone(), shown, managed: None, _lock: Some(lock) });
        }
        let mut settings = Settings::new(&home.meta);
        settings.bin_dir.clone_from(&config.database.bin_dir);
        tracing::info!(dir = %home.meta.display(), "starting PostgreSQL");
        let managed = Managed::start(settings).await?;
        let url = managed.url();
        let shown = format!("{} (PostgreSQL of its own, on this one drive)", home.meta.display());
        Ok(Self { url, shown, managed: Some(managed), _lock: None })
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Some(managed) = self.managed else { return Ok(()) };
        managed
            .stop()
            .await
            .context("PostgreSQL did not stop cleanly; it recovers at the next start")
    }
}
