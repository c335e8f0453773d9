//! The rows of checks: what is asked for, what was found, whose it is. Behind an interface of their
//! own, implemented where [`super::Meta`] is.

use super::Result;
use super::types::{CheckRun, Checked, Finding, FoundName, NameCursor, Outcome};
use async_trait::async_trait;
use sixfold_proto::name::ExtentId;

/// Names told of one finding; a body may be shared by any number of copies.
pub const NAMES_PER_FINDING: usize = 20;

/// Every method is one statement or one transaction.
#[async_trait]
pub trait Checks: Send + Sync + 'static {
    /// Asks for a check and gives its number; only the newest that are done are kept. `None`:
    /// enough are waiting.
    async fn ask_check(&self, heals: bool) -> Result<Option<i64>>;
    /// Takes back what was asked for.
    async fn withdraw_check(&self, run: i64) -> Result<()>;
    /// One check.
    async fn check(&self, run: i64) -> Result<Option<CheckRun>>;
    /// The one to be done first.
    async fn next_check(&self) -> Result<Option<CheckRun>>;
    /// Writes down a unit of work on `run`, which is as it was before it: how far it is now, and
    /// what was found. `false`: another process did the unit, or the check was taken back.
    async fn step_check(
        &self,
        run: &CheckRun,
        state: &str,
        is_done: bool,
        findings: &[Finding],
    ) -> Result<bool>;
    /// About how many extents there are.
    async fn extent_count(&self) -> Result<u64>;
    /// Up to `limit` extents by id, behind `after`.
    async fn extents_by_id(&self, after: Option<ExtentId>, limit: usize) -> Result<Vec<Checked>>;
    /// Those of these extents that are there.
    async fn extents_of(&self, ids: &[ExtentId]) -> Result<Vec<Checked>>;
    /// Findings of a check by extent, behind `after`, at most `limit`; only open ones, or all.
    async fn findings(
        &self,
        run: i64,
        only_open: bool,
        after: Option<ExtentId>,
        limit: usize,
    ) -> Result<Vec<Finding>>;
    /// Notes what became of findings.
    async fn settle_findings(&self, run: i64, settled: &[(ExtentId, Outcome)]) -> Result<()>;
    /// Goes through `limit` names behind `after` and notes those of findings. Answers where to go
    /// on; `None` after the last of all.
    async fn name_findings(
        &self,
        run: i64,
        after: &NameCursor,
        limit: usize,
    ) -> Result<Option<NameCursor>>;
    /// The noted names of these extents, of each at most [`NAMES_PER_FINDING`].
    async fn finding_names(
        &self,
        run: i64,
        extents: &[ExtentId],
    ) -> Result<Vec<(ExtentId, FoundName)>>;
}
