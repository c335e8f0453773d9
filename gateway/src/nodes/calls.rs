//! What the calls to a node count.

use metrics::Counter;
use sixfold_node::metrics::counter;
use sixfold_proto::chunks::NodeError;
use sixfold_proto::metrics as names;
use sixfold_proto::name::NodeNumber;

/// The errors' names, as [`index`] numbers them.
const ERRORS: [&str; 11] = [
    "not_found",
    "damaged",
    "full",
    "fenced",
    "draining",
    "wrong_node",
    "conflict",
    "other_copy",
    "invalid",
    "unauthenticated",
    "unavailable",
];

fn index(error: &NodeError) -> usize {
    match error {
        NodeError::NotFound => 0,
        NodeError::Damaged(_) => 1,
        NodeError::Full => 2,
        NodeError::Fenced => 3,
        NodeError::Draining => 4,
        NodeError::WrongNode(_) => 5,
        NodeError::Conflict => 6,
        NodeError::OtherCopy => 7,
        NodeError::Invalid(_) => 8,
        NodeError::Unauthenticated => 9,
        NodeError::Unavailable(_) => 10,
    }
}

/// Handles for one node.
pub(super) struct NodeMetrics {
    pub(super) puts: Counter,
    pub(super) gets: Counter,
    pub(super) deletes: Counter,
    /// Lists, looks at one chunk, questions for its health.
    pub(super) others: Counter,
    /// Cells that are not what was stored.
    pub(super) damaged: Counter,
    errors: [Counter; ERRORS.len()],
}

impl NodeMetrics {
    pub(super) fn of(node: NodeNumber) -> Self {
        let node = || ("node", node.to_string());
        let calls = |op: &str| counter(&names::NODE_CALLS, &[node(), ("op", op.to_owned())]);
        let errors =
            |error: &str| counter(&names::NODE_ERRORS, &[node(), ("error", error.to_owned())]);
        Self {
            puts: calls("put"),
            gets: calls("get"),
            deletes: calls("delete"),
            others: calls("other"),
            damaged: counter(&names::NODE_DAMAGED, &[node()]),
            errors: ERRORS.map(errors),
        }
    }

    pub(super) fn failed(&self, error: &NodeError) {
        self.errors[index(error)].increment(1);
    }
}
