//! The commands: what each subcommand builds and runs. `server` and `gateway` stay; the others
//! do one thing and end.

pub mod admin;
pub mod assembly;
pub mod check;
pub mod config;
pub mod gateway;
pub mod health;
pub mod job;
pub mod key;
pub mod migrate;
pub mod node;
pub mod server;
pub mod status;

mod announce;
mod drives;
mod home;
mod metadata;
mod readiness;
mod root;
mod say;

use crate::config::{Config, Flags};
use crate::role::say::say;
use admin::Target;
use clap::{Parser, Subcommand};
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

/// The process can't start with these settings: `EX_CONFIG` of sysexits.
const EXIT_CONFIG: u8 = 78;

/// How long calls to the system that still run at the end are waited for.
const CALLS_END: Duration = Duration::from_secs(1);

/// An S3-compatible object store: every object as six chunks, any two of which may be lost.
#[derive(Parser, Debug)]
#[command(name = "sixfold", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
#[expect(clippy::doc_markdown, reason = "--help shows these lines as they stand")]
enum Command {
    /// Everything on one machine: S3, six nodes, and a PostgreSQL of its own
    Server(server::Arguments),
    /// A stateless S3 gateway of a cluster (DATABASE_URL, master key, cluster secret)
    Gateway(Flags),
    /// Bring the database to this release's schema
    Migrate(migrate::Arguments),
    /// How the cluster is
    Status(Target),
    /// Whether the server or gateway on this machine is ready: exit code 0, else 1
    Health(health::Arguments),
    /// Users' access keys
    #[command(subcommand)]
    Key(key::Command),
    /// Storage nodes
    #[command(subcommand)]
    Node(node::Command),
    /// Compare the rows with what the nodes have, and heal what is missing
    Check(check::Arguments),
    /// Background work
    #[command(subcommand)]
    Job(job::Command),
    /// Settings
    #[command(subcommand)]
    Config(config::Command),
    /// This program's version
    Version {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command named by the arguments.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Server(server::Arguments { flags, recover_meta }) => {
            stay(&flags, |config| server::run(config, recover_meta))
        }
        Command::Gateway(flags) => stay(&flags, gateway::run),
        Command::Migrate(arguments) => once(migrate::run(arguments)),
        Command::Status(target) => once(status::run(target)),
        Command::Health(arguments) => once(health::run(arguments)),
        Command::Key(command) => once(key::run(command)),
        Command::Node(command) => once(node::run(command)),
        Command::Check(arguments) => return ended(once(check::run(arguments))),
        Command::Job(command) => once(job::run(command)),
        Command::Config(command) => config::run(&command),
        Command::Version { json } => version(json),
    };
    ended(result.map(|()| ExitCode::SUCCESS))
}

fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sixfold: {error:#}");
            let is_config = error.is::<crate::config::ConfigError>();
            ExitCode::from(if is_config { EXIT_CONFIG } else { 1 })
        }
    }
}

fn version(as_json: bool) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        return say!("{}", serde_json::json!({ "version": version }));
    }
    say!("sixfold {version}")
}

/// Runs a command that ends by itself.
fn once<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// Runs a role that stays until it is told to stop.
fn stay<F>(flags: &Flags, role: impl FnOnce(Config) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut config = Config::load(flags, &environment)?;
    config.doubt_unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
    crate::telemetry::start(&config.log)?;
    config.doubts.iter().for_each(|doubt| tracing::warn!("{doubt}"));
    sixfold_node::descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(role(config));
    // Only a drive that hangs still has calls.
    runtime.shutdown_timeout(CALLS_END);
    ended
}

/// The process's environment, for [`Config::load`].
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
