//! The limits under which nodes are watched and called, each with its reason.

use std::time::Duration;

/// How nodes are watched, placed on the ring and called.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// How often the registry is read: as often as heartbeats come, so that a node that stopped
    /// is known to be dead within three of them.
    pub refresh_every: Duration,
    /// After this long without a heartbeat a node counts as silent: two heartbeats.
    pub silent_after: Duration,
    /// After this long without a heartbeat nothing new is placed on a node.
    pub dead_after: Duration,
    /// After this long without a heartbeat what a node has is made anew elsewhere. Moving a drive's
    /// worth of chunks is dearer than waiting for a machine to start again.
    pub hold_down: Duration,
    /// Tokens of a node of weight 1 on the ring. More balance better and cost memory and time.
    pub tokens: u32,
    /// How long a connection may take to come up.
    pub connect: Duration,
    /// How long a call that moves no bytes may take, and how long the first answer of one that
    /// does.
    pub first_answer: Duration,
    /// When calls to a node are not expected to succeed.
    pub breaker: BreakerLimits,
}

/// When a circuit breaker opens and closes.
#[derive(Clone, Copy, Debug)]
pub struct BreakerLimits {
    /// Consecutive failures that open it.
    pub failures: u32,
    /// How long it stays open before a call may try again.
    pub half_open_after: Duration,
    /// Consecutive successes that close it again.
    pub successes: u32,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            refresh_every: Duration::from_secs(5),
            silent_after: Duration::from_secs(10),
            dead_after: Duration::from_secs(15),
            hold_down: Duration::from_mins(10),
            tokens: 150,
            connect: Duration::from_secs(1),
            first_answer: Duration::from_secs(2),
            breaker: BreakerLimits::default(),
        }
    }
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { failures: 5, half_open_after: Duration::from_secs(30), successes: 3 }
    }
}
