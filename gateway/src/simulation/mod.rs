//! A deterministic simulation: gateways, nodes, network and database in one thread, on a clock that
//! jumps from event to event. A seed says everything that happens; the same seed happens again.
//!
//! It runs the product's code from the parsed request downwards: operations, data path, leases,
//! directory, breakers and all jobs. What stands around that code is simulated at its two
//! interfaces, [`crate::meta::Meta`] and [`sixfold_proto::chunks::Chunks`]: the database is the model
//! that conformance tests compare with PostgreSQL, the nodes keep the contract that they hold
//! real stores to. Under these interfaces lie gRPC and SQL, whose failures are known here by
//! what they come to: a call that breaks before, while or after it has its effect, that comes late,
//! or whose answer is lost. To simulate sockets and frames as well would run every cell through two
//! HTTP/2 stacks, for a tenth of the seeds in the same time, and find faults of tonic. Tests with
//! real processes are for those.
//!
//! Determinism: one thread, tokio's paused clock, one seeded source for all ids and one for
//! everything else, computations done in place, and `select!` in a fixed order.
//!
//! `SIXFOLD_SEED=7 make simulate` shows all that happens under seed 7; `make simulate SEEDS=10000`
//! runs as many.

mod census;
mod client;
mod gateway;
mod history;
mod nemesis;
mod network;
mod node;
mod points;
mod process;
mod rows;
mod tables;
mod tests;
mod upload;
mod values;
mod world;

pub(crate) use points::{is_planted, is_simulated, reach, seeded_number, time_of_day};
pub(crate) use process::in_process;

use crate::meta::Meta;
use client::{Clients, KEY_COUNT};
use futures::future::join_all;
use gateway::{Asked, Gateway, Surroundings};
use nemesis::{Nemesis, Plan};
use network::Network;
use node::SimNode;
use rows::{Database, Rows};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use world::World;

const GATEWAYS: usize = 3;
const NODES: usize = 9;
const CLIENTS: usize = 5;
const OPERATIONS_OF_A_CLIENT: usize = 22;

/// What came of a run.
struct Outcome {
    trace: Vec<String>,
    hash: u64,
    wrong: Vec<String>,
    crashed: BTreeMap<&'static str, u32>,
    /// How long it lasted by its own clock.
    lasted: Duration,
    operations: usize,
}

/// Runs a seed, with these bugs planted.
fn run(seed: u64, bugs: &[&'static str]) -> Outcome {
    run_through(seed, bugs, None)
}

/// Runs a seed in which processes crash nowhere but at one point, if one is named.
fn run_through(seed: u64, bugs: &[&'static str], only: Option<&'static str>) -> Outcome {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let outcome = runtime.block_on(async {
        let (world, _on_thread) = World::begin(seed, bugs, only);
        let operations = live(&world).await;
        let (trace, hash) = world.trace();
        let wrong = world.found_wrong();
        Outcome { trace, hash, wrong, crashed: world.crashed(), lasted: world.now(), operations }
    });
    drop(runtime);
    outcome
}

/// The whole of a run; answers how many operations there were.
async fn live(world: &Arc<World>) -> usize {
    let (around, gateways) = set_up(world).await;
    let plan = Plan::of(&around);
    world.note(format!("faults: {:?}", plan.kinds));
    let clients = Clients::new(world, gateways.clone(), plan.is_calm());
    let nemesis = Nemesis::new(&around, gateways, plan);
    let faults = tokio::spawn(Arc::clone(&nemesis).work());
    let crashes = tokio::spawn(Arc::clone(&nemesis).crash_at_points());
    let supervision = tokio::spawn(Arc::clone(&nemesis).supervise());
    // To the end of the run, and in calm ones, too.
    let clocks = tokio::spawn(Arc::clone(&nemesis).turn_clocks());
    let working = (0..CLIENTS).map(|_| clients.work(OPERATIONS_OF_A_CLIENT));
    join_all(working).await;
    faults.abort();
    crashes.abort();
    // What is under way ends by itself before all is made well.
    tokio::time::sleep(Duration::from_secs(65)).await;
    nemesis.end().await;
    census::settle(&around).await;
    clients.write_through_all().await;
    for _ in 0..2 {
        for key in 0..KEY_COUNT {
            if clients.read(key, Asked::default()).await.is_none() {
                world.wrong(format!("I1: key {key} can't be read although all is well"));
            }
        }
        clients.list().await;
    }
    supervision.abort();
    clocks.abort();
    clients.history.faults().iter().for_each(|fault| world.wrong(fault));
    clients.history.count()
}

/// A cluster that is up, with an empty bucket.
async fn set_up(world: &Arc<World>) -> (Arc<Surroundings>, Vec<Arc<Gateway>>) {
    let network = Network::new(world);
    let database = Database::new(world, &network);
    let rows = Rows::new(&database, "operator");
    let cluster = rows.cluster_id().await.unwrap();
    let user = rows.create_user("main").await.unwrap();
    rows.create_bucket("bucket", user.id).await.unwrap();
    for index in 0..NODES {
        let node = SimNode::new(world, cluster, index);
        network.add(Arc::clone(&node));
        node.start(Rows::new(&database, &format!("node {index}")));
    }
    let world = Arc::clone(world);
    let around = Arc::new(Surroundings { world, network, database, cluster, user });
    let gateways = (0..GATEWAYS).map(|index| Gateway::new(&around, index)).collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_secs(1)).await;
    gateways.iter().for_each(Gateway::start);
    while !gateways.iter().all(|gateway| gateway.is_ready()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (around, gateways)
}
