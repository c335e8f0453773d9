//! `sixfold node weight`: a node's share relative to the others.

use super::{Nodes, report};
use crate::meta::Meta;
use crate::role::admin::Target;
use anyhow::ensure;
use clap::Args;

/// What the command takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The node's number
    #[arg(value_name = "NODE")]
    node: u16,
    /// Its weight, 0.01 to 100: a node of weight 2 gets twice the chunks of one of weight 1
    #[arg(value_name = "W")]
    weight: f64,
    /// The server
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (node, weight) = (arguments.node, arguments.weight);
    ensure!(
        (0.01..=100.0).contains(&weight),
        "{weight} is no weight: give a number between 0.01 and 100"
    );
    let meta = arguments.target.connect().await?;
    let nodes = Nodes::read(&meta).await?;
    let row = nodes.member(node)?;
    ensure!(meta.set_node_weight(row.number, weight).await?, "node {node} was removed meanwhile");
    let said =
        format!("node {node} has weight {weight}: chunks move until each node has its share");
    report(&meta, &arguments.target, node, &said).await
}
