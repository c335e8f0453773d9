//! What the product's code asks of a simulation: see `crate::points`.

use super::node::SimNode;
use super::process::current;
use super::world::{End, world};
use time::OffsetDateTime;

/// Whether a simulation runs on this thread.
pub(crate) fn is_simulated() -> bool {
    world().is_some()
}

/// A random number of the simulation on this thread.
pub(crate) fn seeded_number() -> Option<u64> {
    world().map(|world| world.next_id())
}

/// What the clock of the process says whose task runs; outside of all processes, the right time.
pub(crate) fn time_of_day() -> Option<OffsetDateTime> {
    let ahead = current().map_or(time::Duration::ZERO, |process| process.clock_ahead());
    world().map(|world| world.time_of_day() + ahead)
}

/// Whether the simulation planted the bug `name`.
pub(crate) fn is_planted(name: &str) -> bool {
    world().is_some_and(|world| world.has_bug(name))
}

/// Passes a crash point: the process may die there, or stand still for a while.
pub(crate) async fn reach(name: &'static str) {
    let (Some(world), Some(process)) = (world(), current()) else { return };
    match world.pass(name, &process.name) {
        None => return,
        Some(End::Crash) => process.kill(),
        Some(End::Pause(time)) => {
            process.pause();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                world.note(format!("{} goes on", process.name));
                process.go_on();
            });
        }
    }
    // Its tasks are not polled from here on.
    tokio::task::yield_now().await;
}

/// Passes a crash point of a node.
pub(super) fn node_crashes(name: &'static str, node: &SimNode) {
    if world().is_some_and(|world| world.pass(name, &node.name()).is_some()) {
        node.crash();
    }
}
