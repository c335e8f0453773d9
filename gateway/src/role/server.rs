//! `sixfold server`: everything on one machine. Its files are drawn in [`super::home`].

use super::announce::Announcement;
use super::assembly::{self, Listeners, Parts};
use super::drives;
use super::home::Home;
use super::metadata;
use super::root::{self, Root};
use crate::auth::keys::Keys;
use crate::config::{Config, Flags};
use crate::lease::{Lease, LeasePace};
use crate::meta::pg::Pg;
use crate::meta::{Meta, migrate};
use crate::nodes::Directory;
use crate::postgres::{DirectoryLock, Managed, PostgresError, Settings};
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry::trace::Tracer;
use anyhow::Context;
use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use sixfold_node::Store;
use sixfold_proto::chunks::Chunks;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Its command line.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Settings that stand above file and environment
    #[command(flatten)]
    pub flags: Flags,
    /// Make a lost database anew from its copy on the other DIRs, then serve
    #[arg(long)]
    pub recover_meta: bool,
}

/// Starts, serves until a signal comes, and stops.
pub async fn run(config: Config, recovers: bool) -> anyhow::Result<()> {
    let recorded = sixfold_node::metrics::install().context("can't start the metrics")?;
    let mut signals = Signals::listen().context("can't wait for signals")?;
    // Before the addresses: the same command twice is told of the first one, not of its port.
    Home::check_free(&config.storage)?;
    let listeners = Listeners::bind(&config).await?;
    if !recovers {
        metadata::refuse_empty(&config)?;
    } else if metadata::recover(&config, &mut signals).await?.is_none() {
        return Ok(());
    }
    let home = Home::open(&config.storage)?;
    let Some(database) = Database::start(&config, &home, &mut signals).await? else {
        return Ok(());
    };
    let served = serve(&config, &home, &database, listeners, &mut signals, recorded).await;
    let stopped = database.stop().await;
    served.and(stopped)
}

/// What is there once the rows and the drives are.
struct Prepared {
    parts: Parts,
    root: Root,
    /// What there is to say of the metadata's place.
    metadata: String,
    master_key: PathBuf,
}

async fn prepare(
    config: &Config,
    home: &Home,
    database: &Database,
    tracer: Tracer,
) -> anyhow::Result<Prepared> {
    let shutdown = Shutdown::new(config.http.drain + assembly::STOP_MARGIN);
    let pg = assembly::database(&database.url, config).await?;
    migrate::migrate(pg.pool()).await?;
    let meta: Arc<dyn Meta> = Arc::new(pg.clone());

    let key_file = config.cluster.master_key_file.clone().unwrap_or_else(|| home.master_key());
    let master = root::master_key(&key_file, meta.as_ref()).await?;
    let keys = Arc::new(Keys::new(Arc::clone(&meta), master));
    let root = root::ensure(config.root.clone(), &keys, home).await?;

    let cluster = meta.cluster_id().await?;
    let known = if home.is_new { Vec::new() } else { drives::known(&meta).await? };
    let opened = drives::open(home, &known, cluster).await?;
    drives::note_lost(&opened, &known, &meta).await?;
    home.leave_note()?;
    // Before anything is served, so that all that is acknowledged is copied.
    let metadata = match &database.managed {
        Some(managed) => metadata::keep_copies(config, home, managed, &opened).await?,
        None => String::new(),
    };
    let metadata = database.shown(home, &metadata);
    let drives = drives::register(opened, &meta, cluster, config, &shutdown).await?;
    let directory = directory(config, &meta, &drives).await?;
    let lease = Lease::begin(Arc::clone(&meta), "server", config.times.lease_renewal).await?;
    let pace = LeasePace::of_movers(config.times.lease_renewal);
    let movers = Lease::begin(Arc::clone(&meta), "server, moving chunks", pace).await?;
    let checks = Arc::new(pg.clone());
    let parts =
        Parts { pg, meta, checks, keys, directory, lease, movers, drives, shutdown, tracer };
    Ok(Prepared { parts, root, metadata, master_key: key_file })
}

async fn serve(
    config: &Config,
    home: &Home,
    database: &Database,
    listeners: Listeners,
    signals: &mut Signals,
    recorded: PrometheusHandle,
) -> anyhow::Result<()> {
    let tracer = assembly::tracer(config, &listeners)?;
    let Prepared { parts, root, metadata, master_key } = tokio::select! {
        prepared = prepare(config, home, database, tracer) => prepared?,
        signal = signals.received() => {
            tracing::info!(signal, "stopping before the start is done");
            return Ok(());
        }
    };
    let announcement = Announcement {
        address: listeners.s3.local_addr()?,
        admin_address: listeners.admin.local_addr()?,
        is_tls: listeners.tls.is_some(),
        region: &config.s3.region,
        root: &root,
        root_file: &home.root_file(),
        metadata: &metadata,
        master_key: &master_key,
    };
    let announce = || announcement.print();
    let served = parts.serve(config, listeners, signals, recorded, announce).await;
    parts.finish().await;
    parts.leave_journal().await;
    close(&parts.pg).await;
    served
}

/// The cluster's nodes: ours, and those that registered, when a secret or a certificate lets us call them.
async fn directory(
    config: &Config,
    meta: &Arc<dyn Meta>,
    drives: &[Arc<Store>],
) -> anyhow::Result<Arc<Directory>> {
    let cluster = meta.cluster_id().await?;
    let node = |drive: &Arc<Store>| (drive.node(), Arc::clone(drive) as Arc<dyn Chunks>);
    let nodes = drives.iter().map(node).collect();
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
    managed: Option<Managed>,
    /// One server per directory, also when its database is elsewhere.
    _lock: Option<DirectoryLock>,
}

impl Database {
    /// The database, or nothing when a signal came before it was there.
    async fn start(
        config: &Config,
        home: &Home,
        signals: &mut Signals,
    ) -> anyhow::Result<Option<Self>> {
        if let Some(url) = &config.database.url {
            let lock = DirectoryLock::take(&home.meta)?;
            return Ok(Some(Self { url: url.clone(), managed: None, _lock: Some(lock) }));
        }
        let settings = metadata::settings(config, &home.meta);
        tracing::info!(dir = %home.meta.display(), "starting PostgreSQL");
        let Some(managed) = start_managed(settings, signals).await? else { return Ok(None) };
        let url = managed.url();
        Ok(Some(Self { url, managed: Some(managed), _lock: None }))
    }

    /// Where it is, and on how many drives.
    fn shown(&self, home: &Home, copied: &str) -> String {
        match self.managed {
            Some(_) => format!("{} (PostgreSQL of its own, {copied})", home.meta.display()),
            None => "in the PostgreSQL that DATABASE_URL names".to_owned(),
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Some(managed) = self.managed else { return Ok(()) };
        managed
            .stop()
            .await
            .context("PostgreSQL did not stop cleanly; it recovers at the next start")
    }
}

/// Starts PostgreSQL, and stops it again when a signal comes meanwhile.
async fn start_managed(
    settings: Settings,
    signals: &mut Signals,
) -> anyhow::Result<Option<Managed>> {
    let stop = CancellationToken::new();
    let mut starting = pin!(Managed::start(settings, &stop));
    let signal = tokio::select! {
        started = &mut starting => return Ok(Some(started?)),
        signal = signals.received() => signal,
    };
    tracing::info!(signal, "stopping before PostgreSQL has started");
    stop.cancel();
    match starting.await {
        Ok(managed) => managed.stop().await?,
        Err(PostgresError::Interrupted) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(None)
}
