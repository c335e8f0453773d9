//! The data path over six nodes that fail on cue and rows in memory.

mod degraded;
mod healing;
mod reading;
mod real;
mod writing;

use super::{BodyStream, CurrentLease, Data, DataLimits, Digests, ReadError, WriteError, Written};
use crate::erasure::Scheme;
use crate::meta::Meta;
use crate::meta::model::Model;
use crate::meta::types::{
    BodySource, Bucket, ChunkSet, Commit, CommitOutcome, Content, Extent, Headers, WriteCondition,
};
use crate::nodes::Directory;
use crate::nodes::fake::FakeNode;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::{ChunkIndex, ChunkName, LeaseId, NodeNumber};
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const MIB: usize = 1024 * 1024;

/// The lease of a whole test.
struct OneLease(LeaseId);

impl CurrentLease for OneLease {
    fn current(&self) -> LeaseId {
        self.0
    }
}

fn limits() -> DataLimits {
    DataLimits {
        stripes_per_extent: 2,
        stall_give_up: Duration::from_millis(150),
        spread_wait: Duration::from_secs(2),
        // Far from what a busy machine takes for a body that succeeds.
        last_wait: Duration::from_secs(20),
        stripe_wait: Duration::from_millis(200),
        cell_wait: Duration::from_millis(600),
        hedge_after: Duration::from_millis(40),
        ..DataLimits::default()
    }
}

/// Six nodes or more, the rows, and the data path over them.
struct Cluster {
    nodes: Vec<Arc<FakeNode>>,
    model: Arc<Model>,
    data: Data,
    bucket: Arc<Bucket>,
    /// What chunks are healed and moved under.
    movers: LeaseId,
}

impl Cluster {
    async fn new(node_count: u16) -> Self {
        Self::with_limits(node_count, limits()).await
    }

    async fn with_limits(node_count: u16, limits: DataLimits) -> Self {
        let nodes = (1..=node_count).map(|number| FakeNode::new(NodeNumber(number)));
        let nodes = nodes.collect::<Vec<_>>();
        let chunks = nodes.iter().map(|node| Arc::clone(node) as Arc<dyn Chunks>).collect();
        let (model, data, bucket) = over(chunks, limits).await;
        let movers = model.begin_lease("movers").await.unwrap();
        Self { nodes, model, data, bucket, movers }
    }

    fn node(&self, number: NodeNumber) -> &FakeNode {
        &self.nodes[usize::from(number.0) - 1]
    }

    async fn write(&self, bytes: &Bytes) -> Result<Written, WriteError<Infallible>> {
        write(&self.data, Scheme::FourTwo, bytes).await
    }

    async fn committed(&self, bytes: &Bytes) -> Body {
        let written = self.write(bytes).await.unwrap();
        self.commit(written, bytes.clone()).await
    }

    async fn commit(&self, written: Written, bytes: Bytes) -> Body {
        let body = written.body.unwrap();
        let (id, extents) = (body.id, body.extents.clone());
        let content = Content {
            size: written.size,
            etag: "0".repeat(32),
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            checksum: None,
            tags: std::collections::BTreeMap::new(),
            parts: Vec::new(),
        };
        let outcome = self.model.commit(Commit {
            lease: written.lease,
            bucket: Arc::clone(&self.bucket),
            key: Uuid::new_v4().to_string(),
            content,
            body: BodySource::New(body),
            condition: WriteCondition::default(),
        });
        assert!(matches!(outcome.await, Ok(CommitOutcome::Done { .. })));
        Body { id, extents, bytes }
    }

    async fn read(&self, body: &Body, range: Range<usize>) -> Result<Bytes, ReadError> {
        let range = range.start as u64..range.end as u64;
        let first = self.model.extents(body.id, range.start).await.unwrap();
        let stream = self.data.read(body.id, first, range.clone()).await?;
        assert_eq!(stream.remaining(), range.end - range.start);
        whole(stream).await
    }

    async fn check(&self, body: &Body) {
        let read = self.read(body, 0..body.bytes.len()).await.unwrap();
        assert!(read == body.bytes, "{} bytes came back otherwise", body.bytes.len());
    }

    /// Waits until these chunks of the extent are marked missing; others may be, too. They are
    /// reported one by one, so that some may be marked before others.
    async fn marked(&self, extent: &Extent, chunks: ChunkSet) {
        let mut found = ChunkSet(0);
        for _ in 0..6000 {
            let degraded = self.model.degraded_extents(None, 100).await.unwrap();
            let marked = degraded.iter().find(|marked| marked.id == extent.id);
            found = marked.map_or(found, |marked| marked.missing);
            if found.0 & chunks.0 == chunks.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("of {chunks:?} only {found:?} were marked");
    }
}

/// A committed body and what it holds.
struct Body {
    id: crate::meta::types::BodyId,
    extents: Vec<Extent>,
    bytes: Bytes,
}

/// Rows with these nodes registered, a bucket, and the data path over them.
async fn over(nodes: Vec<Arc<dyn Chunks>>, limits: DataLimits) -> (Arc<Model>, Data, Arc<Bucket>) {
    let model = Arc::new(Model::new());
    let mut embedded = HashMap::new();
    for chunks in nodes {
        let row = model.register_node(Uuid::new_v4(), None, "here", 1.0).await.unwrap();
        embedded.insert(row.number, chunks);
    }
    let cluster = model.cluster_id().await.unwrap();
    let directory = Directory::new(cluster, Arc::clone(&model) as Arc<dyn Meta>, embedded);
    let (data, bucket) = data_over(&model, directory, limits).await;
    (model, data, bucket)
}

async fn data_over(
    model: &Arc<Model>,
    directory: Arc<Directory>,
    limits: DataLimits,
) -> (Data, Arc<Bucket>) {
    directory.refresh().await.unwrap();
    let lease = Arc::new(OneLease(model.begin_lease("test").await.unwrap()));
    let data = Data::new(directory, Arc::clone(model) as Arc<dyn Meta>, lease, limits);
    let owner = model.create_user("owner").await.unwrap();
    let bucket = model.create_bucket("bucket", owner.id).await.unwrap();
    (data, Arc::new(bucket))
}

async fn write(
    data: &Data,
    scheme: Scheme,
    bytes: &Bytes,
) -> Result<Written, WriteError<Infallible>> {
    // Frames of an odd size, so that stripes are made of several.
    let frames = bytes.chunks(100_003).map(|frame| Ok(bytes.slice_ref(frame)));
    let frames = futures::stream::iter(frames.collect::<Vec<_>>());
    data.write(scheme, frames, Digests::md5()).await
}

async fn whole(stream: BodyStream) -> Result<Bytes, ReadError> {
    let mut remaining = stream.remaining();
    let pieces = stream
        .inspect(|piece| {
            if let Ok(piece) = piece {
                remaining = remaining.checked_sub(piece.len() as u64).unwrap();
            }
        })
        .try_collect::<Vec<_>>()
        .await?;
    assert_eq!(remaining, 0, "a stream that ends without an error is whole");
    Ok(pieces.concat().into())
}

fn bytes(size: usize) -> Bytes {
    let mut state = size as u64 | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(size);
    bytes.into()
}

fn name(extent: &Extent, index: usize) -> ChunkName {
    ChunkName { extent: extent.id, index: ChunkIndex::ALL[index] }
}

/// All ways to choose `count` of six.
fn choices(count: u32) -> impl Iterator<Item = Vec<usize>> {
    let sets = (0..64_u8).filter(move |set| set.count_ones() == count);
    sets.map(|set| (0..6).filter(|index| set & (1 << index) != 0).collect())
}
