//! `sixfold node`: the storage nodes, one command in each file.

mod drain;
mod list;
mod quarantine;
mod remove;
mod replace;
mod weight;

pub(super) use list::{as_json, is_up};

use super::admin::Target;
use crate::meta::pg::Pg;
use crate::meta::types::{NodeRow, NodeState, Placed, Removal, RemoveNode};
use crate::meta::{LOST_LIMIT, Meta};
use crate::role::say::say;
use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use sixfold_proto::name::{CHUNKS_PER_EXTENT, NodeNumber};

/// Six chunks, at most two on a node: with fewer nodes nothing can be stored.
const FEWEST_NODES: usize = 3;

/// With so many other nodes away, any chunk of a node may be one that objects can't do without.
const MOST_AWAY: usize = 2;

/// What can be done with nodes.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// All nodes that were ever registered
    List {
        /// The server
        #[command(flatten)]
        target: Target,
    },
    /// Move everything off a node, so that it can be removed
    Drain(drain::Arguments),
    /// Take a node out of the cluster for good
    Remove(remove::Arguments),
    /// Give the place of a dead node to a new one
    Replace(replace::Arguments),
    /// What nodes keep although no row wants it, after the database went back in time
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Set a node's share relative to the others
    Weight(weight::Arguments),
}

/// Runs one of them.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target } => list::run(&target).await,
        Command::Drain(arguments) => drain::run(arguments).await,
        Command::Remove(arguments) => remove::run(arguments).await,
        Command::Replace(arguments) => replace::run(arguments).await,
        Command::Quarantine(command) => quarantine::run(command).await,
        Command::Weight(arguments) => weight::run(arguments).await,
    }
}

/// The nodes as the commands judge them.
struct Nodes(Vec<NodeRow>);

impl Nodes {
    async fn read(meta: &dyn Meta) -> anyhow::Result<Self> {
        Ok(Self(meta.nodes().await?))
    }

    fn find(&self, number: u16) -> anyhow::Result<&NodeRow> {
        let found = self.0.iter().find(|row| row.number == NodeNumber(number));
        found.with_context(|| {
            format!("there is no node {number}: `sixfold node list` shows all there are")
        })
    }

    /// One that is part of the cluster.
    fn member(&self, number: u16) -> anyhow::Result<&NodeRow> {
        let row = self.find(number)?;
        ensure!(
            row.state != NodeState::Removed,
            "node {number} was removed: its drive can come back as a new node once it is emptied"
        );
        Ok(row)
    }

    /// Refuses to give a seat away for the second time.
    fn check_seat(&self, old: &NodeRow) -> anyhow::Result<()> {
        let has_it = |row: &&NodeRow| row.seat == old.seat && row.state != NodeState::Removed;
        let heir = self.0.iter().find(has_it).filter(|row| row.number != old.number);
        let heir = heir.map(|row| row.number);
        ensure!(
            heir.is_none(),
            "the place of node {} was taken by node {}: if that one is dead, too, replace that one",
            old.number,
            heir.map_or_else(String::new, |number| number.to_string())
        );
        Ok(())
    }

    /// The members that stay when `leaving` goes.
    fn others(&self, leaving: &NodeRow) -> impl Iterator<Item = &NodeRow> {
        let leaving = leaving.number;
        self.0.iter().filter(move |row| {
            row.number != leaving && !matches!(row.state, NodeState::Removed | NodeState::Draining)
        })
    }

    /// Refuses what leaves too few nodes, as far as `--force` does not ask for it.
    fn check_left(&self, leaving: &NodeRow, action: &str, force: bool) -> anyhow::Result<()> {
        let (number, left) = (leaving.number, self.others(leaving).count());
        ensure!(
            left >= FEWEST_NODES,
            "{action} node {number} would leave {left} nodes, and six chunks, at most two on a \
             node, need {FEWEST_NODES}: add a node first"
        );
        ensure!(
            left >= CHUNKS_PER_EXTENT || force,
            "{action} node {number} would leave {left} nodes. Then two chunks of an object share a \
             node, only one node may be lost, and nothing can be stored as REDUCED_REDUNDANCY or \
             SIXFOLD_SCRATCH, whose objects stay where they are. Add a node first, or say --force"
        );
        Ok(())
    }

    /// Refuses to give up a node that answers while others don't.
    fn check_needed(&self, leaving: &NodeRow) -> anyhow::Result<()> {
        let away = self.others(leaving).filter(|row| !is_up(row));
        let away = away.map(|row| row.number.to_string()).collect::<Vec<_>>();
        ensure!(
            away.len() < MOST_AWAY || !is_up(leaving),
            "nodes {} don't answer: without node {} objects could not be read. Bring one of them \
             back first",
            away.join(" and "),
            leaving.number
        );
        Ok(())
    }
}

/// Removes a node, unless objects or the state of other nodes stand against it.
async fn take_out(meta: &Pg, removal: RemoveNode) -> anyhow::Result<()> {
    let node = removal.node;
    match meta.remove_node(removal).await? {
        Removal::Done => Ok(()),
        Removal::Absent => bail!("a node was removed meanwhile: see `sixfold node list`"),
        Removal::SeatTaken => {
            bail!("the place of node {node} was taken meanwhile: see `sixfold node list`")
        }
        Removal::Loses(extents) => bail!("{}", lost(node, extents)),
    }
}

/// What a removal would lose, and the ways around it.
fn lost(node: NodeNumber, extents: usize) -> String {
    let or_more = if extents >= LOST_LIMIT { " or more" } else { "" };
    format!(
        "without node {node} {extents}{or_more} extents of objects could never be read again: too \
         few of their chunks are on other nodes. Wait until what is missing is made anew (`sixfold \
         status` counts degraded extents), bring drives back that are away (`sixfold node list`), \
         or drain the node if it answers. --lose-objects gives those objects up"
    )
}

/// Whether rows place chunks on a node.
async fn holds_chunks(meta: &dyn Meta, node: NodeNumber) -> anyhow::Result<bool> {
    Ok(!meta.placed_extents(Placed::On(&[node]), None, 1).await?.is_empty())
}

/// Says what was done: for programs the node's row, for people a sentence.
async fn report(meta: &Pg, target: &Target, number: u16, said: &str) -> anyhow::Result<()> {
    if target.json {
        say!("{:#}", as_json(Nodes::read(meta).await?.find(number)?))?;
    } else {
        say!("{said}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{LOST_LIMIT, Nodes, lost};
    use crate::meta::types::{NodeRow, NodeState};
    use sixfold_proto::name::NodeNumber;

    pub(super) fn row(number: u16, state: NodeState, silent_for: f64) -> NodeRow {
        NodeRow {
            number: NodeNumber(number),
            drive: uuid::Uuid::nil(),
            address: None,
            zone: "local".to_owned(),
            weight: 1.0,
            seat: NodeNumber(number),
            chunk_count: Some(3),
            capacity_bytes: 0,
            free_bytes: 0,
            registration: 1,
            state,
            silent_for,
        }
    }

    /// Nodes 1 to `count`, of which the first `away` are silent.
    fn nodes(count: u16, away: u16) -> Nodes {
        let silence = |number| if number <= away { 99.0 } else { 1.0 };
        let rows = (1..=count).map(|number| row(number, NodeState::Active, silence(number)));
        Nodes(rows.collect())
    }

    #[test]
    fn a_node_that_is_not_there_is_named_with_the_mend() {
        let mut nodes = nodes(6, 0);
        nodes.0[2].state = NodeState::Removed;
        let error = nodes.find(9).unwrap_err().to_string();
        assert!(error.contains("no node 9") && error.contains("node list"), "{error}");
        let error = nodes.member(3).unwrap_err().to_string();
        assert!(error.contains("node 3 was removed"), "{error}");
        assert!(nodes.find(3).is_ok() && nodes.member(1).is_ok());
    }

    #[test]
    fn what_would_leave_too_few_is_refused() {
        for (count, force, said) in [
            (7, false, None),
            (6, false, Some("would leave 5 nodes. Then two chunks")),
            (6, true, None),
            (4, true, None),
            (3, true, Some("would leave 2 nodes, and six chunks")),
        ] {
            let nodes = nodes(count, 0);
            let checked = nodes.check_left(&nodes.0[0], "draining", force);
            let error = checked.err().map(|error| error.to_string());
            assert_eq!(error.is_some(), said.is_some(), "{count}: {error:?}");
            assert!(error.unwrap_or_default().contains(said.unwrap_or_default()));
        }
        let mut nodes = nodes(7, 0);
        nodes.0[6].state = NodeState::Draining;
        assert!(nodes.check_left(&nodes.0[0], "draining", false).is_err(), "the second drain");
    }

    #[test]
    fn a_seat_that_was_taken_is_not_given_again() {
        let mut nodes = nodes(7, 0);
        assert!(nodes.check_seat(&nodes.0[2]).is_ok(), "its own");
        nodes.0[2].state = NodeState::Removed;
        assert!(nodes.check_seat(&nodes.0[2]).is_ok(), "nobody's");
        nodes.0[6].seat = NodeNumber(3);
        let error = nodes.check_seat(&nodes.0[2]).unwrap_err().to_string();
        assert!(error.contains("place of node 3 was taken by node 7"), "{error}");
        nodes.0[6].state = NodeState::Removed;
        assert!(nodes.check_seat(&nodes.0[2]).is_ok(), "nobody's again");
    }

    #[test]
    fn what_would_be_lost_is_counted_with_the_mend() {
        let said = lost(NodeNumber(3), 12);
        assert!(said.contains("without node 3 12 extents"), "{said}");
        assert!(said.contains("--lose-objects") && said.contains("sixfold status"), "{said}");
        assert!(lost(NodeNumber(3), LOST_LIMIT).contains("1000 or more extents"));
    }

    #[test]
    fn a_node_that_is_needed_is_not_given_up() {
        let all = nodes(8, 2);
        let error = all.check_needed(&all.0[5]).unwrap_err().to_string();
        assert!(error.contains("nodes 1 and 2 don't answer"), "{error}");
        assert!(all.check_needed(&all.0[0]).is_ok(), "a dead one is lost anyway");
        let all = nodes(8, 1);
        assert!(all.check_needed(&all.0[5]).is_ok());
    }
}
