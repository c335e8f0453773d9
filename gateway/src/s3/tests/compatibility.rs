//! What `docs/s3-compatibility.md` says of each operation is what the table of operations does.

use crate::http::operation;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../../../docs/s3-compatibility.md");
const TABLE: &str = include_str!("../service.rs");

/// Names of the metrics that are no operations.
const OTHERS: [&str; 3] = ["Health", "none", "other"];

/// What the table does with the operations in it.
fn served() -> BTreeMap<&'static str, &'static str> {
    let lines = TABLE.lines().filter(|line| line.trim_end().ends_with(';'));
    let rows = lines.filter_map(|line| {
        let (name, rest) = line.split_once('(')?.1.split_once("Input) -> ")?;
        let (_, run) = rest.split_once(" = ")?;
        Some((name, if run.contains("::probes::") { "not configured" } else { "yes" }))
    });
    rows.collect()
}

#[test]
fn the_page_tells_what_the_table_does() {
    let served = served();
    assert!(served.len() > 40, "the table was not read: {served:?}");
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| row.split_once("` | ").unwrap());
    let told: BTreeMap<_, _> =
        rows.map(|(name, rest)| (name, rest.split_once(" |").unwrap().0)).collect();
    let names = operation::names().iter().filter(|name| !OTHERS.contains(name));
    let done = names.map(|name| (*name, served.get(name).copied().unwrap_or("no")));
    assert_eq!(told, done.collect());
}
