//! The dashboards: Grafana can load them, and each query names metrics that exist.

use super::alerts::promtool;
use super::compose::{root, yaml};
use super::metrics;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What there is to be seen, at least.
const WANTED: [&str; 4] = ["overview", "performance", "errors", "capacity"];

fn dashboards() -> Vec<(String, Value)> {
    let folder = root().join("docker/grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
    };
    files.map(read).collect()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

/// The queries of a panel; what Grafana puts in for its variable is put in here.
fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets.map(|t| t["expr"].as_str().unwrap().replace("$__rate_interval", "5m")).collect()
}

#[test]
fn dashboards_are_loaded_from_where_the_compose_file_puts_them() {
    let names: BTreeSet<_> = dashboards().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, WANTED.map(str::to_owned).into());
    let provider = yaml("docker/grafana/provisioning/dashboards/sixfold.yaml");
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    let grafana = &yaml("docker/compose.yaml")["services"]["grafana"];
    let mounts = super::texts(&grafana["volumes"]);
    assert!(mounts.contains(&format!("./grafana/dashboards:{path}:ro")));
    let source = &yaml("docker/grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    let mut titles = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(titles.insert(dashboard["uid"].to_string()), "{name}");
        let ids: BTreeSet<_> = panels(&dashboard).iter().map(|p| p["id"].to_string()).collect();
        assert_eq!(ids.len(), panels(&dashboard).len(), "{name}");
        for panel in panels(&dashboard) {
            assert_eq!(panel["datasource"]["uid"], source["uid"], "{name}");
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {}", panel["title"]);
        }
    }
}

#[test]
fn every_query_is_valid_and_names_metrics_that_exist() {
    let mut recorded = String::from("groups:\n  - name: queries\n    rules:\n");
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let asked = queries(panel);
            assert!(!asked.is_empty(), "{name}: {}", panel["title"]);
            for query in asked {
                assert_eq!(metrics::check(&query), Ok(()), "{name}: {}", panel["title"]);
                let quoted = query.replace('\'', "''");
                let _ = writeln!(recorded, "      - {{ record: q, expr: '{quoted}' }}");
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("queries.yml"), recorded).unwrap();
    promtool(&["check", "rules", "--lint=none", "queries.yml"], folder.path());
}
