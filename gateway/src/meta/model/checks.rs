//! Checks and what they found.

use super::Model;
use super::state::State;
use crate::meta::Result;
use crate::meta::checks::{Checks, NAMES_PER_FINDING};
use crate::meta::types::{
    BodyId, CheckRun, Checked, Finding, FoundName, NameCursor, Named, Outcome,
};
use async_trait::async_trait;
use sixfold_proto::name::ExtentId;
use std::collections::BTreeMap;

/// Checks that may wait, and those kept that are done.
const MOST_WAITING: usize = 16;
const MOST_KEPT: usize = 15;

/// The checks by number.
#[derive(Debug, Default)]
pub(super) struct CheckRows {
    last: i64,
    runs: BTreeMap<i64, CheckRun>,
    findings: BTreeMap<(i64, ExtentId), Finding>,
    names: BTreeMap<(i64, BodyId), Vec<FoundName>>,
}

fn checked(state: &State) -> impl Iterator<Item = Checked> {
    state.bodies.iter().flat_map(|(id, body)| {
        let is_freed = body.freed.is_some();
        body.extents.iter().cloned().map(move |extent| Checked { extent, body: *id, is_freed })
    })
}

/// The bodies of what a check found, as they are now.
fn found_bodies(state: &State, run: i64) -> Vec<BodyId> {
    let is_found =
        |checked: &Checked| state.checks.findings.contains_key(&(run, checked.extent.id));
    checked(state).filter(is_found).map(|checked| checked.body).collect()
}

/// Every name of one kind with its body, in the order of cursors.
fn names(state: &State, kind: &NameCursor) -> Vec<(NameCursor, Option<BodyId>, FoundName)> {
    let bucket_name =
        |bucket| state.buckets.get(bucket).map(|bucket| bucket.name.clone()).unwrap_or_default();
    let mut names = Vec::new();
    for ((bucket, key), versions) in &state.versions {
        for version in versions.iter().rev() {
            let (number, at) = (bucket.0, key.clone());
            let (cursor, what) = if version.is_current {
                (NameCursor::Current { bucket: number, key: at }, Named::Current(version.version))
            } else {
                let cursor = NameCursor::Noncurrent { bucket: number, key: at, seq: version.seq };
                (cursor, Named::Noncurrent(version.version))
            };
            let name = FoundName { bucket: bucket_name(bucket), key: key.clone(), what };
            names.push((cursor, version.body, name));
        }
    }
    for row in state.uploads.values() {
        for part in row.parts.values() {
            let (id, number) = (row.upload.id, part.part.number);
            let cursor = NameCursor::Part { upload: id.0.as_u128(), number: number.into() };
            let bucket = bucket_name(&row.upload.bucket);
            let what = Named::Part(id, number);
            let name = FoundName { bucket, key: row.upload.key.clone(), what };
            names.push((cursor, part.body, name));
        }
    }
    names.retain(|(cursor, ..)| std::mem::discriminant(cursor) == std::mem::discriminant(kind));
    names
}

/// Whether a name stands behind a cursor of its kind. Of a key's versions the newest comes first.
fn is_behind(name: &NameCursor, after: &NameCursor) -> bool {
    match (name, after) {
        (
            NameCursor::Noncurrent { bucket, key, seq },
            NameCursor::Noncurrent { bucket: to, key: at, seq: last },
        ) => (bucket, key) > (to, at) || (bucket, key) == (to, at) && seq < last,
        (NameCursor::Current { bucket, key }, NameCursor::Current { bucket: to, key: at }) => {
            (bucket, key) > (to, at)
        }
        (NameCursor::Part { upload, number }, NameCursor::Part { upload: to, number: at }) => {
            (upload, number) > (to, at)
        }
        _ => false,
    }
}

#[async_trait]
impl Checks for Model {
    async fn ask_check(&self, heals: bool) -> Result<Option<i64>> {
        let checks = &mut self.state().checks;
        if checks.runs.values().filter(|run| !run.is_done).count() >= MOST_WAITING {
            return Ok(None);
        }
        let done = checks.runs.values().filter(|run| run.is_done).map(|run| run.id);
        let old = done.rev().skip(MOST_KEPT).collect::<Vec<_>>();
        checks.runs.retain(|id, _| !old.contains(id));
        checks.findings.retain(|(run, _), _| !old.contains(run));
        checks.names.retain(|(run, _), _| !old.contains(run));
        checks.last += 1;
        let (id, state) = (checks.last, "{}".to_owned());
        checks.runs.insert(id, CheckRun { id, heals, step: 0, is_done: false, state });
        Ok(Some(id))
    }
    async fn withdraw_check(&self, run: i64) -> Result<()> {
        self.state().checks.runs.retain(|id, row| *id != run || row.step > 0);
        Ok(())
    }
    async fn check(&self, run: i64) -> Result<Option<CheckRun>> {
        Ok(self.state().checks.runs.get(&run).cloned())
    }
    async fn next_check(&self) -> Result<Option<CheckRun>> {
        Ok(self.state().checks.runs.values().find(|run| !run.is_done).cloned())
    }
    async fn step_check(
        &self,
        run: &CheckRun,
        state: &str,
        is_done: bool,
        findings: &[Finding],
    ) -> Result<bool> {
        let checks = &mut self.state().checks;
        let row = checks.runs.get_mut(&run.id);
        let Some(row) = row.filter(|row| row.step == run.step && !row.is_done) else {
            return Ok(false);
        };
        (row.step, row.state, row.is_done) = (run.step + 1, state.to_owned(), is_done);
        for finding in findings {
            checks.findings.entry((run.id, finding.extent)).or_insert(*finding);
        }
        Ok(true)
    }
    async fn extent_count(&self) -> Result<u64> {
        Ok(checked(&self.state()).count() as u64)
    }
    async fn extents_by_id(&self, after: Option<ExtentId>, limit: usize) -> Result<Vec<Checked>> {
        let mut page = checked(&self.state())
            .filter(|checked| after.is_none_or(|after| checked.extent.id > after))
            .collect::<Vec<_>>();
        page.sort_by_key(|checked| checked.extent.id);
        page.truncate(limit);
        Ok(page)
    }
    async fn extents_of(&self, ids: &[ExtentId]) -> Result<Vec<Checked>> {
        Ok(checked(&self.state()).filter(|checked| ids.contains(&checked.extent.id)).collect())
    }
    async fn findings(
        &self,
        run: i64,
        only_open: bool,
        after: Option<ExtentId>,
        limit: usize,
    ) -> Result<Vec<Finding>> {
        let state = self.state();
        let findings = state.checks.findings.iter();
        let of_run = findings.filter(|((id, _), _)| *id == run).map(|(_, finding)| *finding);
        let open = of_run.filter(|finding| !only_open || finding.outcome == Outcome::Open);
        let behind = open.filter(|finding| after.is_none_or(|after| finding.extent > after));
        Ok(behind.take(limit).collect())
    }
    async fn settle_findings(&self, run: i64, settled: &[(ExtentId, Outcome)]) -> Result<()> {
        let findings = &mut self.state().checks.findings;
        for (extent, outcome) in settled {
            if let Some(finding) = findings.get_mut(&(run, *extent)) {
                finding.outcome = *outcome;
            }
        }
        Ok(())
    }
    async fn name_findings(
        &self,
        run: i64,
        after: &NameCursor,
        limit: usize,
    ) -> Result<Option<NameCursor>> {
        let mut state = self.state();
        let bodies = found_bodies(&state, run);
        let mut page = names(&state, after);
        page.retain(|(cursor, ..)| is_behind(cursor, after));
        let next = page.get(limit - 1).map(|(cursor, ..)| cursor.clone());
        for (_, body, name) in page.into_iter().take(limit) {
            let Some(body) = body.filter(|body| bodies.contains(body)) else { continue };
            let named = state.checks.names.entry((run, body)).or_default();
            if !named.contains(&name) {
                named.push(name);
            }
        }
        Ok(next.or_else(|| after.next_kind()))
    }
    async fn finding_names(
        &self,
        run: i64,
        extents: &[ExtentId],
    ) -> Result<Vec<(ExtentId, FoundName)>> {
        let state = self.state();
        let asked = checked(&state).filter(|checked| extents.contains(&checked.extent.id));
        let mut named = Vec::new();
        for Checked { extent, body, .. } in asked {
            let names = state.checks.names.get(&(run, body)).into_iter().flatten();
            named.extend(names.take(NAMES_PER_FINDING).map(|name| (extent.id, name.clone())));
        }
        named.sort_by_key(|(extent, _)| *extent);
        Ok(named)
    }
}
