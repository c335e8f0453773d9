//! What a drive shows: calls as they end, the rest when somebody looks.

use super::{counter, gauge, histogram, show_state};
use crate::store::Store;
use metrics::{Counter, Histogram};
use sixfold_proto::chunks::DriveState;
use sixfold_proto::convert::state_name;
use sixfold_proto::metrics as names;
use sixfold_proto::name::NodeNumber;
use std::time::Instant;

/// What the calls of a drive count.
pub struct DriveMetrics {
    puts: Calls,
    gets: Calls,
    deletes: Calls,
    /// Bytes of cells stored.
    pub(crate) written: Counter,
    /// Bytes of cells read.
    pub(crate) read: Counter,
}

struct Calls {
    count: Counter,
    errors: Counter,
    duration: Histogram,
}

impl DriveMetrics {
    /// Those of the node with this number.
    pub fn of(node: NodeNumber) -> Self {
        let label = [("node", node.to_string())];
        Self {
            puts: Calls::new(node, "put"),
            gets: Calls::new(node, "get"),
            deletes: Calls::new(node, "delete"),
            written: counter(&names::DRIVE_WRITTEN, &label),
            read: counter(&names::DRIVE_READ, &label),
        }
    }

    pub(crate) fn put(&self, begun: Instant, is_done: bool) {
        self.puts.ended(begun, is_done);
    }

    pub(crate) fn get(&self, begun: Instant, is_done: bool) {
        self.gets.ended(begun, is_done);
    }

    pub(crate) fn delete(&self, begun: Instant, is_done: bool) {
        self.deletes.ended(begun, is_done);
    }
}

impl Calls {
    fn new(node: NodeNumber, op: &str) -> Self {
        let labels = [("node", node.to_string()), ("op", op.to_owned())];
        Self {
            count: counter(&names::DRIVE_CALLS, &labels),
            errors: counter(&names::DRIVE_ERRORS, &labels),
            duration: histogram(&names::DRIVE_DURATION, &labels),
        }
    }

    fn ended(&self, begun: Instant, is_done: bool) {
        self.count.increment(1);
        self.duration.record(begun.elapsed());
        if !is_done {
            self.errors.increment(1);
        }
    }
}

/// Shows how a drive is. Asks the file system, which blocks.
pub fn show_drive(store: &Store) {
    // Before its registration it is nobody's.
    let Some(health) = store.condition().ok().filter(|health| health.node.0 > 0) else { return };
    let node = health.node.to_string();
    let label = [("node", node.clone())];
    gauge(&names::DRIVE_CAPACITY, &label).set(health.capacity_bytes as f64);
    gauge(&names::DRIVE_FREE, &label).set(health.free_bytes as f64);
    gauge(&names::DRIVE_CHUNKS, &label).set(health.chunk_count as f64);
    gauge(&names::DRIVE_STORED, &label).set(store.stored_bytes() as f64);
    gauge(&names::DRIVE_SEGMENTS, &label).set(store.segment_count() as f64);
    let states = [DriveState::Ok, DriveState::Full, DriveState::Fenced, DriveState::Draining];
    show_state(&names::DRIVE_STATE, &node, &states.map(state_name), state_name(health.state));
}

/// How a drive's scrub goes.
pub(crate) struct ScrubShown {
    /// Chunks, bytes and rotten chunks since the process started.
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
    pub(crate) rotten: u64,
    /// How far the cycle is, from 0 to 1.
    pub(crate) progress: f64,
    /// When it began, in seconds since 1970.
    pub(crate) began: u64,
    /// How long it may take.
    pub(crate) cycle_s: f64,
}

/// Shows how the scrub of a node's drive goes.
pub(crate) fn show_scrub(node: NodeNumber, shown: &ScrubShown) {
    let label = [("node", node.to_string())];
    counter(&names::SCRUB_CHUNKS, &label).absolute(shown.chunks);
    counter(&names::SCRUB_BYTES, &label).absolute(shown.bytes);
    counter(&names::SCRUB_ROTTEN, &label).absolute(shown.rotten);
    gauge(&names::SCRUB_PROGRESS, &label).set(shown.progress);
    gauge(&names::SCRUB_STARTED, &label).set(shown.began as f64);
    gauge(&names::SCRUB_CYCLE, &label).set(shown.cycle_s);
}
