//! `sixfold node replace`: the way for a dead drive. The old node is removed, and the new one takes
//! its place on the ring: what the old one had is made anew there, and nothing else moves.

use super::{Nodes, is_up, report, take_out};
use crate::meta::types::{Heir, NodeState, RemoveNode};
use crate::role::admin::Target;
use anyhow::ensure;
use clap::Args;
use sixfold_proto::name::NodeNumber;

/// What the command takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The dead node's number
    #[arg(value_name = "OLD")]
    old: u16,
    /// The node that takes its place [default: the next new drive]
    #[arg(value_name = "NEW")]
    new: Option<u16>,
    /// Also when the old one still answers
    #[arg(long)]
    force: bool,
    /// Also when objects can never be read again without it
    #[arg(long)]
    lose_objects: bool,
    /// The server
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let meta = arguments.target.connect().await?;
    let nodes = Nodes::read(&meta).await?;
    let old = nodes.find(arguments.old)?;
    let number = old.number;
    nodes.check_seat(old)?;
    if old.state != NodeState::Removed && is_up(old) {
        nodes.check_needed(old)?;
        ensure!(
            arguments.force,
            "node {number} answers: what it has can be moved (`sixfold node drain {number} \
             --wait`). Say --force to give it up"
        );
    }
    if let Some(new) = arguments.new {
        let row = nodes.member(new)?;
        ensure!(new != arguments.old, "node {new} can't take its own place");
        ensure!(
            row.state != NodeState::Draining,
            "node {new} is being drained: say `sixfold node drain {new} --cancel` first"
        );
    }
    let heir = arguments.new.map_or(Heir::NextDrive, |new| Heir::Node(NodeNumber(new)));
    let may_lose = arguments.lose_objects;
    take_out(&meta, RemoveNode { node: number, heir, may_lose }).await?;
    let said = match arguments.new {
        Some(new) => format!(
            "node {new} has the place of node {number}: what that had is made anew there, and \
             `sixfold status` shows how many extents wait for it"
        ),
        None => format!(
            "node {number} is given up, and the next new drive takes its place. For `sixfold \
             server`, put an empty folder where the dead drive was and start the server again; \
             elsewhere start a sixfold-node on the new drive"
        ),
    };
    report(&meta, &arguments.target, arguments.new.unwrap_or(arguments.old), &said).await
}
