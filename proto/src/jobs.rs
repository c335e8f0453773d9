//! How a background job is, as its process tells it to the rows and an operator reads it there.

use serde::{Deserialize, Serialize};

/// No job: under this name a gateway tells which nodes' breakers are not closed.
pub const BREAKERS: &str = "breakers";

/// The most characters of an error that are told.
const MAX_ERROR_CHARS: usize = 500;

/// How a job is in one process. Times are seconds before or after the report, so that it does
/// not matter whose clock is right. Fields are only ever added; a missing one has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobReport {
    /// The job's name.
    pub name: String,
    /// Units of work that succeeded since the process started.
    pub runs: u64,
    /// Things done in them: bodies collected, copies swept, chunks verified, extents healed.
    pub things: u64,
    /// How long ago a unit of work last ended; none before the first.
    pub ran_s_ago: Option<f64>,
    /// What the last one came to, in words.
    pub result: Option<String>,
    /// How far a long one is, from 0 to 1.
    pub progress: Option<f64>,
    /// In how many seconds the next one begins; none while one runs.
    pub next_in_s: Option<f64>,
    /// How often it begins when there is nothing left to do, in seconds.
    pub every_s: f64,
    /// Units of work that failed in a row.
    pub failures: u32,
    /// What the last failure said; none after a success.
    pub error: Option<String>,
}

impl JobReport {
    /// The report as it stands in its row. An error is cut to a length that suits a row.
    pub fn to_json(&self) -> String {
        let mut report = self.clone();
        report.error =
            self.error.as_ref().map(|error| error.chars().take(MAX_ERROR_CHARS).collect());
        // Numbers, texts and nothing else: it can't fail.
        serde_json::to_string(&report).unwrap_or_default()
    }

    /// The inverse of [`JobReport::to_json`]; `None` for what is no report.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let report = JobReport {
            name: "scrub".to_owned(),
            runs: 3,
            things: 7,
            progress: Some(0.25),
            every_s: 1_209_600.0,
            error: Some("no \"luck\"".to_owned()),
            ..JobReport::default()
        };
        assert_eq!(JobReport::from_json(&report.to_json()), Some(report.clone()));
        let long = JobReport { error: Some("é".repeat(2000)), ..report };
        let read = JobReport::from_json(&long.to_json()).unwrap();
        assert_eq!(read.error.unwrap().chars().count(), MAX_ERROR_CHARS);
    }

    #[test]
    fn reports_of_other_releases_are_read() {
        let known = JobReport { name: "heal".to_owned(), ..JobReport::default() };
        assert_eq!(JobReport::from_json(r#"{"name":"heal","new":1}"#), Some(known));
        assert_eq!(JobReport::from_json("no report"), None);
    }
}
