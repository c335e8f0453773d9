//! What a check found, for people and for programs. Findings are read and printed page by page.

use crate::jobs::{CheckState, Count};
use crate::meta::checks::Checks;
use crate::meta::types::{CheckRun, ChunkSet, Finding, FoundName, Named, Outcome, VersionId};
use crate::role::say::say;
use serde_json::{Value, json};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ExtentId};
use std::collections::HashMap;

/// Findings of one page.
const PAGE: usize = 500;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Well,
    /// Something is wrong.
    Wrong,
    /// Nothing wrong was found, and some nodes could not be asked.
    Incomplete,
}

/// Findings by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    healed: u64,
    deleted: u64,
    /// Those that stand: they can't be healed, were not, or nobody asked for it.
    open: u64,
    /// Of those, with fewer chunks than a read needs.
    lost: u64,
}

impl Tally {
    fn count(&mut self, finding: &Finding) {
        match finding.outcome {
            Outcome::Healed => self.healed += 1,
            Outcome::Deleted => self.deleted += 1,
            Outcome::Open | Outcome::Waits => {
                self.open += 1;
                self.lost += u64::from(finding.is_lost);
            }
        }
    }
}

/// Prints all and says how it is.
pub(super) async fn print(
    checks: &dyn Checks,
    run: &CheckRun,
    state: &CheckState,
    as_json: bool,
) -> anyhow::Result<Verdict> {
    let mut tally = Tally::default();
    let mut after = None;
    let mut shown = Vec::new();
    loop {
        let page = checks.findings(run.id, false, after, PAGE).await?;
        let names = names(checks, run.id, &page).await?;
        for finding in &page {
            tally.count(finding);
            let names = names.get(&finding.extent).map_or(&[][..], Vec::as_slice);
            if as_json {
                shown.push(finding_as_json(finding, names));
            } else if finding.outcome != Outcome::Deleted {
                say!("{}", line(finding, names))?;
            }
        }
        after = page.last().map(|finding| finding.extent);
        if page.len() < PAGE {
            break;
        }
    }
    let verdict = verdict(&tally, state);
    if as_json {
        let value = summary_as_json(run, state, &tally, verdict, shown);
        say!("{value:#}")?;
    } else {
        say!("{}", summary(run, state, &tally, verdict))?;
    }
    Ok(verdict)
}

async fn names(
    checks: &dyn Checks,
    run: i64,
    page: &[Finding],
) -> anyhow::Result<HashMap<ExtentId, Vec<FoundName>>> {
    let extents = page.iter().map(|finding| finding.extent).collect::<Vec<_>>();
    let mut names = HashMap::<_, Vec<_>>::new();
    for (extent, name) in checks.finding_names(run, &extents).await? {
        names.entry(extent).or_default().push(name);
    }
    Ok(names)
}

fn verdict(tally: &Tally, state: &CheckState) -> Verdict {
    let is_kept = state.unwanted_everywhere().quarantined != Count::default();
    match () {
        () if tally.open > 0 || state.unlisted > 0 || is_kept => Verdict::Wrong,
        () if !state.unreached.is_empty() => Verdict::Incomplete,
        () => Verdict::Well,
    }
}

/// Where the chunks of a set are placed: index and node.
fn places(finding: &Finding, chunks: ChunkSet) -> Vec<(usize, u16)> {
    let indexes = (0..CHUNKS_PER_EXTENT).filter(|&index| chunks.contains(index));
    indexes.map(|index| (index, finding.placement[index].0)).collect()
}

fn line(finding: &Finding, names: &[FoundName]) -> String {
    let lacks = ChunkSet(finding.absent.0 | finding.known.0);
    let chunks = places(finding, lacks);
    let chunks = chunks.iter().map(|(index, node)| format!("{index} (node {node})"));
    let chunks = chunks.collect::<Vec<_>>().join(", ");
    let mut what = Vec::new();
    if lacks != ChunkSet(0) {
        what.push(format!("lacks chunks {chunks}"));
    }
    if finding.is_crowded {
        what.push("has two chunks on a node".to_owned());
    }
    let how = match finding.outcome {
        Outcome::Healed => "healed",
        Outcome::Deleted => "deleted meanwhile",
        _ if finding.is_lost => "CAN'T BE READ: too few chunks are left",
        Outcome::Waits => "not healed in time: see the job heal",
        Outcome::Open => "not healed",
    };
    let names = match names {
        [] => "no name found (deleted or written meanwhile)".to_owned(),
        names => names.iter().map(name_as_text).collect::<Vec<_>>().join("; "),
    };
    format!("{names}: extent {} {}: {how}", finding.extent, what.join(" and "))
}

fn name_as_text(name: &FoundName) -> String {
    let FoundName { bucket, key, what } = name;
    // A key may hold what moves a terminal's cursor.
    let key = key.escape_debug();
    match what {
        Named::Current(VersionId::Null) => format!("{bucket}/{key}"),
        Named::Current(version) | Named::Noncurrent(version) => {
            format!("{bucket}/{key} (version {})", version_text(*version))
        }
        Named::Part(upload, number) => {
            format!("{bucket}/{key} (part {number} of upload {})", upload.0)
        }
    }
}

fn version_text(version: VersionId) -> String {
    match version {
        VersionId::Null => "null".to_owned(),
        VersionId::Id(id) => id.to_string(),
    }
}

fn finding_as_json(finding: &Finding, names: &[FoundName]) -> Value {
    let lacks = ChunkSet(finding.absent.0 | finding.known.0);
    let chunks = places(finding, lacks).into_iter().map(|(index, node)| {
        let (is_absent, was_marked) =
            (finding.absent.contains(index), finding.known.contains(index));
        json!({ "index": index, "node": node, "is_absent": is_absent, "was_marked": was_marked })
    });
    json!({
        "extent": finding.extent.to_string(),
        "chunks": chunks.collect::<Vec<_>>(),
        "is_crowded": finding.is_crowded,
        "is_unrecoverable": finding.is_lost && finding.outcome == Outcome::Open,
        "outcome": match finding.outcome {
            Outcome::Open => "open",
            Outcome::Healed => "healed",
            Outcome::Deleted => "deleted",
            Outcome::Waits => "waits",
        },
        "objects": names.iter().map(name_as_json).collect::<Vec<_>>(),
    })
}

fn name_as_json(name: &FoundName) -> Value {
    let FoundName { bucket, key, what } = name;
    match what {
        Named::Current(version) | Named::Noncurrent(version) => json!({
            "bucket": bucket,
            "key": key,
            "version": version_text(*version),
            "is_current": matches!(what, Named::Current(_)),
        }),
        Named::Part(upload, number) => json!({
            "bucket": bucket,
            "key": key,
            "upload": upload.0.to_string(),
            "part": number,
        }),
    }
}

fn summary_as_json(
    run: &CheckRun,
    state: &CheckState,
    tally: &Tally,
    verdict: Verdict,
    findings: Vec<Value>,
) -> Value {
    let count = |count: Count| json!({ "chunks": count.chunks, "bytes": count.bytes });
    let unwanted = state.unwanted.iter().map(|(node, unwanted)| {
        json!({
            "node": node,
            "held": count(unwanted.held),
            "due": count(unwanted.due),
            "quarantined": count(unwanted.quarantined),
        })
    });
    let unreached = state.unreached.iter().map(|(node, why)| json!({ "node": node, "why": why }));
    json!({
        "check": run.id,
        "heals": run.heals,
        "is_well": verdict == Verdict::Well,
        "is_complete": state.unreached.is_empty(),
        "extents": state.extents,
        "chunks_present": state.present,
        "chunks_absent": state.absent,
        "extents_degraded": state.degraded,
        "extents_crowded": state.crowded,
        "extents_unrecoverable": tally.lost,
        "extents_healed": tally.healed,
        "extents_open": tally.open,
        "extents_unlisted": state.unlisted,
        "chunks_without_rows": unwanted.collect::<Vec<_>>(),
        "nodes_unreached": unreached.collect::<Vec<_>>(),
        "findings": findings,
    })
}

fn summary(run: &CheckRun, state: &CheckState, tally: &Tally, verdict: Verdict) -> String {
    let mut lines = vec![
        format!("extents compared      {}", state.extents),
        format!("chunks in place       {}", state.present),
        format!("chunks absent         {}", state.absent),
        format!("degraded extents      {}", state.degraded),
        format!("crowded extents       {}", state.crowded),
        format!("that can't be read    {}", tally.lost),
    ];
    if run.heals {
        lines.push(format!("healed                {}", tally.healed));
    }
    if tally.deleted > 0 {
        lines.push(format!("deleted meanwhile     {}", tally.deleted));
    }
    if state.unlisted > 0 {
        let unlisted = state.unlisted;
        lines.push(format!("not listed here       {unlisted}: heal them, and check again"));
    }
    let unwanted = state.unwanted_everywhere();
    let count = |count: Count| format!("{} chunks, {} bytes", count.chunks, count.bytes);
    lines.push(format!("without rows, held    {}", count(unwanted.held)));
    lines.push(format!("without rows, due     {}", count(unwanted.due)));
    lines.push(format!("in quarantine         {}", count(unwanted.quarantined)));
    for (node, why) in &state.unreached {
        lines.push(format!("NOT ASKED             node {node}: {why}"));
    }
    lines.push(match verdict {
        Verdict::Well => "all is well".to_owned(),
        Verdict::Incomplete => "nothing wrong was found, but not every node was asked".to_owned(),
        Verdict::Wrong if !run.heals && tally.open > tally.lost => {
            "something is wrong: `sixfold check --heal` makes anew what can be".to_owned()
        }
        Verdict::Wrong => "something is wrong".to_owned(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_proto::name::NodeNumber;

    fn finding(absent: u8, outcome: Outcome) -> Finding {
        Finding {
            extent: ExtentId(9),
            absent: ChunkSet(absent),
            known: ChunkSet(1),
            is_crowded: false,
            is_lost: absent.count_ones() > 2,
            placement: [1, 2, 3, 4, 5, 6].map(NodeNumber),
            outcome,
        }
    }

    #[test]
    fn a_finding_names_object_chunks_and_nodes() {
        let what = Named::Current(VersionId::Null);
        let name = FoundName { bucket: "b".to_owned(), key: "a\u{1b}[2Jk".to_owned(), what };
        let shown = line(&finding(0b11_1000, Outcome::Open), std::slice::from_ref(&name));
        assert!(shown.starts_with("b/a\\u{1b}[2Jk: extent 0"), "{shown}");
        assert!(shown.contains("0 (node 1), 3 (node 4), 4 (node 5), 5 (node 6)"), "{shown}");
        assert!(shown.contains("CAN'T BE READ"), "{shown}");
        let value = finding_as_json(&finding(0b11_1000, Outcome::Open), &[name]);
        assert_eq!(value["is_unrecoverable"], true);
        assert_eq!(value["chunks"][0]["was_marked"], true);
        assert_eq!(value["chunks"][1]["is_absent"], true);
        assert_eq!(value["objects"][0]["key"], "a\u{1b}[2Jk");
    }

    #[test]
    fn what_stands_is_wrong_and_what_was_not_asked_is_incomplete() {
        let mut state = CheckState::default();
        let tally = |outcomes: &[Outcome]| {
            let mut tally = Tally::default();
            outcomes.iter().for_each(|outcome| tally.count(&finding(1, *outcome)));
            tally
        };
        let mended = tally(&[Outcome::Healed, Outcome::Deleted]);
        assert_eq!(verdict(&mended, &state), Verdict::Well);
        assert_eq!(verdict(&tally(&[Outcome::Open]), &state), Verdict::Wrong);
        assert_eq!(verdict(&tally(&[Outcome::Waits]), &state), Verdict::Wrong);
        state.give_up(NodeNumber(3), "it is not there");
        assert_eq!(verdict(&mended, &state), Verdict::Incomplete);
        assert_eq!(verdict(&tally(&[Outcome::Open]), &state), Verdict::Wrong);
        state.unwanted.entry(2).or_default().quarantined.add(5);
        assert_eq!(verdict(&mended, &state), Verdict::Wrong);
    }
}
