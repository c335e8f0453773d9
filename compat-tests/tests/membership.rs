//! Nodes come and go under load: a drain, a new node, a removal. Every object comes back as it was,
//! and every chunk is where its row says, on six nodes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use compat_tests::census::NOT_WHOLE;
use compat_tests::cluster::{Form, NODE_COUNT, Plan, Process, Server, free_address};
use compat_tests::forms::is_long;
use compat_tests::objects::Body;
use compat_tests::raw::{Request, Signer};

/// What is waited for takes seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// At most this much of all chunks moves for one node: 1.2 of its share.
const MOST_MOVED: f64 = 1.2;

/// Objects whose chunks are small, so that there are enough for shares to show.
const SMALL: u64 = 150;

const LARGE: [u64; 4] = [0, 1, 3_000_000, 20_000_000];

fn plan(form: Form) -> Plan {
    Plan::new(form)
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "4s")
        .set("SIXFOLD_RING_REFRESH", "2s")
        .set("SIXFOLD_HOLD_DOWN", "4s")
        .set("SIXFOLD_HEAL_EVERY", "500ms")
        .set("SIXFOLD_REBALANCE_EVERY", "500ms")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_COLLECT_EVERY", "1s")
        .set("SIXFOLD_FREED_FOR", "2s")
}

/// One more node than the plan has.
fn start_node(server: &Server, name: &str) -> Process {
    let mut command = server.node_command(&server.folder().join(name), &free_address());
    Process::start("sixfold-node", &mut command, &server.folder().join(format!("{name}.log")))
}

/// `sixfold node …` on this cluster.
fn node(server: &Server, arguments: &[&str]) -> Output {
    server.administer(&[&["node"], arguments].concat())
}

fn done(output: &Output) -> serde_json::Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, mend: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(mend), "{said}");
}

fn number(server: &Server, query: &str) -> u64 {
    server.metadata(query).trim().parse().unwrap()
}

async fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Chunks that rows place on a node.
fn placed_on(server: &Server, number_of_node: u16) -> u64 {
    number(
        server,
        &format!(
            "select count(*) from extent e join placement p on p.id = e.placement_id,
            unnest(p.nodes) node where node = {number_of_node}"
        ),
    )
}

/// Objects that stay and are known.
async fn fill(server: &Server) -> Vec<(String, Body)> {
    let signer = server.signer();
    let bucket = Request::put("/members").sign(&signer, server.address());
    bucket.send(server.address()).await.expect_status(200);
    let sizes = LARGE.into_iter().chain((0..SMALL).map(|index| 1000 + index * 137));
    let mut kept = Vec::new();
    for (seed, size) in (0..).zip(sizes) {
        let (name, body) = (format!("/members/kept-{seed}"), Body::new(seed, size));
        body.put(server.address(), &signer, &name).await.unwrap();
        kept.push((name, body));
    }
    kept
}

async fn check(server: &Server, kept: &[(String, Body)]) {
    for (name, body) in kept {
        body.check(server.address(), &server.signer(), name).await.unwrap();
    }
}

/// Clients that write, read, overwrite and delete until told to stop; not one request may fail.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |client: u64| {
            let (address, signer) = (server.address().to_owned(), server.signer());
            tokio::spawn(run_client(client, address, signer, Arc::clone(&stop)))
        };
        Self { clients: (0..3).map(client).collect(), stop: Arc::clone(&stop) }
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            assert!(client.await.unwrap() > 0, "a client did nothing");
        }
    }
}

async fn run_client(client: u64, address: String, signer: Signer, stop: Arc<AtomicBool>) -> u64 {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("/members/load-{client}-{}", round % 7);
        let body = Body::new(client << 32 | round, [2000, 300_000, 2_500_000][round as usize % 3]);
        body.put(&address, &signer, &name).await.unwrap();
        body.check(&address, &signer, &name).await.unwrap();
        if round % 5 == 4 {
            let delete = Request::delete(&name).sign(&signer, &address);
            delete.send(&address).await.expect_status(204);
        }
        round += 1;
    }
    round
}

/// A slow download that began before everything else and is still under way after it.
async fn slow_read(server: &Server, kept: &(String, Body), is_over: Arc<AtomicBool>) {
    let (address, signer) = (server.address().to_owned(), server.signer());
    let (name, body) = kept.clone();
    let mut waited = false;
    #[expect(clippy::disallowed_methods, reason = "the runtime has threads to spare here")]
    let wait = move |received: u64| {
        if received > 4_000_000 && !waited {
            waited = true;
            let until = Instant::now() + PATIENCE;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    };
    body.check_while(&address, &signer, &name, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f23_a_node_comes_and_another_is_drained_under_load() {
    let server = plan(Form::Separate).start();
    let kept = fill(&server).await;
    refused(&node(&server, &["drain", "99"]), "there is no node 99");
    refused(&node(&server, &["drain", "1"]), "would leave 5 nodes");
    refused(&node(&server, &["remove", "1"]), "still has chunks: drain it first");
    refused(&node(&server, &["weight", "1", "0"]), "between 0.01 and 100");
    refused(&node(&server, &["replace", "1"]), "node 1 answers");
    lose_nothing(&server).await;

    // The seventh takes its share of what is there.
    let load = Load::start(&server);
    let mut seventh = start_node(&server, "drive6");
    wait_for("the seventh node", || server.node_list().len() > NODE_COUNT).await;
    let extents = || number(&server, "select count(*) from extent");
    wait_for("its share", || placed_on(&server, 7) * 10 > extents() * 6).await;
    load.finish().await;
    wait_for("the end of the moves", || number(&server, NOT_WHOLE) == 0).await;
    let share = 6.0 * extents() as f64 / 7.0;
    assert!(placed_on(&server, 7) as f64 <= MOST_MOVED * share, "{}", placed_on(&server, 7));

    // Another one is drained, with a read under way from before its begin to behind its end.
    let is_over = Arc::new(AtomicBool::new(false));
    let load = Load::start(&server);
    let reading = slow_read(&server, &kept[3], Arc::clone(&is_over));
    refused(&node(&server, &["remove", "3"]), "still has chunks: drain it first");
    let draining = async {
        let drained =
            tokio::task::block_in_place(|| node(&server, &["drain", "3", "--wait", "--json"]));
        is_over.store(true, Ordering::Relaxed);
        drained
    };
    let (drained, ()) = tokio::join!(draining, reading);
    let row = done(&drained);
    assert_eq!((&row["is_drained"], &row["chunks"]), (&true.into(), &0.into()), "{row}");
    let progress = String::from_utf8_lossy(&drained.stderr).into_owned();
    assert!(progress.contains("\"chunks_left\":"), "{progress}");
    load.finish().await;
    assert_eq!(placed_on(&server, 3), 0);
    assert_eq!(chunk_files(&drive_of(&server, &row)), 0, "its inventory is empty");
    refused(&node(&server, &["drain", "1"]), "would leave 5 nodes");
    assert_eq!(done(&node(&server, &["remove", "3", "--json"]))["state"], "removed");
    refused(&node(&server, &["drain", "3"]), "node 3 was removed");

    check(&server, &kept).await;
    assert_eq!(number(&server, NOT_WHOLE), 0);
    assert!(seventh.ended().is_none());
}

/// The ring changes again and again, a hundred times in ten minutes in the long form: nodes get other
/// weights and are drained, and before that is done they are taken back. Clients write and read
/// meanwhile, and not one request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f23_many_ring_changes_under_load() {
    let (changes, every) =
        if is_long() { (100, Duration::from_secs(6)) } else { (10, Duration::from_millis(500)) };
    let mut server = tokio::task::block_in_place(|| plan(Form::Separate).start());
    tokio::task::block_in_place(|| server.add_node());
    wait_for("the seventh node", || server.node_list().len() > NODE_COUNT).await;
    let kept = fill(&server).await;
    let load = Load::start(&server);
    let began = Instant::now();
    for change in 0..changes {
        // Each node in its turn, two changes of its own.
        let name = (change / 2 % 7 + 1).to_string();
        let arguments = match change % 4 {
            0 => ["weight", &name, "0.5"],
            1 => ["weight", &name, "1"],
            2 => ["drain", &name, "--json"],
            _ => ["drain", &name, "--cancel"],
        };
        let changed = tokio::task::block_in_place(|| node(&server, &arguments));
        assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
        tokio::time::sleep(every).await;
    }
    println!("{changes} changes of the ring in {:?}", began.elapsed());
    load.finish().await;
    check(&server, &kept).await;
    wait_for("the end of the moves", || number(&server, NOT_WHOLE) == 0).await;
}

/// An object that has nothing to spare: what would lose it is refused, `--force` or not.
async fn lose_nothing(server: &Server) {
    let name = "/members/scratch";
    let put = Request::put(name).header("x-amz-storage-class", "SIXFOLD_SCRATCH");
    let put = put.body("scratch").sign(&server.signer(), server.address());
    put.send(server.address()).await.expect_status(200);
    refused(&node(server, &["remove", "1", "--force"]), "--lose-objects");
    refused(&node(server, &["replace", "1", "--force"]), "--lose-objects");
    assert_eq!(row_of(server, 1)["state"], "active");
    let delete = Request::delete(name).sign(&server.signer(), server.address());
    delete.send(server.address()).await.expect_status(204);
}

/// The way for a dead drive of `sixfold server`, as docs/replace-a-drive.md has it: an empty folder
/// in the place of the dead one takes its seat, what was there is made anew on it, and then any two
/// of the others may be gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dead_drive_of_a_server_is_replaced() {
    let mut server = plan(Form::Embedded).start();
    let kept = fill(&server).await;
    let dead = number_of(&server, &server.drive(2));
    let name = dead.to_string();
    server.take_away(2);
    let is_lost = || row_of(&server, dead)["is_up"] == false;
    wait_for("the loss of a drive", is_lost).await;
    check(&server, &kept[..10]).await;
    refused(&node(&server, &["drain", &name, "--force"]), "node replace");
    refused(&node(&server, &["remove", &name]), "node replace");
    let said = done(&node(&server, &["replace", &name, "--json"]));
    assert_eq!(said["state"], "removed", "{said}");

    server.stop_gateway();
    std::fs::create_dir(server.drive(2)).unwrap();
    server.start_gateway();
    let new = number_of(&server, &server.drive(2));
    let row = row_of(&server, new);
    assert_eq!((new, &row["seat"]), (7, &dead.into()), "{row}");
    let left = format!("{NOT_WHOLE} or p.nodes @> array[{dead}::smallint]");
    wait_for("the healing", || number(&server, &left) == 0).await;
    assert_eq!(placed_on(&server, new), number(&server, "select count(*) from extent"));
    for index in [0, 5] {
        server.take_away(index);
    }
    check(&server, &kept).await;

    // The dead one comes back by mistake: it is known, and not let in.
    server.stop_gateway();
    for index in [0, 5] {
        server.give_back(index);
    }
    std::fs::rename(server.drive(2), server.folder().join("new")).unwrap();
    server.give_back(2);
    server.start_gateway();
    assert_eq!(row_of(&server, dead)["state"], "removed");
    wait_for("a word on it", || server.log_tail().contains("was removed from the cluster")).await;
    check(&server, &kept).await;
}

/// How many extents lack a chunk or have more than two in one zone.
const NOT_ZONED: &str = "select count(*) from extent e join placement p on p.id = e.placement_id
    where e.missing <> 0 or exists (select from unnest(p.nodes) chunk
        join node on node.number = chunk group by node.zone having count(*) > 2)";

/// How many chunks are on the nodes of a zone.
fn chunks_in(server: &Server, zone: &str) -> u64 {
    let query = "select count(*) from extent e join placement p on p.id = e.placement_id,
        unnest(p.nodes) with ordinality chunk (node, place) join node on node.number = chunk.node
        where e.missing::int >> (place - 1)::int & 1 = 0 and node.zone =";
    number(server, &format!("{query} '{zone}'"))
}

/// Three zones of three nodes each, and all nodes of one are killed: every object can be read, new
/// ones are written to the other two, and once the zone is back every object has its six chunks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f04_a_zone_of_three_may_be_lost() {
    let zones = ["east", "north", "west"];
    let mut server = tokio::task::block_in_place(|| plan(Form::Separate).zones(&zones).start());
    for _ in 0..3 {
        tokio::task::block_in_place(|| server.add_node());
    }
    wait_for("nine nodes", || server.node_list().len() == 9).await;
    for zone in zones {
        let nodes = server.node_list();
        assert_eq!(nodes.iter().filter(|row| row["zone"] == zone).count(), 3, "{nodes:?}");
    }
    let kept = fill(&server).await;
    wait_for("chunks in all zones", || number(&server, NOT_ZONED) == 0).await;
    let north = chunks_in(&server, "north");

    for index in [1, 4, 7] {
        server.take_away(index);
    }
    check(&server, &kept).await;
    let new = (500..520_u64).map(|seed| (format!("/members/new-{seed}"), Body::new(seed, 9000)));
    let new = new.collect::<Vec<_>>();
    for (name, body) in &new {
        // That many nodes at once are more than two: until they are known, a write may be refused.
        let until = Instant::now() + PATIENCE;
        while let Err(error) = body.put(server.address(), &server.signer(), name).await {
            assert!(Instant::now() < until, "{name}: {error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    check(&server, &new).await;
    assert!(chunks_in(&server, "north") <= north, "no chunk is where no node is");

    tokio::task::block_in_place(|| [1, 4, 7].into_iter().for_each(|index| server.give_back(index)));
    wait_for("six chunks of everything", || number(&server, NOT_WHOLE) == 0).await;
    check(&server, &[kept, new].concat()).await;
}

/// The way for a drive of `sixfold server` that still works and is wanted elsewhere, as
/// docs/replace-a-drive.md has it: drained, removed, and not named any more at the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_directory_of_a_server_is_drained_and_left_out() {
    let mut server = tokio::task::block_in_place(|| plan(Form::Embedded).directories(9).start());
    assert_eq!(server.node_list().len(), 9);
    let kept = fill(&server).await;
    let drained = number_of(&server, &server.drive(4));
    let name = drained.to_string();
    assert!(placed_on(&server, drained) > 0);
    let wait = ["drain", &name, "--wait", "--json"];
    let row = done(&tokio::task::block_in_place(|| node(&server, &wait)));
    assert_eq!((&row["is_drained"], &row["chunks"]), (&true.into(), &0.into()), "{row}");
    assert_eq!(placed_on(&server, drained), 0);
    assert_eq!(done(&node(&server, &["remove", &name, "--json"]))["state"], "removed");
    check(&server, &kept).await;

    tokio::task::block_in_place(|| {
        server.stop_gateway();
        server.leave_out(4);
        std::fs::remove_dir_all(server.drive(4)).unwrap();
        server.start_gateway();
    });
    wait_for("the eight others", || server.status()["nodes_up"] == 8).await;
    assert_eq!(server.status()["nodes_registered"], 8);
    assert_eq!(row_of(&server, drained)["state"], "removed");
    check(&server, &kept).await;
    wait_for("six chunks of everything", || number(&server, NOT_WHOLE) == 0).await;
    for index in [0, 5] {
        server.take_away(index);
    }
    check(&server, &kept).await;
}

/// The number of the node on a drive.
fn number_of(server: &Server, drive: &Path) -> u16 {
    let text = std::fs::read_to_string(drive.join("sixfold-drive")).unwrap();
    let nodes = server.node_list();
    let row = nodes.iter().find(|row| text.contains(row["drive"].as_str().unwrap())).unwrap();
    row["number"].as_u64().unwrap().try_into().unwrap()
}

fn row_of(server: &Server, number: u16) -> serde_json::Value {
    server.node_list().into_iter().find(|row| row["number"] == number).unwrap()
}

/// The folder of a node: numbers are given in the order in which nodes come.
fn drive_of(server: &Server, row: &serde_json::Value) -> PathBuf {
    let id = row["drive"].as_str().unwrap();
    let mut folders =
        std::fs::read_dir(server.folder()).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |folder: &PathBuf| {
        std::fs::read_to_string(folder.join("sixfold-drive")).is_ok_and(|text| text.contains(id))
    };
    folders.find(is_it).unwrap()
}

/// Large chunks on a drive; small ones are in segments.
fn chunk_files(drive: &Path) -> usize {
    let folders = std::fs::read_dir(drive.join("chunks")).unwrap();
    let count = |folder: std::fs::DirEntry| std::fs::read_dir(folder.path()).unwrap().count();
    folders.map(|folder| count(folder.unwrap())).sum()
}
