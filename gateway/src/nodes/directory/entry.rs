//! A node of the registry, and what this process makes of it.

use crate::meta::types::{NodeRow, NodeState};
use crate::nodes::breaker::BreakerState;
use crate::nodes::client::{Node, Refusal};
use crate::nodes::limits::NodeLimits;
use crate::nodes::silence::{Liveness, Silence};
use crate::placement::Standing;
use std::sync::Arc;

/// A node in the snapshot.
#[derive(Clone)]
pub struct Entry {
    /// Its row.
    pub row: NodeRow,
    pub(super) node: Option<Arc<Node>>,
    pub(super) silence: Silence,
    pub(super) limits: NodeLimits,
    pub(super) is_embedded: bool,
}

impl Entry {
    /// How to call it; `None` when there is no way: an embedded node whose drive is not here, or
    /// one at whose address another node answers now.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    /// Whether it is there, as this process sees it. An embedded node lives as long as the
    /// process; the others are known by heartbeats and by calls that succeed.
    pub fn liveness(&self) -> Liveness {
        match &self.node {
            None => Liveness::Dead,
            Some(_) if self.is_embedded => Liveness::Alive,
            Some(node) => self.silence.liveness(node.since_success(), &self.limits),
        }
    }

    /// How it is shown to people: an embedded node as its heartbeats have it, like the rows from which
    /// the commands of administration speak. A drive that hangs sends none, whatever is still answered
    /// from memory.
    pub fn shown_liveness(&self) -> Liveness {
        match &self.node {
            Some(_) if self.is_embedded => self.silence.liveness(None, &self.limits),
            _ => self.liveness(),
        }
    }

    /// Whether it has been dead for longer than the hold-down.
    pub(super) fn is_given_up(&self) -> bool {
        let last_success = self.node.as_ref().and_then(|node| node.since_success());
        self.liveness() == Liveness::Dead && self.silence.age(last_success) >= self.limits.hold_down
    }

    /// Whether new chunks may be placed on it.
    pub fn is_usable(&self) -> bool {
        self.row.state == NodeState::Active && self.is_reachable() && self.refusal().is_none()
    }

    /// Whether new chunks may be tried on it when too few nodes are usable: nothing but failed
    /// calls speaks against it. A breaker must not be what refuses a write.
    pub(super) fn is_doubtful(&self) -> bool {
        let is_there = self.node.is_some() && self.liveness() != Liveness::Dead;
        self.row.state == NodeState::Active && is_there && self.refusal().is_none()
    }

    /// Whether a lack of room is all that keeps new chunks away from it.
    pub(super) fn is_only_full(&self) -> bool {
        let is_full = self.row.state == NodeState::Full || self.refusal() == Some(Refusal::Full);
        let may_be = matches!(self.row.state, NodeState::Full | NodeState::Active);
        is_full && may_be && self.is_reachable()
    }

    /// Whether it is there and its calls succeed, whatever it may take.
    pub fn is_reachable(&self) -> bool {
        let is_closed = |node: &Arc<Node>| node.breaker() == BreakerState::Closed;
        self.liveness() != Liveness::Dead && self.node.as_ref().is_some_and(is_closed)
    }

    /// Whether its heartbeats, which look at the drive, go on where only they can tell: an embedded
    /// node whose drive is gone answers from what it has open.
    pub fn is_heard(&self) -> bool {
        !self.is_embedded || self.silence.age(None) < self.limits.dead_after
    }

    /// Whether it takes new chunks, or would if it had room.
    pub fn is_in_service(&self) -> bool {
        self.is_heard() && (self.is_usable() || self.is_only_full())
    }

    fn refusal(&self) -> Option<Refusal> {
        self.node.as_ref().and_then(|node| node.refusal())
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            is_member: !matches!(self.row.state, NodeState::Draining | NodeState::Removed),
            is_usable: self.is_usable(),
            is_readable: self.is_reachable(),
        }
    }
}
