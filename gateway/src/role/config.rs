//! `sixfold config`: the settings as they would take effect.

use crate::config::{Config, Flags};
use crate::role::say::say;
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
            say!("{}", crate::config::reference()?.trim_end())?;
            return Ok(());
        }
        Command::Metrics => {
            say!("{}", crate::metrics::reference().trim_end())?;
            return Ok(());
        }
    };
    let config = Config::load(flags, &super::environment)?;
    if *json {
        say!("{}", serde_json::to_string_pretty(&config.shown)?)?;
        return Ok(());
    }
    for shown in &config.shown {
        say!("{:<26} {:<28} {}", shown.name, shown.value, shown.source)?;
    }
    Ok(())
}
