//! Where log lines go and how they look; the same for all processes.

mod file;
mod line;
mod request;

pub use file::{FileLimits, LogFile};
pub use request::OfRequest;

use anyhow::Context;
use clap::ValueEnum;
use line::Lines;
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    #[default]
    Error,
    /// Standard output.
    Output,
    /// A file.
    File(PathBuf),
}

impl LogOutput {
    /// `stderr`, `stdout`, or a path.
    pub fn parse(text: &str) -> Self {
        match text {
            "stderr" => Self::Error,
            "stdout" => Self::Output,
            path => Self::File(path.into()),
        }
    }

    fn is_terminal(&self) -> bool {
        match self {
            Self::Error => std::io::stderr().is_terminal(),
            Self::Output => std::io::stdout().is_terminal(),
            Self::File(_) => false,
        }
    }
}

/// What is logged, how and where.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Where it goes.
    pub output: LogOutput,
    /// How large and old files become.
    pub limits: FileLimits,
}

/// Starts logging what `filter` lets pass.
pub fn start(settings: &LogSettings, filter: EnvFilter) -> anyhow::Result<()> {
    let is_terminal = settings.output.is_terminal();
    let writer = match &settings.output {
        LogOutput::Error => BoxMakeWriter::new(std::io::stderr),
        LogOutput::Output => BoxMakeWriter::new(std::io::stdout),
        LogOutput::File(path) => {
            let file = LogFile::open(path, settings.limits).with_context(|| {
                let uid = rustix::process::geteuid().as_raw();
                format!("can't write the log {} as uid {uid}", path.display())
            })?;
            BoxMakeWriter::new(file)
        }
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let is_text = match settings.format {
        LogFormat::Auto => is_terminal,
        format => format == LogFormat::Text,
    };
    if is_text {
        lines.map_event_format(|text| Lines::text(text.with_ansi(is_terminal))).init();
    } else {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        lines.map_event_format(Lines::json).init();
    }
    Ok(())
}
