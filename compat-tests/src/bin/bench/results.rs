//! All that was measured on one server.

use serde_json::{Value, json};

use super::measured::Measured;
use super::plan::{Load, MARKS};

pub(super) struct Results {
    pub(super) server: String,
    /// The rounds of each load with a mark.
    pub(super) marks: Vec<Vec<Measured>>,
    /// The rounds of the read with two nodes gone.
    pub(super) degraded: Vec<Measured>,
    pub(super) matrix: Vec<Measured>,
}

impl Results {
    /// The round of a load with a mark that took least CPU time.
    pub(super) fn best_of(&self, load: Load) -> Option<&Measured> {
        best(self.marks.iter().flatten().filter(|measured| measured.load == load))
    }

    /// The best round of each load with a mark.
    pub(super) fn best(&self) -> impl Iterator<Item = &Measured> {
        MARKS.iter().filter_map(|mark| self.best_of(mark.load))
    }

    pub(super) fn best_degraded(&self) -> Option<&Measured> {
        best(self.degraded.iter())
    }

    pub(super) fn to_json(&self) -> Value {
        let json = |measured: &Measured| measured.to_json();
        json!({
            "server": self.server,
            "best": self.best().map(json).collect::<Value>(),
            "rounds": self.marks.iter().flatten().map(json).collect::<Value>(),
            "two_nodes_down": self.degraded.iter().map(json).collect::<Value>(),
            "matrix": self.matrix.iter().map(json).collect::<Value>(),
        })
    }
}

fn best<'a>(rounds: impl Iterator<Item = &'a Measured>) -> Option<&'a Measured> {
    rounds.min_by(|left, right| left.cpu_us().total_cmp(&right.cpu_us()))
}
