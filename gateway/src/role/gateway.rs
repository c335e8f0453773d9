//! `sixfold gateway`: S3 for a cluster whose rows and nodes are elsewhere. It keeps nothing.

use super::assembly::{self, Listeners, Parts};
use super::root;
use crate::auth::keys::Keys;
use crate::auth::seal::MasterKey;
use crate::config::{Config, ConfigError};
use crate::lease::{Lease, LeasePace};
use crate::meta::{Meta, migrate};
use crate::nodes::{Directory, RemoteSettings};
use crate::role::say::say;
use crate::shutdown::{Shutdown, Signals};
use anyhow::Context;
use std::collections::HashMap;
use std::sync::Arc;

/// Starts, serves until a signal comes, and stops.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let needed = needed(&config)?;
    let recorded = sixfold_node::metrics::install().context("can't start the metrics")?;
    let listeners = Listeners::bind(&config).await?;
    let pg = assembly::database(needed.url, &config).await?;
    migrate::check_schema(pg.pool()).await?;
    let meta: Arc<dyn Meta> = Arc::new(pg.clone());
    let keys = Arc::new(Keys::new(Arc::clone(&meta), MasterKey::load(needed.master_key)?));
    if let Some(given) = config.root.clone() {
        root::take_given(given, &keys).await?;
    }
    if keys.list().await?.is_empty() {
        tracing::warn!(
            "there is no access key yet: make one with `sixfold key create --name NAME`"
        );
    }

    let cluster = meta.cluster_id().await?;
    let rows = Arc::clone(&meta);
    let directory =
        Directory::with_limits(cluster, rows, HashMap::new(), Some(needed.remote), config.nodes);
    directory.refresh().await.context("can't read the registry of nodes")?;
    // Until here there is nothing to stop, and a signal ends the process by itself.
    let mut signals = Signals::listen().context("can't wait for signals")?;
    let lease = Lease::begin(Arc::clone(&meta), "gateway", config.times.lease_renewal).await?;
    let pace = LeasePace::of_movers(config.times.lease_renewal);
    let movers = Lease::begin(Arc::clone(&meta), "gateway, moving chunks", pace).await?;

    let shutdown = Shutdown::new(config.http.drain + assembly::STOP_MARGIN);
    let (drives, checks) = (Vec::new(), Arc::new(pg.clone()));
    let tracer = assembly::tracer(&config, &listeners)?;
    let parts =
        Parts { pg, meta, checks, keys, directory, lease, movers, drives, shutdown, tracer };
    let (address, admin) = (listeners.s3.local_addr()?, listeners.admin.local_addr()?);
    let served = parts
        .serve(&config, listeners, &mut signals, recorded, || {
            // It serves whether anybody reads this or not.
            let _ = say!("Sixfold gateway: S3 on {address}, health on {admin}");
        })
        .await;
    parts.finish().await;
    parts.pg.pool().close().await;
    served
}

/// What a gateway can't be without.
struct Needed<'a> {
    url: &'a str,
    master_key: &'a std::path::Path,
    remote: RemoteSettings,
}

fn needed(config: &Config) -> anyhow::Result<Needed<'_>> {
    let missing =
        |what: &str, name: &str| ConfigError::new(format!("a gateway needs {what}: set {name}"));
    if !config.storage.dirs.is_empty() {
        let line = "a gateway keeps nothing on this machine: leave DIR (storage.dirs) out";
        return Err(ConfigError::new(line).into());
    }
    Ok(Needed {
        url: config.database.url.as_deref().ok_or_else(|| missing("PostgreSQL", "DATABASE_URL"))?,
        master_key: config
            .cluster
            .master_key_file
            .as_deref()
            .ok_or_else(|| missing("the cluster's master key file", "SIXFOLD_MASTER_KEY_FILE"))?,
        remote: assembly::remote(&config.cluster)?.ok_or_else(|| {
            missing(
                "the cluster secret, or certificates for mutual TLS with the nodes",
                "SIXFOLD_CLUSTER_SECRET, SIXFOLD_CLUSTER_SECRET_FILE or SIXFOLD_CLUSTER_TLS_CERT, \
                 …_KEY and …_CA",
            )
        })?,
    })
}
