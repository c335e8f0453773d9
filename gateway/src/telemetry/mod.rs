//! Which log lines are written; where they go and how they look is the same for all processes
//! ([`sixfold_node::log`]).
//!
//! `RUST_LOG` overrides the filter. s3s is silent: it logs every failed operation as an error,
//! also a key that does not exist; the access log has one line for each, at its fitting level.

pub mod request;

pub use sixfold_node::log::{FileLimits, LogFormat, LogOutput};
pub use sixfold_node::trace;

use crate::config::LogConfig;
use sixfold_node::log::{self, LogSettings};
use tracing_subscriber::EnvFilter;

/// What is logged when nothing else is asked for.
const DEFAULT_FILTER: &str = "info,s3s=off,sqlx=warn,hyper=warn,h2=warn,rustls=warn";

/// Starts logging.
pub fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(config.filter.as_deref().unwrap_or(DEFAULT_FILTER))?;
    let LogConfig { format, output, limits, .. } = config.clone();
    log::start(&LogSettings { format, output, limits }, filter)
}
