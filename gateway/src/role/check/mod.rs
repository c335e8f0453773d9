//! `sixfold check`: asks a running server or gateway to compare the rows with what the nodes have,
//! waits, and says what it found. The exit code is for scripts.

mod report;

use super::admin::Target;
use crate::jobs::{CHECK, CheckState, Phase};
use crate::meta::Meta;
use crate::meta::checks::Checks;
use crate::meta::pg::Pg;
use crate::meta::types::CheckRun;
use anyhow::{Context, bail};
use clap::Args;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Something is wrong. (1 is any failure to check, and 2 a wrong command line.)
const EXIT_WRONG: u8 = 3;

/// Nothing is wrong as far as was seen, and not all nodes could be asked.
const EXIT_INCOMPLETE: u8 = 4;

/// How often is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// For so long no process may be there that does checks: a restart takes less.
const NOBODY_LIMIT: Duration = Duration::from_secs(30);

/// A process that told nothing of its jobs for longer is not there, in seconds.
const SILENT_S: f64 = 20.0;

/// What the command takes.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 all is well; 3 something is wrong; 4 nothing wrong was found, \
                        but not every node could be asked; 1 it could not be checked."
)]
pub struct Arguments {
    /// Have what is missing made anew, and wait for it
    #[arg(long)]
    heal: bool,
    /// The server
    #[command(flatten)]
    target: Target,
}

/// Asks, waits and prints.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let pg = arguments.target.connect().await?;
    let asked = pg.ask_check(arguments.heal).await?;
    let asked = asked.context("16 checks wait already: try again when they are done")?;
    let run = wait(&pg, asked).await?;
    let state = CheckState::from_text(&run.state);
    let verdict = report::print(&pg, &run, &state, arguments.target.json).await?;
    Ok(match verdict {
        report::Verdict::Well => ExitCode::SUCCESS,
        report::Verdict::Wrong => ExitCode::from(EXIT_WRONG),
        report::Verdict::Incomplete => ExitCode::from(EXIT_INCOMPLETE),
    })
}

/// Waits for the end of a check.
async fn wait(pg: &Pg, asked: i64) -> anyhow::Result<CheckRun> {
    let mut line = Line::default();
    let mut seen = Instant::now();
    loop {
        let Some(run) = pg.check(asked).await? else {
            bail!("the check is gone: the database was exchanged, or many came behind it");
        };
        if run.is_done {
            line.end();
            return Ok(run);
        }
        if is_served(pg).await? {
            seen = Instant::now();
        }
        if seen.elapsed() > NOBODY_LIMIT {
            line.end();
            pg.withdraw_check(asked).await?;
            bail!("no server or gateway of this cluster is running: the check could not be done");
        }
        line.show(&said(&run));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether a process tells that it does checks.
async fn is_served(pg: &Pg) -> anyhow::Result<bool> {
    let standings = pg.job_standings().await?;
    let mut checks = standings.iter().filter(|standing| standing.report.name == CHECK);
    Ok(checks.any(|standing| standing.silent_for < SILENT_S))
}

/// How far it is, for people.
fn said(run: &CheckRun) -> String {
    let state = CheckState::from_text(&run.state);
    let found = state.degraded + state.crowded;
    match state.phase {
        _ if run.step == 0 => "waiting for its turn".to_owned(),
        Phase::Compare => {
            let all = match state.estimate {
                0 => String::new(),
                estimate => format!(" of about {estimate}"),
            };
            format!("{}{all} extents compared, {found} not whole", state.extents)
        }
        Phase::Name => format!("{found} extents are not whole, looking for their names"),
        Phase::Heal if run.heals => format!("{found} extents were not whole, waiting for heal"),
        Phase::Heal | Phase::Done => "nearly done".to_owned(),
    }
}

/// One line on a terminal, written over again and again; elsewhere nothing.
#[derive(Default)]
struct Line {
    shown: String,
}

impl Line {
    fn show(&mut self, text: &str) {
        let mut out = std::io::stderr();
        if !out.is_terminal() || text == self.shown {
            return;
        }
        // Progress that can't be shown is no reason to stop.
        drop(write!(out, "\r{text:<width$}", width = self.shown.chars().count()));
        drop(out.flush());
        text.clone_into(&mut self.shown);
    }

    fn end(&mut self) {
        self.show("");
        if !self.shown.is_empty() || std::io::stderr().is_terminal() {
            drop(write!(std::io::stderr(), "\r"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is() {
        let mut state = CheckState::default();
        (state.estimate, state.extents, state.degraded) = (10, 4, 1);
        let (id, heals, step, is_done) = (1, true, 1, false);
        let run = CheckRun { id, heals, step, is_done, state: state.to_text() };
        assert_eq!(said(&run), "4 of about 10 extents compared, 1 not whole");
        assert_eq!(said(&CheckRun { step: 0, ..run.clone() }), "waiting for its turn");
        state.phase = Phase::Heal;
        let healing = CheckRun { state: state.to_text(), ..run };
        assert!(said(&healing).ends_with("waiting for heal"));
    }
}
