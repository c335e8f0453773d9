//! The names of every setting, in the file, in the environment and as a flag.

use clap::Args;
use std::path::PathBuf;

/// One setting's names.
#[derive(Debug)]
pub struct Key {
    /// In the TOML file: `section.name`.
    pub name: &'static str,
    /// In the environment; the first that is set wins. Secrets may also be in a file that
    /// `NAME_FILE` names.
    pub environment: &'static [&'static str],
    /// On the command line.
    pub flag: Option<&'static str>,
    /// Never printed.
    pub is_secret: bool,
}

const fn key(name: &'static str, environment: &'static [&'static str]) -> Key {
    Key { name, environment, flag: None, is_secret: false }
}

const fn flagged(
    name: &'static str,
    environment: &'static [&'static str],
    flag: &'static str,
) -> Key {
    Key { name, environment, flag: Some(flag), is_secret: false }
}

const fn secret(name: &'static str, environment: &'static [&'static str]) -> Key {
    Key { name, environment, flag: None, is_secret: true }
}

macro_rules! keys {
    ($($constant:ident = $key:expr;)*) => {
        $(pub(super) const $constant: Key = $key;)*
        /// Every setting, in the order they are shown.
        pub(super) const ALL: &[&Key] = &[$(&$constant),*];
    };
}

keys! {
    DIRS = flagged("storage.dirs", &["SIXFOLD_DIRS"], "DIR…");
    META_DIR = flagged("storage.meta_dir", &["SIXFOLD_META_DIR"], "--meta-dir");
    ZONE = key("storage.zone", &["SIXFOLD_ZONE"]);
    ADDRESS = flagged("http.address", &["SIXFOLD_ADDRESS"], "--address");
    ADMIN_ADDRESS = flagged("http.admin_address", &["SIXFOLD_ADMIN_ADDRESS"], "--admin-address");
    TLS_CERT = flagged("http.tls_cert", &["SIXFOLD_TLS_CERT"], "--tls-cert");
    TLS_KEY = flagged("http.tls_key", &["SIXFOLD_TLS_KEY"], "--tls-key");
    MAX_CONNECTIONS = key("http.max_connections", &["SIXFOLD_MAX_CONNECTIONS"]);
    MAX_REQUESTS = key("http.max_requests", &["SIXFOLD_MAX_REQUESTS"]);
    HEADER_TIMEOUT = key("http.header_timeout", &["SIXFOLD_HEADER_TIMEOUT"]);
    BODY_IDLE = key("http.body_idle", &["SIXFOLD_BODY_IDLE"]);
    STALL = key("http.stall", &["SIXFOLD_STALL"]);
    DRAIN = key("http.drain", &["SIXFOLD_DRAIN"]);
    REGION = key("s3.region", &["SIXFOLD_REGION"]);
    DOMAIN = key("s3.domain", &["SIXFOLD_DOMAIN"]);
    BUCKET = key("s3.bucket", &["S3_BUCKET"]);
    ROOT_ACCESS_KEY =
        secret("root.access_key", &["SIXFOLD_ROOT_ACCESS_KEY", "MINIO_ROOT_USER"]);
    ROOT_SECRET_KEY =
        secret("root.secret_key", &["SIXFOLD_ROOT_SECRET_KEY", "MINIO_ROOT_PASSWORD"]);
    DATABASE_URL = secret("database.url", &["DATABASE_URL"]);
    DATABASE_CONNECTIONS = key("database.max_connections", &["SIXFOLD_DATABASE_CONNECTIONS"]);
    POSTGRES_BIN = key("database.bin_dir", &["SIXFOLD_POSTGRES_BIN"]);
    CLUSTER_SECRET = secret("cluster.secret", &["SIXFOLD_CLUSTER_SECRET"]);
    MASTER_KEY_FILE = key("cluster.master_key_file", &["SIXFOLD_MASTER_KEY_FILE"]);
    HEARTBEAT = key("times.heartbeat", &["SIXFOLD_HEARTBEAT"]);
    DEAD_AFTER = key("times.dead_after", &["SIXFOLD_DEAD_AFTER"]);
    RING_REFRESH = key("times.ring_refresh", &["SIXFOLD_RING_REFRESH"]);
    LEASE_RENEWAL = key("times.lease_renewal", &["SIXFOLD_LEASE_RENEWAL"]);
    LEASE_EXPIRY = key("times.lease_expiry", &["SIXFOLD_LEASE_EXPIRY"]);
    FREED_FOR = key("times.freed_for", &["SIXFOLD_FREED_FOR"]);
    COLLECT_EVERY = key("times.collect_every", &["SIXFOLD_COLLECT_EVERY"]);
    EXPIRE_EVERY = key("times.expire_every", &["SIXFOLD_EXPIRE_EVERY"]);
    UPLOAD_IDLE = key("times.upload_idle", &["SIXFOLD_UPLOAD_IDLE"]);
    SWEEP_EVERY = key("times.sweep_every", &["SIXFOLD_SWEEP_EVERY"]);
    LOG_FORMAT = flagged("log.format", &["SIXFOLD_LOG_FORMAT"], "--log-format");
    LOG_FILTER = key("log.filter", &["RUST_LOG"]);
}

/// The flags that stand above file and environment.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::doc_markdown, reason = "--help shows these lines as they stand")]
pub struct Flags {
    /// Storage: one directory (six nodes in folders below it), or six and more, one per drive.
    #[arg(value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// A TOML file with settings [env: SIXFOLD_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where S3 is served [env: SIXFOLD_ADDRESS] [default: 127.0.0.1:9000]
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Where health and metrics are served [env: SIXFOLD_ADMIN_ADDRESS] [default: 127.0.0.1:9001]
    #[arg(long, value_name = "HOST:PORT")]
    pub admin_address: Option<String>,
    /// Where the metadata lives [env: SIXFOLD_META_DIR] [default: meta below the first DIR]
    #[arg(long, value_name = "DIR")]
    pub meta_dir: Option<String>,
    /// Certificate chain in PEM [env: SIXFOLD_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Its private key in PEM [env: SIXFOLD_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// text or json [env: SIXFOLD_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl Flags {
    /// A flag's value by the setting's flag.
    pub(super) fn value(&self, flag: &str) -> Option<String> {
        match flag {
            "DIR…" if self.dirs.is_empty() => None,
            "DIR…" => std::env::join_paths(&self.dirs).ok()?.into_string().ok(),
            "--address" => self.address.clone(),
            "--admin-address" => self.admin_address.clone(),
            "--meta-dir" => self.meta_dir.clone(),
            "--tls-cert" => self.tls_cert.clone(),
            "--tls-key" => self.tls_key.clone(),
            "--log-format" => self.log_format.clone(),
            _ => None,
        }
    }
}
