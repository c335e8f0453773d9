//! What must be so once nothing goes wrong any more: every extent has six valid chunks on six
//! nodes, no chunk is without a row, every count of references is right.

use super::gateway::Surroundings;
use sixfold_proto::name::{ChunkIndex, ChunkName, NodeNumber};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long healing, collecting and sweeping may take, by the run's clock.
const PATIENCE: Duration = Duration::from_secs(400);

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Waits until all is as it should be; tells what is not when the time is up.
pub(super) async fn settle(around: &Surroundings) {
    let until = around.world.now() + PATIENCE;
    loop {
        let left = left(around);
        if left.is_empty() {
            around.world.note("all is in its place");
            return;
        }
        if around.world.now() >= until {
            left.iter().take(5).for_each(|what| around.world.wrong(what));
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is not yet as it should be.
fn left(around: &Surroundings) -> Vec<String> {
    let census = around.database.model.census();
    let mut left = Vec::new();
    let mut placed = BTreeSet::<(NodeNumber, ChunkName)>::new();
    for extent in &census.live {
        let id = extent.id;
        if BTreeSet::from(extent.placement).len() < extent.placement.len() {
            left.push(format!("I4: extent {id} has not six nodes"));
        }
        if extent.missing.0 != 0 {
            left.push(format!("I4: extent {id} lacks the chunks {:06b}", extent.missing.0));
        }
        for (index, number) in ChunkIndex::ALL.into_iter().zip(extent.placement) {
            let name = ChunkName { extent: id, index };
            placed.insert((number, name));
            let node = around.network.node(number);
            if !node.is_some_and(|node| node.is_up() && node.has_whole(name)) {
                left.push(format!("I5: the row of {name} points to n{number}, where it is not"));
            }
        }
    }
    for node in around.network.nodes().into_iter().filter(|node| node.is_up()) {
        let Some(number) = node.number() else { continue };
        let unwanted = |name: &ChunkName| !placed.contains(&(number, *name));
        let orphans = node.chunks().into_keys().filter(unwanted);
        left.extend(orphans.map(|name| format!("I5: no row wants {name} on n{number}")));
    }
    if census.freed > 0 {
        left.push(format!("I5: {} freed bodies are not collected", census.freed));
    }
    let miscounted = census.miscounted.iter();
    left.extend(miscounted.map(|(body, count, right)| {
        format!("I6: body {body:?} counts {count} references and has {right}")
    }));
    left
}
