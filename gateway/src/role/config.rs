//! `sixfold config`: the settings as they would take effect.

use crate::config::{Config, Flags};
use clap::Subcommand;

/// What can be done with settings.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Every effective value and where it came from; secrets are hidden
    Show {
        /// The same flags as for `server`
        #[command(flatten)]
        flags: Flags,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Every setting there is, as a page in Markdown
    Reference,
    /// Every metric there is, as a page in Markdown
    Metrics,
}

/// Runs one of them.
pub fn run(command: &Command) -> anyhow::Result<()> {
    let (flags, json) = match command {
        Command::Show { flags, json } => (flags, json),
        Command::Reference => {
            print!("{}", crate::config::reference()?);
            return Ok(());
        }
        Command::Metrics => {
            print!("{}", crate::metrics::reference());
            return Ok(());
        }
    };
    let config = Config::load(flags, &super::environment)?;
    if *json {
        println!("{}", serde_json::to_string_pretty(&config.shown)?);
        return Ok(());
    }
    for shown in &config.shown {
        println!("{:<26} {:<28} {}", shown.name, shown.value, shown.source);
    }
    Ok(())
}
