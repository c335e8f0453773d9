//! Every setting: where it may come from, what it is by default, and why.
//!
//! A TOML file, the environment and flags, in rising precedence. Read once at the start; a value
//! that can't be used stops the start with one line that names the value, its source and the
//! mend. No other module reads the environment.

mod flags;
mod keys;
mod reader;
mod reference;
mod sections;
mod show;
mod units;

#[cfg(test)]
mod tests;

pub use flags::Flags;
pub use keys::Key;
pub use reader::{ConfigError, Environment, Source};
pub use reference::reference;
pub use show::Shown;

use crate::data::DataLimits;
use crate::nodes::NodeLimits;
use crate::postgres::CopyPolicy;
use crate::telemetry::trace::TraceSettings;
use crate::telemetry::{FileLimits, LogFormat, LogOutput};
use reader::Reader;
use sixfold_node::scrub::ScrubSettings;
use sixfold_proto::scrape::AdminToken;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// All settings of a process.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is where on this machine.
    pub storage: StorageConfig,
    /// Listeners and their limits.
    pub http: HttpConfig,
    /// What clients must know of us.
    pub s3: S3Config,
    /// The root pair, when one is given.
    pub root: Option<RootCredentials>,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// What gateways and nodes of one cluster share.
    pub cluster: ClusterConfig,
    /// Limits of bodies on their way.
    pub data: DataLimits,
    /// How nodes are watched and called.
    pub nodes: NodeLimits,
    /// Heartbeats, leases and jobs: the design's times.
    pub times: TimesConfig,
    /// How often and how fast embedded drives are verified.
    pub scrub: ScrubSettings,
    /// Log lines.
    pub log: LogConfig,
    /// Where traces go; none: they are not made.
    pub trace: Option<TraceSettings>,
    /// What was set and has no effect, one line each.
    pub doubts: Vec<String>,
    /// Every value and where it came from, for `sixfold config show`.
    pub shown: Vec<Shown>,
}

/// What is where on this machine.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// One directory (six nodes in folders below it) or six and more (one node each).
    pub dirs: Vec<PathBuf>,
    /// Where the embedded PostgreSQL, the master key and the root pair live; by default `meta`
    /// below the first directory.
    pub meta_dir: Option<PathBuf>,
    /// Where the embedded PostgreSQL is copied.
    pub meta_copies: CopyPolicy,
    /// MiB of WAL since a copy's base backup after which it is renewed.
    pub meta_copies_wal_mib: u32,
    /// The failure domain of embedded nodes; `None`: each drive is one of its own.
    pub zone: Option<String>,
}

/// Listeners and their limits.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where S3 is served. Loopback by default: nothing is open to a network unasked.
    pub address: SocketAddr,
    /// Where health and metrics are served, without a signature.
    pub admin_address: SocketAddr,
    /// What scrapers show there.
    pub admin_token: Option<AdminToken>,
    /// Certificate chain and key in PEM; both or none.
    pub tls: Option<TlsFiles>,
    /// Connections at once per address. Each costs some 300 KiB at most.
    pub max_connections: usize,
    /// Requests at once; more get 503 `SlowDown`. Their stripes have a budget of their own.
    pub max_requests: usize,
    /// From a connection's first byte to the end of a header.
    pub header_timeout: Duration,
    /// How long a client may pause within a body.
    pub body_idle: Duration,
    /// How long a client may take nothing of an answer.
    pub stall: Duration,
    /// How long requests may take to finish when the process stops: below the 30 s after which
    /// container runtimes kill.
    pub drain: Duration,
}

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the server's certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What clients must know of us.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The region that signatures must name.
    pub region: String,
    /// Domains below which a label is a bucket's name, any port. Path style always works.
    pub domains: Vec<String>,
    /// A bucket that is created at the start, owned by root.
    pub bucket: Option<String>,
}

/// The root pair as it was given.
#[derive(Clone)]
pub struct RootCredentials {
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// Where the access key came from.
    pub source: Source,
    /// Where the secret key came from.
    pub secret_source: Source,
}

impl std::fmt::Debug for RootCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RootCredentials({}, from {})", self.access_key, self.source)
    }
}

/// PostgreSQL.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// A PostgreSQL that is run by somebody else; none: the server runs its own.
    pub url: Option<String>,
    /// Connections of this process.
    pub max_connections: u32,
    /// Where `initdb` and `postgres` are, when not in the usual places.
    pub bin_dir: Option<PathBuf>,
    /// MiB of pages that the server's own PostgreSQL keeps in its memory.
    pub shared_buffers_mib: u32,
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DatabaseConfig(foreign: {})", self.url.is_some())
    }
}

/// What gateways and nodes of one cluster share.
#[derive(Clone, Default)]
pub struct ClusterConfig {
    /// Proves to a node that a gateway belongs to the cluster, and the other way round.
    pub secret: Option<String>,
    /// Mutual TLS between gateways and nodes, on top of the secret; all nodes or none.
    pub tls: Option<ClusterTls>,
    /// The file of the key under which secrets are sealed in the rows.
    pub master_key_file: Option<PathBuf>,
}

/// The files of mutual TLS, in PEM. A node is trusted when its certificate is signed by the
/// authority and names the host in the node's address; the node asks the same authority.
#[derive(Clone, Debug)]
pub struct ClusterTls {
    /// The certificate that is shown to nodes.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority whose certificates nodes must have.
    pub authority: PathBuf,
}

impl std::fmt::Debug for ClusterConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tls, master_key_file, .. } = self;
        write!(formatter, "ClusterConfig({tls:?}, master key file: {master_key_file:?})")
    }
}

/// The design's times. All of them exist to be made short in tests.
#[derive(Clone, Debug)]
pub struct TimesConfig {
    /// How often an embedded node says that it is there.
    pub heartbeat: Duration,
    /// How often a lease is renewed.
    pub lease_renewal: Duration,
    /// Silence after which somebody else may end a lease.
    pub lease_expiry: Duration,
    /// How long a freed body is kept at least, for reads that began before.
    pub freed_for: Duration,
    /// How often freed bodies are looked for.
    pub collect_every: Duration,
    /// How often idle uploads and silent leases are looked for.
    pub expire_every: Duration,
    /// Idle time after which an upload is given up.
    pub upload_idle: Duration,
    /// How often a node's chunks are compared with the rows.
    pub sweep_every: Duration,
    /// How often missing chunks are looked for.
    pub heal_every: Duration,
    /// How often chunks that should be elsewhere are looked for.
    pub rebalance_every: Duration,
}

/// Log lines.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which lines, as `RUST_LOG` has it.
    pub filter: Option<String>,
    /// Where they go.
    pub output: LogOutput,
    /// How large and old log files become.
    pub limits: FileLimits,
    /// Requests that take this long are told apart.
    pub slow_after: Duration,
}

impl Config {
    /// Reads every source. The flags win over the environment, and it over the file.
    pub fn load(flags: &Flags, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::open(flags, environment)?;
        let mut nodes = sections::nodes(&mut reader)?;
        let config = Self {
            times: sections::times(&mut reader, &mut nodes)?,
            nodes,
            storage: sections::storage(&mut reader)?,
            http: sections::http(&mut reader)?,
            s3: sections::s3(&mut reader)?,
            root: sections::root(&mut reader)?,
            database: sections::database(&mut reader)?,
            cluster: sections::cluster(&mut reader)?,
            data: sections::data(&mut reader)?,
            scrub: sections::scrub(&mut reader)?,
            log: sections::log(&mut reader)?,
            trace: sections::trace(&mut reader)?,
            doubts: reader.take_doubts(),
            shown: reader.into_shown(),
        };
        config.check()?;
        Ok(config)
    }

    /// Notes which of these variables of the environment look like settings and are none.
    pub fn doubt_unknown(&mut self, variables: impl Iterator<Item = String>) {
        let unknown = variables.filter(|name| keys::is_unknown(name));
        self.doubts.extend(unknown.map(|name| {
            format!("{name} is set and is no setting; `sixfold config show` lists all there are")
        }));
    }

    /// What no single value can say.
    fn check(&self) -> Result<(), ConfigError> {
        let times = &self.times;
        if times.lease_renewal * 2 > times.lease_expiry {
            return Err(ConfigError::new(
                "times.lease_renewal must be at most half of times.lease_expiry: a lease that is \
                 renewed late is ended by others, with the writes that it protects",
            ));
        }
        if times.heartbeat * 2 > self.nodes.dead_after {
            return Err(ConfigError::new(
                "times.heartbeat must be at most half of times.dead_after: one lost heartbeat is \
                 no dead node",
            ));
        }
        if self.nodes.refresh_every > self.nodes.dead_after {
            return Err(ConfigError::new(
                "times.ring_refresh must be at most times.dead_after: a node's death is seen when \
                 the registry is read",
            ));
        }
        if self.http.address == self.http.admin_address && self.http.address.port() != 0 {
            return Err(ConfigError::new(
                "http.address and http.admin_address are the same: choose another port for \
                 --admin-address",
            ));
        }
        Ok(())
    }
}
