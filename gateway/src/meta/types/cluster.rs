//! Users, their keys, and nodes.

use sixfold_proto::name::NodeNumber;
use time::OffsetDateTime;
use uuid::Uuid;

/// A user's id, shown to clients as the canonical owner id (32 hex digits, twice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub Uuid);

/// A user: owns buckets, has access keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its display name, unique.
    pub name: String,
}

/// An access key with its owner. The secret is sealed under the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The access key id.
    pub access_key: String,
    /// Nonce and ciphertext of the secret.
    pub sealed_secret: Vec<u8>,
    /// Whose it is.
    pub user: User,
    /// When it was created.
    pub created: OffsetDateTime,
}

/// A node's row as the directory needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// Its number.
    pub number: NodeNumber,
    /// The id on its drive.
    pub drive: Uuid,
    /// Where it answers; `None` for an embedded node, empty when another has its address now.
    pub address: Option<String>,
    /// Its failure domain.
    pub zone: String,
    /// Its share relative to others, above 0: what an operator set, or what it says itself.
    pub weight: f64,
    /// Whose tokens it has on the ring: its own number, or the seat of the node it replaced.
    pub seat: NodeNumber,
    /// How many chunks it had at its last heartbeat. Of a draining node `None` until it knows that
    /// it takes no more, so that 0 means that it is empty and stays so.
    pub chunk_count: Option<u64>,
    /// The size of its drive, by its last heartbeat.
    pub capacity_bytes: u64,
    /// Room for new chunks on it, by its last heartbeat.
    pub free_bytes: u64,
    /// Which registration this is; grows with each.
    pub registration: i64,
    /// What an operator or the node itself said of it: `active`, `draining`, `full`, `fenced`,
    /// `removed`.
    pub state: NodeState,
    /// Seconds since its last heartbeat, by the database's clock.
    pub silent_for: f64,
}

impl NodeRow {
    /// Whether it was drained to the last chunk.
    pub fn is_drained(&self) -> bool {
        self.state == NodeState::Draining && self.chunk_count == Some(0)
    }
}

/// How a node says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCondition {
    /// Any but removed; `Draining` only once it was told so.
    pub state: NodeState,
    /// The drive's size.
    pub capacity_bytes: u64,
    /// Room for new chunks.
    pub free_bytes: u64,
    /// Chunks that it has, and while it drains those under way to it.
    pub chunk_count: u64,
}

/// The recorded state of a node. Silence and death are measured by the watcher, not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// Takes and serves chunks.
    Active,
    /// Being emptied.
    Draining,
    /// Its drive has no room.
    Full,
    /// Its drive failed a sync.
    Fenced,
    /// No longer part of the cluster.
    Removed,
}

/// The removal of a node, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveNode {
    /// Which one.
    pub node: NodeNumber,
    /// Who gets its seat.
    pub heir: Heir,
    /// Also when extents can't be read any more without it.
    pub may_lose: bool,
}

/// Who gets the seat and the weight of a node that is removed, or was removed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// Nobody: its share goes to all others.
    Nobody,
    /// The next new drive.
    NextDrive,
    /// A node that is there.
    Node(NodeNumber),
}

/// What came of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is removed.
    Done,
    /// It is not there or was removed before, or its heir is not there.
    Absent,
    /// It was removed before, and a node has its seat.
    SeatTaken,
    /// Nothing was changed, because so many extents could not be read any more: fewer of their
    /// chunks than their scheme needs would be neither missing nor on removed nodes. Counted to
    /// [`crate::meta::LOST_LIMIT`].
    Loses(usize),
}
