//! `sixfold job`: the background work of all processes.

use super::admin::Target;
use crate::meta::Meta;
use crate::meta::types::JobStanding;
use crate::role::say::say;
use clap::Subcommand;
use sixfold_proto::jobs::BREAKERS;

/// A process that told nothing for longer is shown as silent: three reports.
const SILENT_SECONDS: f64 = 15.0;

/// What can be done with jobs.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Every job of every process: when it ran, what came of it, when it runs next
    List {
        /// The server
        #[command(flatten)]
        target: Target,
    },
}

/// Runs one of them.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let Command::List { target } = command;
    let mut standings = target.connect().await?.job_standings().await?;
    standings.retain(|standing| standing.report.name != BREAKERS);
    if target.json {
        let rows: Vec<_> = standings.iter().map(as_json).collect();
        say!("{:#}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    say!(
        "{:<24} {:<15} {:<10} {:<10} {:<9} result",
        "process",
        "job",
        "last run",
        "next",
        "progress"
    )?;
    for standing in &standings {
        say!("{}", line(standing))?;
    }
    Ok(())
}

fn line(standing: &JobStanding) -> String {
    let JobStanding { process, report, .. } = standing;
    let ran = ran_s_ago(standing).map_or("–".to_owned(), |ago| format!("{} ago", span(ago)));
    let next = match next_in_s(standing) {
        _ if is_silent(standing) => "silent".to_owned(),
        Some(seconds) => format!("in {}", span(seconds)),
        None => "running".to_owned(),
    };
    let progress = report.progress.map_or(String::new(), |part| format!("{:.0} %", part * 100.0));
    let result = match (&report.error, &report.result) {
        (Some(error), _) => format!("failed {} times: {error}", report.failures),
        (None, Some(result)) => result.clone(),
        (None, None) => String::new(),
    };
    let line =
        format!("{process:<24} {:<15} {ran:<10} {next:<10} {progress:<9} {result}", report.name);
    line.trim_end().to_owned()
}

/// A job for programs. Seconds are as of now.
fn as_json(standing: &JobStanding) -> serde_json::Value {
    let JobStanding { process, report, silent_for } = standing;
    serde_json::json!({
        "process": process,
        "job": report.name,
        "runs": report.runs,
        "things": report.things,
        "last_run_s_ago": ran_s_ago(standing),
        "result": report.result,
        "progress": report.progress,
        "next_in_s": next_in_s(standing),
        "every_s": report.every_s,
        "failures": report.failures,
        "error": report.error,
        "is_silent": is_silent(standing),
        "silent_for_s": silent_for,
    })
}

fn is_silent(standing: &JobStanding) -> bool {
    standing.silent_for >= SILENT_SECONDS
}

fn ran_s_ago(standing: &JobStanding) -> Option<f64> {
    standing.report.ran_s_ago.map(|ago| ago + standing.silent_for)
}

fn next_in_s(standing: &JobStanding) -> Option<f64> {
    standing.report.next_in_s.map(|next| (next - standing.silent_for).max(0.0))
}

/// A time for people: two digits and a unit.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_proto::jobs::JobReport;

    fn standing(silent_for: f64, report: JobReport) -> JobStanding {
        JobStanding { process: "node 1".to_owned(), report, silent_for }
    }

    #[test]
    fn times_are_as_of_now() {
        let report = JobReport {
            name: "scrub".to_owned(),
            ran_s_ago: Some(10.0),
            next_in_s: Some(3.0),
            progress: Some(0.5),
            result: Some("12 chunks".to_owned()),
            ..JobReport::default()
        };
        let told = standing(4.0, report.clone());
        assert_eq!((ran_s_ago(&told), next_in_s(&told)), (Some(14.0), Some(0.0)));
        let shown = line(&told);
        assert!(shown.contains("14 s ago") && shown.contains("in 0 s"), "{shown}");
        assert!(shown.contains("50 %") && shown.ends_with("12 chunks"), "{shown}");
        assert!(line(&standing(99.0, report.clone())).contains("silent"));
        let error = Some("no luck".to_owned());
        let failed = standing(1.0, JobReport { error, failures: 3, ..report });
        assert!(line(&failed).ends_with("failed 3 times: no luck"));
        let running = standing(1.0, JobReport::default());
        assert!(line(&running).contains("running") && as_json(&running)["next_in_s"].is_null());
    }

    #[test]
    fn spans_have_a_fitting_unit() {
        let spans = [5.0, 120.0, 90_000.0, 1_209_600.0].map(span);
        assert_eq!(spans, ["5 s", "2 min", "25 h", "14 d"]);
    }
}
