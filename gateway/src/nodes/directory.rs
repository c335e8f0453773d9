//! Which nodes there are and how each is, as this process sees it.

use crate::meta::Meta;
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::NodeNumber;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// The nodes of the cluster, their addresses, states and the ring.
pub struct Directory {
    cluster: Uuid,
    meta: Arc<dyn Meta>,
    embedded: HashMap<NodeNumber, Arc<dyn Chunks>>,
}

impl Directory {
    /// A directory of the cluster `cluster`; `embedded` are the nodes in this process.
    pub fn new(
        cluster: Uuid,
        meta: Arc<dyn Meta>,
        embedded: HashMap<NodeNumber, Arc<dyn Chunks>>,
    ) -> Arc<Self> {
        Arc::new(Self { cluster, meta, embedded })
    }

    /// The cluster's id.
    pub fn cluster(&self) -> Uuid {
        self.cluster
    }
}
