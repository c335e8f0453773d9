//! The alerts: each names metrics that exist, has a runbook and tests, and promtool finds them to fire
//! when they must and only then.

use super::compose::{root, yaml};
use super::metrics;
use compat_tests::clients;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the runbooks are for whoever gets an alert.
const RUNBOOKS: &str = "https://github.com/sixfold/sixfold/blob/main/docs/runbooks.md#";

/// Where promtool's tests are.
const TESTS: [&str; 2] = ["rules.test.yml", "days.test.yml"];

fn rules() -> Vec<Value> {
    let file = yaml("docker/prometheus/rules.yml");
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn name(rule: &Value) -> String {
    rule["alert"].as_str().unwrap().to_owned()
}

/// Runs promtool, which compat-tests/install.sh brings.
pub(super) fn promtool(arguments: &[&str], folder: &Path) {
    let program: PathBuf = clients::folder().join("prometheus/usr/bin/promtool");
    let output = Command::new(&program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn alerts_name_metrics_that_exist() {
    for rule in rules() {
        let checked = metrics::check(rule["expr"].as_str().unwrap());
        assert_eq!(checked, Ok(()), "{}", name(&rule));
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{}", name(&rule));
        assert!(!rule["annotations"]["summary"].as_str().unwrap().is_empty());
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let page = std::fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let sections: Vec<_> = page.split("\n## ").skip(1).collect();
    let titles: BTreeSet<_> =
        sections.iter().map(|section| section.lines().next().unwrap().to_owned()).collect();
    assert_eq!(titles, rules().iter().map(name).collect());
    for section in sections {
        for part in ["**Seen:**", "**Means:**", "**Look:**", "**Do:**"] {
            assert!(section.contains(part), "no {part} in {section}");
        }
    }
    for rule in rules() {
        let link = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert_eq!(link, format!("{RUNBOOKS}{}", name(&rule).to_lowercase()));
    }
}

#[test]
fn every_alert_is_shown_to_fire_and_to_stay_quiet() {
    let mut tests = Vec::new();
    for file in TESTS {
        let file = yaml(&format!("docker/prometheus/{file}"));
        tests.extend(file["tests"].as_array().unwrap().clone());
    }
    let (mut fires, mut stays_quiet) = (BTreeSet::new(), BTreeSet::new());
    for test in tests {
        for case in test["alert_rule_test"].as_array().unwrap() {
            let alert = case["alertname"].as_str().unwrap().to_owned();
            let is_quiet = case["exp_alerts"].as_array().unwrap().is_empty();
            if is_quiet {
                stays_quiet.insert(alert)
            } else {
                fires.insert(alert)
            };
        }
        for series in test["input_series"].as_array().unwrap() {
            let series = series["series"].as_str().unwrap();
            assert_eq!(metrics::check(series), Ok(()), "{series}");
        }
    }
    let all: BTreeSet<_> = rules().iter().map(name).collect();
    assert_eq!((&fires, &stays_quiet), (&all, &all));
    let folder = root().join("docker/prometheus");
    promtool(&[&["test", "rules"][..], &TESTS].concat(), &folder);
}
