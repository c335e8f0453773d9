//! `sixfold gateway`: S3 for a cluster whose rows and nodes are elsewhere. It keeps nothing.

use super::assembly::{self, Listeners, Parts};
use super::root;
use crate::auth::keys::Keys;
use crate::auth::seal::MasterKey;
use crate::config::{Config, ConfigError};
use crate::lease::Lease;
use crate::meta::{Meta, migrate};
use crate::nodes::Directory;
use crate::shutdown::Shutdown;
use anyhow::Context;
use sixfold_proto::secret::ClusterSecret;
use std::collections::HashMap;
use std::sync::Arc;

/// Starts, serves until a signal comes, and stops.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let needed = needed(&config)?;
    let listeners = Listeners::bind(&config).await?;
    let pg = assembly::database(needed.url, &config).await?;
    migrate::check_schema(pg.pool()).await?;
    let meta: Arc<dyn Meta> = Arc::new(pg.clone());
    let keys = Arc::new(Keys::new(Arc::clone(&meta), MasterKey::load(needed.master_key)?));
    if let Some(given) = config.root.clone() {
        root::take_given(given, &keys).await?;
    }

    let remote = assembly::remote(needed.secret, &config.cluster)?;
    let cluster = meta.cluster_id().await?;
    let rows = Arc::clone(&meta);
    let directory =
        Directory::with_limits(cluster, rows, HashMap::new(), Some(remote), config.nodes);
    directory.refresh().await.context("can't read the registry of nodes")?;
    let lease = Lease::begin(Arc::clone(&meta), "gateway", config.times.lease_renewal).await?;

    let shutdown = Shutdown::new(config.http.drain + assembly::STOP_MARGIN);
    let parts = Parts { meta, keys, directory, lease, shutdown };
    let (address, admin) = (listeners.s3.local_addr()?, listeners.admin.local_addr()?);
    let served = parts
        .serve(&config, listeners, || {
            println!("Sixfold gateway is ready: S3 on {address}, health on {admin}");
        })
        .await;
    parts.finish().await;
    pg.pool().close().await;
    served
}

/// What a gateway can't be without.
struct Needed<'a> {
    url: &'a str,
    master_key: &'a std::path::Path,
    secret: ClusterSecret,
}

fn needed(config: &Config) -> Result<Needed<'_>, ConfigError> {
    let missing =
        |what: &str, name: &str| ConfigError::new(format!("a gateway needs {what}: set {name}"));
    let secret = config.cluster.secret.as_deref();
    let secret = secret.ok_or_else(|| {
        missing("the cluster secret", "SIXFOLD_CLUSTER_SECRET or SIXFOLD_CLUSTER_SECRET_FILE")
    })?;
    Ok(Needed {
        url: config.database.url.as_deref().ok_or_else(|| missing("PostgreSQL", "DATABASE_URL"))?,
        master_key: config
            .cluster
            .master_key_file
            .as_deref()
            .ok_or_else(|| missing("the cluster's master key file", "SIXFOLD_MASTER_KEY_FILE"))?,
        secret: ClusterSecret::parse(secret)
            .map_err(|error| ConfigError::new(error.to_string()))?,
    })
}
