//! The network between gateways and nodes: calls take time, connections break, answers get lost,
//! and what a node was asked it may do although nobody waits for the answer any more.

use super::node::SimNode;
use super::points::node_crashes;
use super::process::{Process, current};
use super::world::World;
use crate::nodes::{AddressError, Connect};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use sixfold_proto::chunks::{Cell, ChunkEntry, Chunks, Health, NodeError, PutItem};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// After so long without a sign of life a connection is given up, as gRPC's keep-alive does.
const ALIVE_WITHIN: Duration = Duration::from_secs(4);

/// How often a call that is held up looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is wrong with the network now.
#[derive(Default)]
struct Weather {
    /// Connections that carry nothing, by the gateway's name and the node.
    cut: BTreeSet<(String, NodeNumber)>,
    /// Nodes whose every answer takes this much longer.
    slow: BTreeMap<NodeNumber, Duration>,
    /// Answers that get lost, in percent.
    lost_percent: u64,
}

/// All connections.
pub(super) struct Network {
    world: Arc<World>,
    nodes: Mutex<Vec<Arc<SimNode>>>,
    weather: Mutex<Weather>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken() -> NodeError {
    NodeError::Unavailable("connection broken".to_owned())
}

impl Network {
    pub(super) fn new(world: &Arc<World>) -> Arc<Self> {
        let (nodes, weather) = (Mutex::default(), Mutex::default());
        Arc::new(Self { world: Arc::clone(world), nodes, weather })
    }

    pub(super) fn add(&self, node: Arc<SimNode>) {
        lock(&self.nodes).push(node);
    }

    /// All nodes that ever were.
    pub(super) fn nodes(&self) -> Vec<Arc<SimNode>> {
        lock(&self.nodes).clone()
    }

    pub(super) fn node(&self, number: NodeNumber) -> Option<Arc<SimNode>> {
        lock(&self.nodes).iter().find(|node| node.number() == Some(number)).cloned()
    }

    pub(super) fn cut(&self, gateway: &str, node: NodeNumber) {
        lock(&self.weather).cut.insert((gateway.to_owned(), node));
    }

    pub(super) fn mend(&self, node: NodeNumber) {
        let mut weather = lock(&self.weather);
        weather.cut.retain(|(_, cut)| *cut != node);
        weather.slow.remove(&node);
    }

    pub(super) fn slow(&self, node: NodeNumber, by: Duration) {
        lock(&self.weather).slow.insert(node, by);
    }

    pub(super) fn lose_answers(&self, percent: u64) {
        lock(&self.weather).lost_percent = percent;
    }

    pub(super) fn clear(&self) {
        *lock(&self.weather) = Weather::default();
    }
}

/// One gateway's way to all nodes.
pub(super) struct Dial {
    pub(super) network: Arc<Network>,
    pub(super) gateway: Arc<Process>,
}

impl Connect for Dial {
    fn connect(
        &self,
        node: NodeNumber,
        registration: u64,
        _: &str,
        _: Duration,
    ) -> Result<Arc<dyn Chunks>, AddressError> {
        let (network, gateway) = (Arc::clone(&self.network), Arc::clone(&self.gateway));
        Ok(Arc::new(Link { network, gateway, number: node, registration }))
    }
}

/// One gateway's connection to one registration of a node.
#[derive(Clone)]
struct Link {
    network: Arc<Network>,
    gateway: Arc<Process>,
    number: NodeNumber,
    registration: u64,
}

/// A call that has reached its node.
struct Reached {
    node: Arc<SimNode>,
    life: u64,
}

impl Reached {
    /// Whether the node is still the process that it was.
    fn check(&self) -> Result<(), NodeError> {
        if self.node.life() == self.life { Ok(()) } else { Err(broken()) }
    }
}

impl Link {
    fn world(&self) -> &World {
        &self.network.world
    }

    fn is_cut(&self) -> bool {
        lock(&self.network.weather).cut.contains(&(self.gateway.name.clone(), self.number))
    }

    /// The time that bytes take one way, or the end of the connection.
    async fn travel(&self) -> Result<(), NodeError> {
        self.world().sleep(0, 2).await;
        let mut waited = Duration::ZERO;
        while self.is_cut() {
            if waited >= ALIVE_WITHIN {
                return Err(broken());
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        Ok(())
    }

    async fn reach(&self) -> Result<Reached, NodeError> {
        self.travel().await?;
        let refused = || NodeError::Unavailable("connection refused".to_owned());
        let node = self.network.node(self.number).ok_or_else(refused)?;
        node.check(self.registration)?;
        let slow = lock(&self.network.weather).slow.get(&self.number).copied();
        let reached = Reached { life: node.life(), node };
        if let Some(by) = slow {
            tokio::time::sleep(by).await;
        }
        reached.check()?;
        Ok(reached)
    }

    /// The way of an answer.
    async fn back<T>(&self, answer: Result<T, NodeError>) -> Result<T, NodeError> {
        self.travel().await?;
        let percent = lock(&self.network.weather).lost_percent;
        if percent > 0 && self.world().happens(percent) {
            return Err(broken());
        }
        answer
    }

    /// A call that the node carries out even if its caller no longer waits.
    async fn call<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, NodeError>> + Send + 'static,
    ) -> Result<T, NodeError> {
        debug_assert!(current().is_some(), "only processes call");
        let (sender, answer) = oneshot::channel();
        tokio::spawn(async move {
            let _ = sender.send(what.await);
        });
        let answer = answer.await.unwrap_or_else(|_| Err(broken()));
        self.back(answer).await
    }

    /// A chunk that has arrived as a whole, on its way to the drive.
    async fn keep(
        self,
        reached: Reached,
        name: ChunkName,
        writer: LeaseId,
        cells: Vec<Cell>,
    ) -> Result<CopyNumber, NodeError> {
        node_crashes("node.put_received", &reached.node);
        self.world().sleep(0, 6).await;
        reached.check()?;
        let copy = reached.node.store(name, writer, cells);
        node_crashes("node.put_synced", &reached.node);
        reached.check()?;
        copy
    }
}

#[async_trait]
impl Chunks for Link {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        mut items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let reached = self.reach().await?;
        reached.node.check_put()?;
        let mut cells = Vec::new();
        while let Some(item) = items.next().await {
            self.travel().await?;
            reached.check()?;
            let PutItem::Cell(cell) = item else {
                return self.call(self.clone().keep(reached, name, writer, cells)).await;
            };
            cells.push(cell);
            node_crashes("node.cell_received", &reached.node);
        }
        Err(NodeError::Invalid("abandoned".to_owned()))
    }

    async fn put_cell(
        &self,
        name: ChunkName,
        writer: LeaseId,
        cell: Cell,
    ) -> Result<CopyNumber, NodeError> {
        let link = self.clone();
        self.call(async move {
            let reached = link.reach().await?;
            reached.node.check_put()?;
            link.keep(reached, name, writer, vec![cell]).await
        })
        .await
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        let reached = self.reach().await?;
        let read = reached.node.read(name, cells);
        let cells = self.back(read).await?;
        let state = (self.clone(), reached, cells.into_iter());
        let next = |(link, reached, mut cells): (Self, Reached, std::vec::IntoIter<Cell>)| async {
            let cell = cells.next()?;
            let arrived = match link.travel().await {
                Ok(()) => reached.check(),
                Err(error) => Err(error),
            };
            Some((arrived.map(|()| cell), (link, reached, cells)))
        };
        Ok(stream::unfold(state, next).boxed())
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        let link = self.clone();
        self.call(async move {
            let reached = link.reach().await?;
            let deleted = reached.node.delete(name, copy);
            node_crashes("node.deleted", &reached.node);
            deleted
        })
        .await
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        let reached = self.reach().await?;
        let entries = reached.node.list(after, limit);
        self.back(Ok(entries)).await
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        let reached = self.reach().await?;
        let entry = reached.node.stat(name);
        self.back(entry).await
    }

    async fn health(&self) -> Result<Health, NodeError> {
        let reached = self.reach().await?;
        let health = reached.node.health();
        self.back(Ok(health)).await
    }
}
