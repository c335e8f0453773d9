//! What goes wrong in a run: which kinds of faults the seed chose, when each comes and goes, and
//! at which crash points processes die. Never more nodes at once than the run may have.

use super::gateway::{Gateway, Surroundings};
use super::node::SimNode;
use super::rows::Rows;
use super::tables::CRASH_POINTS;
use super::world::End;
use crate::meta::Meta;
use crate::meta::types::{Heir, NodeState, RemoveNode};
use sixfold_proto::name::{ChunkIndex, ChunkName, NodeNumber};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    NodeCrashes,
    NodeIsCut,
    NodeIsCutFromOne,
    NodeIsSlow,
    NodeIsFull,
    ChunkRots,
    ChunkIsLost,
    DriveIsLost,
    DatabaseIsAway,
    GatewayCrashes,
    GatewayPauses,
    NodeIsDrained,
    WeightChanges,
}

const ALL: [Fault; 13] = [
    Fault::NodeCrashes,
    Fault::NodeIsCut,
    Fault::NodeIsCutFromOne,
    Fault::NodeIsSlow,
    Fault::NodeIsFull,
    Fault::ChunkRots,
    Fault::ChunkIsLost,
    Fault::DriveIsLost,
    Fault::DatabaseIsAway,
    Fault::GatewayCrashes,
    Fault::GatewayPauses,
    Fault::NodeIsDrained,
    Fault::WeightChanges,
];

/// What a run suffers.
pub(super) struct Plan {
    pub(super) kinds: Vec<Fault>,
    most_ill: usize,
    lost_percent: u64,
}

impl Plan {
    /// By the seed: every eighth run is calm, every tenth has three nodes ill at once, the others
    /// have about half of all kinds, since what is always mixed hides what is rare.
    pub(super) fn of(around: &Surroundings) -> Self {
        let world = &around.world;
        if world.seed.is_multiple_of(8) {
            return Self { kinds: Vec::new(), most_ill: 0, lost_percent: 0 };
        }
        let first = *world.one_of(&ALL);
        let chosen = |fault: &Fault| world.happens(50) || *fault == first;
        let kinds = ALL.into_iter().filter(chosen).collect();
        let most_ill = if world.seed % 10 == 9 { 3 } else { 2 };
        let lost_percent = if world.happens(50) { 1 + world.below(8) } else { 0 };
        Self { kinds, most_ill, lost_percent }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// See the module.
pub(super) struct Nemesis {
    around: Arc<Surroundings>,
    gateways: Vec<Arc<Gateway>>,
    plan: Plan,
    /// Nodes that something is wrong with now.
    ill: Mutex<BTreeSet<NodeNumber>>,
    /// Nodes that don't come back.
    gone: Mutex<BTreeSet<NodeNumber>>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Nemesis {
    pub(super) fn new(
        around: &Arc<Surroundings>,
        gateways: Vec<Arc<Gateway>>,
        plan: Plan,
    ) -> Arc<Self> {
        let (ill, gone) = (Mutex::default(), Mutex::default());
        Arc::new(Self { around: Arc::clone(around), gateways, plan, ill, gone })
    }

    fn ill(&self) -> MutexGuard<'_, BTreeSet<NodeNumber>> {
        self.ill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> MutexGuard<'_, BTreeSet<NodeNumber>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self, name: &str) -> Rows {
        Rows::new(&self.around.database, name)
    }

    /// Lets things go wrong, again and again, until it is dropped.
    pub(super) async fn work(self: Arc<Self>) {
        let world = Arc::clone(&self.around.world);
        if self.plan.is_calm() {
            return std::future::pending().await;
        }
        self.around.network.lose_answers(self.plan.lost_percent);
        self.around.database.lose_answers(self.plan.lost_percent);
        if let Some(node) = self.around.network.nodes().first() {
            node.be_lossy();
        }
        loop {
            world.sleep(300, 5000).await;
            let fault = *world.one_of(&self.plan.kinds);
            let this = Arc::clone(&self);
            tokio::spawn(async move { this.inflict(fault).await });
        }
    }

    /// One fault, from its beginning to its end.
    async fn inflict(&self, fault: Fault) {
        match fault {
            Fault::NodeCrashes => self.on_node(fault, |node, _| node.crash()).await,
            Fault::NodeIsCut => {
                let gateways = self.gateways.iter().map(|gateway| gateway.name().to_owned());
                self.cut(fault, gateways.collect()).await;
            }
            Fault::NodeIsCutFromOne => {
                let gateway = self.around.world.one_of(&self.gateways).name().to_owned();
                self.cut(fault, vec![gateway]).await;
            }
            Fault::NodeIsSlow => {
                let by = self.around.world.time(seconds(0), seconds(3));
                self.on_node(fault, |_, number| self.around.network.slow(number, by)).await;
            }
            Fault::NodeIsFull => self.on_node(fault, |node, _| node.fill(true)).await,
            Fault::NodeIsDrained => self.drain(fault).await,
            Fault::ChunkRots | Fault::ChunkIsLost | Fault::DriveIsLost => self.damage(fault).await,
            Fault::WeightChanges => self.change_weight().await,
            Fault::DatabaseIsAway => {
                let time = self.around.world.time(seconds(1), seconds(14));
                self.around.world.note(format!("the database is away for {time:?}"));
                self.around.database.go_away(time);
            }
            Fault::GatewayCrashes | Fault::GatewayPauses => self.on_gateway(fault).await,
        }
    }

    /// A node that is well, if one more may be ill.
    fn victim(&self) -> Option<Arc<SimNode>> {
        let mut ill = self.ill();
        if ill.len() >= self.plan.most_ill {
            return None;
        }
        let nodes = self.around.network.nodes();
        let is_well = |node: &&Arc<SimNode>| {
            node.is_up() && node.number().is_some_and(|number| !ill.contains(&number))
        };
        let well = nodes.iter().filter(is_well).collect::<Vec<_>>();
        if well.is_empty() {
            return None;
        }
        let node = Arc::clone(*self.around.world.one_of(&well));
        ill.extend(node.number());
        Some(node)
    }

    async fn on_node(&self, fault: Fault, begin: impl Fn(&Arc<SimNode>, NodeNumber)) {
        let Some(node) = self.victim() else { return };
        let Some(number) = node.number() else { return };
        self.around.world.note(format!("{fault:?}: n{number}"));
        begin(&node, number);
        self.around.world.sleep(500, 20_000).await;
        self.cure(&node, number);
    }

    fn cure(&self, node: &Arc<SimNode>, number: NodeNumber) {
        self.around.world.note(format!("n{number} is well"));
        node.fill(false);
        self.around.network.mend(number);
        self.revive(node);
        self.ill().remove(&number);
    }

    fn revive(&self, node: &Arc<SimNode>) {
        let is_gone = node.number().is_some_and(|number| self.gone().contains(&number));
        if !node.is_up() && !is_gone {
            node.start(self.rows(&node.name()));
        }
    }

    async fn cut(&self, fault: Fault, gateways: Vec<String>) {
        let cut = |_: &Arc<SimNode>, number| {
            gateways.iter().for_each(|gateway| self.around.network.cut(gateway, number));
        };
        self.on_node(fault, cut).await;
    }

    async fn drain(&self, fault: Fault) {
        let Some(node) = self.victim() else { return };
        let Some(number) = node.number() else { return };
        self.around.world.note(format!("{fault:?}: n{number}"));
        let rows = self.rows("operator");
        let _ = rows.set_node_state(number, NodeState::Draining).await;
        self.around.world.sleep(5000, 30_000).await;
        while rows.set_node_state(number, NodeState::Active).await.is_err() {}
        self.cure(&node, number);
    }

    async fn change_weight(&self) {
        let nodes = self.around.network.nodes();
        let Some(number) = self.around.world.one_of(&nodes).number() else { return };
        let weight = *self.around.world.one_of(&[0.5, 1.0, 2.0]);
        self.around.world.note(format!("n{number} gets the weight {weight}"));
        let _ = self.rows("operator").set_node_weight(number, weight).await;
    }

    /// Damage that stays until it is healed comes to one node only, and only while every extent can
    /// bear it: more is more than any code can mend.
    async fn damage(&self, fault: Fault) {
        let Some(node) = self.around.network.nodes().first().cloned() else { return };
        let Some(number) = node.number().filter(|_| node.is_up()) else { return };
        if !self.can_bear_loss_of(number) {
            return;
        }
        match fault {
            Fault::ChunkRots => node.rot(),
            Fault::ChunkIsLost => node.lose(),
            _ => self.lose_drive(&node, number).await,
        }
    }

    /// Whether all extents could be read if nothing on this node were left.
    fn can_bear_loss_of(&self, lost: NodeNumber) -> bool {
        self.around.database.model.census().live.iter().all(|extent| {
            let is_whole = |at: &usize| {
                let (index, number) = (ChunkIndex::ALL[*at], extent.placement[*at]);
                let name = ChunkName { extent: extent.id, index };
                let node = self.around.network.node(number).filter(|_| number != lost);
                node.is_some_and(|node| node.has_whole(name))
            };
            (0..6).filter(is_whole).count() >= extent.scheme.data_count()
        })
    }

    /// The drive is gone for good; a new one comes in its place.
    async fn lose_drive(&self, node: &Arc<SimNode>, number: NodeNumber) {
        if !self.gone().is_empty() || self.ill().len() >= self.plan.most_ill {
            return;
        }
        self.gone().insert(number);
        self.ill().insert(number);
        self.around.world.note(format!("DriveIsLost: n{number}"));
        node.crash();
        node.wipe();
        self.around.world.sleep(1000, 20_000).await;
        let rows = self.rows("operator");
        // The drive is empty: what rows say of other chunks does not bring it back.
        let removal = RemoveNode { node: number, heir: Heir::NextDrive, may_lose: true };
        while rows.remove_node(removal).await.is_err() {}
        let count = self.around.network.nodes().len();
        let new = SimNode::new(&self.around.world, self.around.cluster, count);
        self.around.network.add(Arc::clone(&new));
        new.start(self.rows("new node"));
    }

    async fn on_gateway(&self, fault: Fault) {
        let gateway = Arc::clone(self.around.world.one_of(&self.gateways));
        let Some(process) = gateway.process().filter(|process| process.is_running()) else {
            return;
        };
        self.around.world.note(format!("{fault:?}: {}", gateway.name()));
        if fault == Fault::GatewayCrashes {
            process.kill();
            return;
        }
        process.pause();
        self.around.world.sleep(500, 25_000).await;
        self.around.world.note(format!("{} goes on", gateway.name()));
        process.go_on();
    }

    /// Lets processes crash, or stand still, at one named point after the other.
    pub(super) async fn crash_at_points(self: Arc<Self>) {
        let world = Arc::clone(&self.around.world);
        let mut next = world.seed.wrapping_mul(5) as usize;
        while !self.plan.is_calm() {
            let end = match world.below(3) {
                0 if world.only.is_none() => End::Pause(world.time(seconds(5), seconds(25))),
                _ => End::Crash,
            };
            let point = world.only.unwrap_or(CRASH_POINTS[next % CRASH_POINTS.len()]);
            world.arm(point, 1 + world.below(2) as u32, end);
            next += 1;
            // One that is not passed makes way for the next.
            for _ in 0..8 {
                world.sleep(500, 2500).await;
                if !world.is_armed() {
                    break;
                }
            }
        }
    }

    /// Sets the clocks of gateways to and fro. No time of day decides anything, so that nothing may
    /// come of it; nodes have none to ask.
    pub(super) async fn turn_clocks(self: Arc<Self>) {
        let world = &self.around.world;
        loop {
            let (index, after, ahead) = world.turn_of_clock(self.gateways.len());
            tokio::time::sleep(after).await;
            if let Some(process) = self.gateways[index].process() {
                world.note(format!("the clock of {} is {ahead} ahead", process.name));
                process.set_clock_ahead(ahead);
            }
        }
    }

    /// Starts dead processes anew after a while, as whoever runs them does.
    pub(super) async fn supervise(self: Arc<Self>) {
        let world = Arc::clone(&self.around.world);
        loop {
            world.sleep(500, 4000).await;
            self.restart_dead();
        }
    }

    fn restart_dead(&self) {
        for gateway in self.gateways.iter().filter(|gateway| gateway.is_dead()) {
            gateway.start();
        }
        for node in self.around.network.nodes() {
            let is_ill = node.number().is_some_and(|number| self.ill().contains(&number));
            if !is_ill {
                self.revive(&node);
            }
        }
    }

    /// Ends all faults.
    pub(super) async fn end(&self) {
        self.around.world.note("all faults end");
        self.around.world.disarm();
        self.around.database.clear();
        self.around.network.clear();
        let rows = self.rows("operator");
        for node in self.around.network.nodes() {
            node.fill(false);
            self.revive(&node);
            if let Some(number) = node.number() {
                let _ = rows.set_node_state(number, NodeState::Active).await;
                let _ = rows.set_node_weight(number, 1.0).await;
                // What the drive lost without a trace is found by comparing it with the rows.
                let _ = rows.mark_rotten(number, &node.lost()).await;
            }
        }
        for gateway in &self.gateways {
            gateway.process().iter().for_each(|process| process.go_on());
        }
        self.ill().clear();
        self.restart_dead();
    }
}
