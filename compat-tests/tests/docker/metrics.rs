//! What `PromQL` names, compared with the one table of all metrics.

use sixfold_proto::metrics::{ALL, Kind, Metric};

/// Labels that Prometheus adds, and the one of histograms. A label of ours that is called like one of
/// them would be shown under another name.
const ADDED: &[&str] = &["instance", "job", "le"];

/// Every metric of ours that the text names, with the text behind the name.
fn named(text: &str) -> Vec<(&str, &str)> {
    let starts = text.match_indices("sixfold_").map(|(at, _)| at);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    starts
        .map(|at| {
            let rest = &text[at..];
            rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
        })
        .collect()
}

fn find(name: &str) -> Option<&'static Metric> {
    let is_histogram = |metric: &&Metric| matches!(metric.kind, Kind::Histogram(_));
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
        let base = name.strip_suffix(end)?;
        ALL.iter().filter(is_histogram).find(|metric| metric.name == base)
    });
    let plain = ALL.iter().filter(|metric| !is_histogram(metric));
    of_histogram.or_else(|| plain.into_iter().find(|metric| metric.name == name))
}

/// Whether there is what the expression names, its labels included; a sentence for what is not.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let mut names = 0;
    for (name, behind) in named(expression) {
        names += 1;
        let metric = find(name).ok_or_else(|| format!("there is no metric {name}"))?;
        let Some((matchers, _)) = behind.strip_prefix('{').and_then(|text| text.split_once('}'))
        else {
            continue;
        };
        for matcher in matchers.split(',').filter(|matcher| matcher.contains('=')) {
            let label = matcher.split(['=', '!']).next().unwrap_or_default().trim();
            if !metric.labels.contains(&label) && !ADDED.contains(&label) {
                return Err(format!("{name} has no label {label}"));
            }
        }
    }
    for grouped in expression.match_indices("by (").map(|(at, _)| &expression[at + 4..]) {
        let labels = grouped.split(')').next().unwrap_or_default();
        for label in labels.split(',').map(str::trim) {
            let is_there = ALL.iter().any(|metric| metric.labels.contains(&label));
            if !is_there && !ADDED.contains(&label) {
                return Err(format!("no metric has a label {label}"));
            }
        }
    }
    if names == 0 && !expression.contains("up{") {
        return Err("names no metric of ours".to_owned());
    }
    Ok(())
}

#[test]
fn names_that_are_not_there_are_found() {
    assert_eq!(check("sum by (node) (sixfold_node_state{state=\"dead\"})"), Ok(()));
    assert_eq!(
        check("rate(sixfold_http_first_byte_seconds_bucket{op=~\"A|B\",le=\"1\"}[5m])"),
        Ok(())
    );
    for wrong in [
        "sixfold_node_stat",
        "sixfold_ready_total",
        // A histogram has no series of its own name, and a gauge no buckets.
        "sixfold_http_first_byte_seconds",
        "sixfold_ready_bucket",
        "sixfold_node_state{bucket=\"b\"}",
        "sum by (bucket) (sixfold_ready)",
        "vector(1)",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
