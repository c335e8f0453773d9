//! The command line of `server` and `gateway`.

use clap::Args;
use std::path::PathBuf;

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
    /// text, json or auto [env: SIXFOLD_LOG_FORMAT] [default: auto, which is text on a terminal]
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
