//! `sixfold node quarantine`: what nodes keep although no row wants it, because the database went
//! back in time: it was restored from a backup, or lost its newest commits.

use crate::meta::Meta;
use crate::meta::pg::Pg;
use crate::meta::types::Quarantine;
use crate::role::admin::Target;
use crate::role::say::say;
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

/// What can be done with them.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Every node that keeps something, and how much of it no row wants
    List {
        /// The server
        #[command(flatten)]
        target: Target,
    },
    /// End it where rows want everything again, as after the newer database came back
    Release(Which),
    /// End it and let the sweep delete for good what no row wants
    Purge(Which),
}

/// Of which node.
#[derive(Args, Debug)]
pub struct Which {
    /// The node's number; without it, all
    #[arg(value_name = "NODE")]
    node: Option<u16>,
    /// The server
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target } => list(&target).await,
        Command::Release(which) => end(&which, false).await,
        Command::Purge(which) => end(&which, true).await,
    }
}

async fn list(target: &Target) -> anyhow::Result<()> {
    let rows = target.connect().await?.quarantines().await?;
    if target.json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        say!("{:#}", serde_json::Value::from(rows))?;
        return Ok(());
    }
    if rows.is_empty() {
        say!("nothing is in quarantine")?;
        return Ok(());
    }
    say!("{:<6} {:<10} {:<12} {:<16} since", "node", "copies to", "chunks", "bytes")?;
    for row in &rows {
        let count = |count: Option<u64>| count.map_or("not counted".into(), |c| c.to_string());
        let (chunks, bytes) = (count(row.chunks), count(row.bytes));
        let (node, kept) = (row.node.0, row.kept.0);
        say!("{node:<6} {kept:<10} {chunks:<12} {bytes:<16} {:.0} s", row.for_s)?;
    }
    Ok(())
}

fn as_json(row: &Quarantine) -> serde_json::Value {
    serde_json::json!({
        "node": row.node.0,
        "kept_copies_to": row.kept.0,
        "chunks": row.chunks,
        "bytes": row.bytes,
        "for_s": row.for_s,
    })
}

async fn end(which: &Which, is_purge: bool) -> anyhow::Result<()> {
    let meta = which.target.connect().await?;
    let mut rows = meta.quarantines().await?;
    rows.retain(|row| which.node.is_none_or(|node| row.node.0 == node));
    ensure!(!rows.is_empty(), "nothing is in quarantine there: see `sixfold node quarantine list`");
    if !is_purge {
        rows.iter().try_for_each(may_be_released)?;
    }
    for row in &rows {
        end_one(&meta, row).await?;
    }
    if which.target.json {
        let rows: Vec<_> = rows.iter().map(as_json).collect();
        say!("{:#}", serde_json::Value::from(rows))?;
    } else {
        say!("ended on {} nodes; each knows it within seconds", rows.len())?;
    }
    Ok(())
}

/// Refuses what would let chunks be deleted.
fn may_be_released(row: &Quarantine) -> anyhow::Result<()> {
    let node = row.node;
    let chunks = row.chunks.with_context(|| {
        format!("what node {node} keeps is not counted yet: wait for the next sweep")
    })?;
    ensure!(
        chunks == 0,
        "no row wants {chunks} of the chunks that node {node} keeps: restore the newer database \
         first, or say `sixfold node quarantine purge` to delete them for good"
    );
    Ok(())
}

async fn end_one(meta: &Pg, row: &Quarantine) -> anyhow::Result<()> {
    let node = row.node;
    ensure!(
        meta.release_quarantine(node, row.kept).await?,
        "what node {node} keeps has changed meanwhile: look again"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_proto::name::{CopyNumber, NodeNumber};

    #[test]
    fn only_what_rows_want_is_released() {
        let row = |chunks| Quarantine {
            node: NodeNumber(2),
            kept: CopyNumber(9),
            for_s: 1.0,
            chunks,
            bytes: chunks,
        };
        assert!(may_be_released(&row(Some(0))).is_ok());
        let text = may_be_released(&row(Some(7))).unwrap_err().to_string();
        assert!(text.contains("7 of the chunks") && text.contains("purge"), "{text}");
        assert!(may_be_released(&row(None)).unwrap_err().to_string().contains("not counted"));
    }
}
