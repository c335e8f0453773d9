//! Compares a page of the rows with what the nodes list.
//!
//! Both sides are read in the order of extent ids, rows first. What a page covers ends where the
//! shortest of the full answers ends, so that a step holds one answer of each side, however many
//! rows or chunks the other has.
//!
//! Nothing is reported by one look, because writes, moves, heals and deletes go on meanwhile. A
//! chunk is *absent* when the row was read, then the node said that it has none, then the row still
//! placed it there: a chunk is durable before a row places it. A chunk is *unwanted* when the node
//! listed it, then no row placed it there, then the node listed the same copy again: what is
//! deleted leaves the node before its row goes.

use super::state::{CheckState, Unwanted};
use crate::jobs::Nodes;
use crate::jobs::sweep::knows;
use crate::meta::Meta;
use crate::meta::checks::Checks;
use crate::meta::types::{Checked, ChunkSet, Extent, Finding, NodeState, Outcome, RiskCursor};
use futures::StreamExt;
use sixfold_proto::chunks::{ChunkEntry, Chunks, NodeError};
use sixfold_proto::name::{CHUNKS_PER_EXTENT, ChunkIndex, ChunkName, ExtentId, NodeNumber};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How much of each side a page holds at most.
#[derive(Clone, Copy)]
pub(super) struct PageSize {
    /// Extents.
    pub(super) rows: usize,
    /// Chunks of one node: more than an extent can have there.
    pub(super) listed: usize,
}

/// A few milliseconds' work for PostgreSQL and for each node.
pub(super) const PAGE: PageSize = PageSize { rows: 1000, listed: 2000 };

/// Chunks that are asked for one by one at once.
const AT_ONCE: usize = 16;

/// How often a node is asked before it is given up, and the pause in between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// What is compared.
pub(super) struct Sides<'a> {
    pub(super) meta: &'a dyn Meta,
    pub(super) checks: &'a dyn Checks,
    pub(super) nodes: &'a dyn Nodes,
    /// For how long what was moved away is kept.
    pub(super) kept: Duration,
    pub(super) page: PageSize,
}

/// The nodes of a page.
#[derive(Default)]
struct Members {
    /// Those that can be asked.
    reached: BTreeMap<NodeNumber, Arc<dyn Chunks>>,
    /// Those that were taken out of the cluster: what rows place there is absent.
    removed: BTreeSet<NodeNumber>,
    /// Whether each chunk of an extent can have a node of its own.
    has_room: bool,
}

/// A page of both sides, cut to the same range of ids.
struct Page {
    rows: HashMap<ExtentId, Checked>,
    entries: BTreeMap<NodeNumber, Vec<ChunkEntry>>,
    /// The last id that it covers; `None` when nothing is behind it.
    end: Option<ExtentId>,
}

/// Compares the page behind the state's; answers what it found, and whether there is more.
pub(super) async fn compare(
    sides: &Sides<'_>,
    state: &mut CheckState,
) -> anyhow::Result<(Vec<Finding>, bool)> {
    let after = state.after();
    let rows = sides.checks.extents_by_id(after, sides.page.rows).await?;
    // Read behind the rows: every node that they name is registered by now.
    let mut members = members(sides, state).await?;
    let page = read_page(rows, after, sides.page, &mut members, state).await;
    let mut present = HashMap::<ExtentId, ChunkSet>::new();
    for (node, entries) in &page.entries {
        let is_placed = |entry: &&ChunkEntry| -> bool {
            let row = page.rows.get(&entry.name.extent);
            row.is_some_and(|row| row.extent.placement[entry.name.index.as_usize()] == *node)
        };
        let (placed, strays): (Vec<&ChunkEntry>, Vec<&ChunkEntry>) =
            entries.iter().partition(is_placed);
        for entry in placed {
            let chunks = present.entry(entry.name.extent).or_default();
            chunks.0 |= 1 << entry.name.index.get();
        }
        if strays.is_empty() {
            continue;
        }
        match unwanted(sides, *node, &*members.reached[node], after, &strays).await? {
            Ok(unwanted) => state.unwanted.entry(node.0).or_default().join(unwanted),
            Err(error) => state.give_up(*node, error.to_string()),
        }
    }
    members.reached.retain(|node, _| !state.is_unreached(*node));
    let live = page.rows.values().filter(|row| !row.is_freed);
    let suspects = live.clone().filter(|row| {
        let there = present.get(&row.extent.id).copied().unwrap_or_default();
        let lacks = absent_by_list(&row.extent, there, &members);
        lacks != ChunkSet(0) || row.extent.missing != ChunkSet(0) || members.crowds(&row.extent)
    });
    let suspects = suspects.map(|row| row.extent.id).collect::<Vec<_>>();
    let findings = verify(sides, &suspects, &members, state).await?;
    state.extents += live.count() as u64;
    state.present += present.values().map(|there| u64::from(there.0.count_ones())).sum::<u64>();
    if let Some(end) = page.end {
        state.set_after(end);
    }
    Ok((findings, page.end.is_some()))
}

async fn members(sides: &Sides<'_>, state: &mut CheckState) -> anyhow::Result<Members> {
    let mut members = Members::default();
    let mut active = 0;
    for row in sides.meta.nodes().await? {
        if row.state == NodeState::Removed {
            members.removed.insert(row.number);
            continue;
        }
        let node = sides.nodes.node(row.number).filter(|_| sides.nodes.is_heard(row.number));
        match node {
            _ if state.is_unreached(row.number) => {}
            Some(node) => {
                active += usize::from(row.state == NodeState::Active);
                members.reached.insert(row.number, node);
            }
            None => state.give_up(row.number, "it is not there"),
        }
    }
    members.has_room = active >= CHUNKS_PER_EXTENT;
    Ok(members)
}

impl Members {
    /// Whether two chunks of an extent share a node without need.
    fn crowds(&self, extent: &Extent) -> bool {
        let own = extent.placement.iter().collect::<BTreeSet<_>>().len();
        self.has_room && own < CHUNKS_PER_EXTENT
    }
}

/// Lists what the nodes have behind `after`, and cuts both sides to what all of them cover.
async fn read_page(
    rows: Vec<Checked>,
    after: Option<ExtentId>,
    size: PageSize,
    members: &mut Members,
    state: &mut CheckState,
) -> Page {
    let behind = behind(after);
    let lists = members.reached.iter().map(|(number, node)| async move {
        (*number, again_and_again(|| node.list(behind, size.listed)).await)
    });
    let mut end = if rows.len() == size.rows { rows.last().map(|row| row.extent.id) } else { None };
    let mut entries = BTreeMap::new();
    for (number, listed) in futures::future::join_all(lists).await {
        match listed {
            Ok(listed) => {
                // The last extent of a full answer may go on behind it.
                let cut = listed.last().filter(|_| listed.len() == size.listed);
                let cut = cut.map(|entry| ExtentId(entry.name.extent.0 - 1));
                end = end.into_iter().chain(cut).min();
                entries.insert(number, listed);
            }
            Err(error) => state.give_up(number, error.to_string()),
        }
    }
    members.reached.retain(|node, _| entries.contains_key(node));
    let is_covered = |extent: ExtentId| end.is_none_or(|end| extent <= end);
    for listed in entries.values_mut() {
        listed.retain(|entry| is_covered(entry.name.extent));
    }
    let rows = rows.into_iter().filter(|row| is_covered(row.extent.id));
    Page { rows: rows.map(|row| (row.extent.id, row)).collect(), entries, end }
}

/// Behind the last chunk of an extent.
fn behind(extent: Option<ExtentId>) -> Option<ChunkName> {
    let index = ChunkIndex::ALL[CHUNKS_PER_EXTENT - 1];
    extent.map(|extent| ChunkName { extent, index })
}

/// The chunks that a row places on nodes which do not list them.
fn absent_by_list(extent: &Extent, there: ChunkSet, members: &Members) -> ChunkSet {
    ChunkSet::of(|index| {
        let node = extent.placement[index];
        members.removed.contains(&node)
            || members.reached.contains_key(&node) && !there.contains(index)
    })
}

/// Looks again at what does not seem whole.
async fn verify(
    sides: &Sides<'_>,
    suspects: &[ExtentId],
    members: &Members,
    state: &mut CheckState,
) -> anyhow::Result<Vec<Finding>> {
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sides.checks.extents_of(suspects).await?;
    let rows = rows.into_iter().filter(|row| !row.is_freed).map(|row| row.extent);
    let looks = rows.map(|extent| async move { (look(&extent, members).await, extent) });
    let looks = looks.collect::<Vec<_>>();
    let looked = futures::stream::iter(looks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let now = sides.checks.extents_of(suspects).await?;
    let now = now.into_iter().filter(|row| !row.is_freed).map(|row| (row.extent.id, row.extent));
    let now = now.collect::<HashMap<_, _>>();
    let mut findings = Vec::new();
    for (look, before) in looked {
        let absent = match look {
            Ok(absent) => absent,
            Err((node, error)) => {
                state.give_up(node, error.to_string());
                continue;
            }
        };
        let Some(extent) = now.get(&before.id) else { continue };
        let stays = |index| extent.placement[index] == before.placement[index];
        let absent = ChunkSet::of(|index| absent.contains(index) && stays(index));
        findings.extend(finding(extent, absent, members));
    }
    findings.sort_by_key(|finding| finding.extent);
    Ok(findings)
}

/// The chunks of an extent that are not where its row places them.
async fn look(extent: &Extent, members: &Members) -> Result<ChunkSet, (NodeNumber, NodeError)> {
    let mut absent = ChunkSet(0);
    for index in ChunkIndex::ALL {
        let number = extent.placement[index.as_usize()];
        let name = ChunkName { extent: extent.id, index };
        let is_absent = match members.reached.get(&number) {
            _ if members.removed.contains(&number) => true,
            None => false,
            Some(node) => match again_and_again(|| node.stat(name)).await {
                Ok(_) => false,
                Err(NodeError::NotFound) => true,
                Err(error) => return Err((number, error)),
            },
        };
        absent.0 |= u8::from(is_absent) << index.get();
    }
    Ok(absent)
}

/// What is to be said of an extent; nothing when it is whole by now.
fn finding(extent: &Extent, absent: ChunkSet, members: &Members) -> Option<Finding> {
    let is_crowded = members.crowds(extent);
    if absent == ChunkSet(0) && extent.missing == ChunkSet(0) && !is_crowded {
        return None;
    }
    let without = Extent { missing: absent, ..extent.clone() };
    Some(Finding {
        extent: extent.id,
        absent,
        known: extent.missing,
        is_crowded,
        is_lost: RiskCursor::of(&without).spare < 0,
        placement: extent.placement,
        outcome: Outcome::Open,
    })
}

/// Judges what a node has and the page's rows do not place there. The inner error is the node's.
async fn unwanted(
    sides: &Sides<'_>,
    number: NodeNumber,
    node: &dyn Chunks,
    after: Option<ExtentId>,
    strays: &[&ChunkEntry],
) -> anyhow::Result<Result<Unwanted, NodeError>> {
    let memory = match again_and_again(|| node.health()).await {
        Ok(health) => health.memory,
        Err(error) => return Ok(Err(error)),
    };
    let names = strays.iter().map(|entry| entry.name).collect::<Vec<_>>();
    let unplaced = sides.meta.unplaced(number, &names).await?.into_iter().collect::<HashSet<_>>();
    if unplaced.is_empty() {
        return Ok(Ok(Unwanted::default()));
    }
    let again = match again_and_again(|| node.list(behind(after), sides.page.listed)).await {
        Ok(again) => {
            again.into_iter().map(|entry| (entry.name, entry.copy)).collect::<HashSet<_>>()
        }
        Err(error) => return Ok(Err(error)),
    };
    let stays = |entry: &&&ChunkEntry| {
        unplaced.contains(&entry.name) && again.contains(&(entry.name, entry.copy))
    };
    let strays = strays.iter().filter(stays).collect::<Vec<_>>();
    let copies = strays.iter().map(|entry| (entry.name, entry.writer, entry.copy));
    let copies = copies.collect::<Vec<_>>();
    let mut condemned = HashSet::new();
    if knows(sides.meta, memory).await? {
        condemned.extend(sides.meta.condemned(number, &copies, sides.kept).await?);
    }
    let mut unwanted = Unwanted::default();
    for entry in strays {
        let count = match () {
            () if entry.copy <= memory.kept => &mut unwanted.quarantined,
            () if condemned.contains(&(entry.name, entry.copy)) => &mut unwanted.due,
            () => &mut unwanted.held,
        };
        count.add(entry.size_bytes);
    }
    Ok(Ok(unwanted))
}

/// Calls a node until it answers, or a few times in vain.
async fn again_and_again<T, F>(call: impl Fn() -> F) -> Result<T, NodeError>
where
    F: Future<Output = Result<T, NodeError>>,
{
    let mut tries = 1;
    loop {
        let late = || Err(NodeError::Unavailable(format!("no answer within {CALL_LIMIT:?}")));
        match tokio::time::timeout(CALL_LIMIT, call()).await.unwrap_or_else(|_| late()) {
            Err(error) if error != NodeError::NotFound && tries < TRIES => {
                tracing::debug!("a node is asked again: {error}");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
