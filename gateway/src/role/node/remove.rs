//! `sixfold node remove`: the node is no longer part of the cluster. What it still had is missing
//! from then on and is healed.

use super::{Nodes, holds_chunks, is_up, report, take_out};
use crate::meta::types::{Heir, RemoveNode};
use crate::role::admin::Target;
use anyhow::ensure;
use clap::Args;

/// What the command takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The node's number
    #[arg(value_name = "NODE")]
    node: u16,
    /// Also when it still has chunks, or when fewer than six nodes are left
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
    let row = nodes.member(arguments.node)?;
    let number = row.number;
    let holds = holds_chunks(&meta, number).await?;
    if holds {
        nodes.check_needed(row)?;
        let mend = if is_up(row) {
            format!("drain it first (`sixfold node drain {number} --wait`)")
        } else {
            format!("if its drive is dead, `sixfold node replace {number}` keeps its place")
        };
        ensure!(
            arguments.force,
            "node {number} still has chunks: {mend}, or say --force to have them made anew from \
             those on other nodes"
        );
    }
    nodes.check_left(row, "removing", arguments.force)?;
    let may_lose = arguments.lose_objects;
    take_out(&meta, RemoveNode { node: number, heir: Heir::Nobody, may_lose }).await?;
    let said = if holds {
        format!(
            "node {number} is removed; what it had is made anew on other nodes, and `sixfold \
             status` shows how many extents wait for that"
        )
    } else {
        format!("node {number} is removed: its process can be stopped")
    };
    report(&meta, &arguments.target, arguments.node, &said).await
}
