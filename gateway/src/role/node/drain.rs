//! `sixfold node drain`: the node takes nothing more, what it has moves to others, and it is done
//! when its own inventory is empty.

use super::{Nodes, holds_chunks, is_up, report};
use crate::meta::Meta;
use crate::meta::pg::Pg;
use crate::meta::types::{NodeRow, NodeState};
use crate::role::admin::Target;
use anyhow::{bail, ensure};
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;

/// How often progress is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A node that does not answer for so long is not merely being started again.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(1);

/// What the command takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The node's number
    #[arg(value_name = "NODE")]
    node: u16,
    /// Come back only when the node is empty; progress goes to standard error, with --json as one
    /// object a line
    #[arg(long)]
    wait: bool,
    /// Also when fewer than six nodes are left
    #[arg(long)]
    force: bool,
    /// End a drain: the node takes chunks again
    #[arg(long, conflicts_with_all = ["wait", "force"])]
    cancel: bool,
    /// The server
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let meta = arguments.target.connect().await?;
    let nodes = Nodes::read(&meta).await?;
    let row = nodes.member(arguments.node)?;
    if arguments.cancel {
        return cancel(&meta, &arguments, row).await;
    }
    let number = row.number;
    if row.state != NodeState::Draining {
        nodes.check_left(row, "draining", arguments.force)?;
        ensure!(
            is_up(row),
            "node {number} does not answer, or its drive failed: nothing can be moved off it. If \
             the drive is dead, say `sixfold node replace {number}`"
        );
        ensure!(
            meta.set_node_state(number, NodeState::Draining).await?,
            "node {number} was removed meanwhile"
        );
    }
    if arguments.wait {
        wait(&meta, arguments.node, arguments.target.json).await?;
        let said = format!("node {number} is empty: `sixfold node remove {number}` takes it out");
        return report(&meta, &arguments.target, arguments.node, &said).await;
    }
    let said = format!(
        "node {number} is being drained: `sixfold node list` shows how many chunks it still has, \
         `sixfold node drain {number} --wait` waits"
    );
    report(&meta, &arguments.target, arguments.node, &said).await
}

async fn cancel(meta: &Pg, arguments: &Arguments, row: &NodeRow) -> anyhow::Result<()> {
    let number = row.number;
    ensure!(row.state == NodeState::Draining, "node {number} is not being drained");
    meta.set_node_state(number, NodeState::Active).await?;
    let said = format!("node {number} takes chunks again, and its share comes back to it");
    report(meta, &arguments.target, arguments.node, &said).await
}

/// Waits until the node says that it is empty and no row places a chunk on it, saying what is left
/// whenever that has changed. A node that no longer answers never says so: that is an error.
async fn wait(meta: &dyn Meta, node: u16, is_json: bool) -> anyhow::Result<()> {
    let (mut said, mut silent_since) = (String::new(), None);
    loop {
        let nodes = Nodes::read(meta).await?;
        let row = nodes.find(node)?;
        ensure!(row.state == NodeState::Draining, "node {node} is no longer being drained");
        let holds = holds_chunks(meta, row.number).await?;
        if row.is_drained() && !holds {
            return Ok(());
        }
        silent_since =
            if is_up(row) { None } else { silent_since.or_else(|| Some(Instant::now())) };
        if silent_since.is_some_and(|since| since.elapsed() >= GIVEN_UP_AFTER) {
            bail!("{}", given_up(row, holds));
        }
        let jobs = meta.jobs().await?;
        let doing = jobs.iter().find(|job| job.name == "rebalance").map(|job| &*job.doing);
        let line = progress(row, doing, is_json);
        if line != said {
            eprintln!("{line}");
            said = line;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What can be done with a node that died while it was drained.
fn given_up(row: &NodeRow, holds: bool) -> String {
    let (number, silent_for) = (row.number, row.silent_for);
    let silent = format!("node {number} has not been heard of for {silent_for:.0} s");
    if !holds {
        return format!(
            "{silent}, and no row places anything there: `sixfold node remove {number}` takes it out"
        );
    }
    format!(
        "{silent}, and nothing can be moved off it. Start it again, and the drain goes on; or leave \
         it: what it has is made anew elsewhere after the hold-down (`times.hold_down`). If its \
         drive is dead, say `sixfold node replace {number}`"
    )
}

/// How far a drain is, in a line: for people, or for programs.
fn progress(row: &NodeRow, doing: Option<&str>, is_json: bool) -> String {
    let (node, chunks) = (row.number.0, row.chunk_count);
    if is_json {
        let line = serde_json::json!({ "node": node, "chunks_left": chunks, "rebalance": doing });
        return line.to_string();
    }
    let left = match chunks {
        Some(count) => format!("node {node} has {count} chunks left"),
        None => format!("node {node} has not heard of it yet"),
    };
    format!("{left}; rebalance: {}", doing.unwrap_or("not begun"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::{given_up, progress, wait};
    use crate::meta::Meta;
    use crate::meta::model::Model;
    use crate::meta::types::NodeState;

    /// On the clock of the runtime, which nothing holds up.
    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_node_that_died_ends_with_the_mend() {
        let model = Model::new();
        let row = model.register_node(uuid::Uuid::new_v4(), None, "a", 1.0).await.unwrap();
        model.set_node_state(row.number, NodeState::Draining).await.unwrap();
        let error = wait(&model, 1, true).await.unwrap_err().to_string();
        assert!(error.contains("no row places anything there: `sixfold node remove 1`"), "{error}");
        let error = given_up(&row, true);
        assert!(error.contains("hold-down") && error.contains("node replace 1"), "{error}");
    }

    #[test]
    fn progress_is_a_line_for_either_reader() {
        let mut row = row(3, NodeState::Draining, 1.0);
        row.chunk_count = Some(7);
        let said = progress(&row, Some("moves"), false);
        assert_eq!(said, "node 3 has 7 chunks left; rebalance: moves");
        row.chunk_count = None;
        assert!(progress(&row, None, false).contains("not heard of it yet; rebalance: not begun"));
        let line = progress(&row, None, true);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["node"].as_u64(), value["chunks_left"].as_u64()), (Some(3), None));
        assert!(!line.contains('\n'));
    }
}
