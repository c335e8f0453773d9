//! What goes wrong in a soak: a round is one or two nodes, perhaps a gateway, perhaps PostgreSQL,
//! for some seconds; then all of it is put right.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compat_tests::cluster::{Gateway, Server};

/// At most this many nodes are in trouble at the same time.
const MOST_NODES: u64 = 2;

/// Bits that rot in one round.
const FLIPPED_FILES: u64 = 6;

/// What is waited for takes seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Numbers that follow from a seed.
pub(crate) struct Random(u64);

impl Random {
    /// The same seed, the same faults.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(300 + self.below(most * 1000))
    }
}

/// What a node may suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Killed,
    Paused,
    Rotten,
    Full,
}

/// What a gateway may suffer.
#[derive(Clone, Copy, Debug)]
enum GatewayTrouble {
    Killed,
    Paused,
    Restarted,
}

/// The cluster, and what has been done to it.
pub(crate) struct Faults {
    // Dropped before the server, whose PostgreSQL it needs to end well.
    pub(crate) second: Gateway,
    pub(crate) server: Server,
    /// The node on a drive that can be filled up.
    pub(crate) small_drive: Option<usize>,
    pub(crate) random: Random,
    /// Rounds so far.
    pub(crate) done: u64,
}

impl Faults {
    /// One round, put right again at its end.
    pub(crate) fn strike(&mut self, began: Instant) {
        self.done += 1;
        let nodes = self.choose_nodes();
        let gateway = self.random.chance(35).then(|| self.choose_gateway());
        let is_database_hit = self.random.chance(20);
        let lasting = self.random.seconds(8);
        println!(
            "soak: {:4} s: nodes {nodes:?}, gateway {gateway:?}, database {is_database_hit}, \
             {lasting:?}",
            began.elapsed().as_secs()
        );
        for (node, trouble) in &nodes {
            self.harm(*node, *trouble);
        }
        if let Some((is_second, trouble)) = gateway {
            self.harm_gateway(is_second, trouble);
        }
        if is_database_hit {
            self.server.postgres().take_away();
            std::thread::sleep(self.random.seconds(3));
            self.server.postgres().bring_back();
        }
        std::thread::sleep(lasting);
        if let Some((is_second, GatewayTrouble::Paused)) = gateway {
            self.gateway(is_second).thaw();
        }
        for (node, trouble) in &nodes {
            self.mend(*node, *trouble);
        }
        self.wait_for_nodes();
        for (node, trouble) in nodes {
            if trouble == Trouble::Rotten {
                self.wait_for_scrub(node);
            }
        }
        std::thread::sleep(self.random.seconds(3));
    }

    fn choose_nodes(&mut self) -> Vec<(usize, Trouble)> {
        let mut chosen: Vec<(usize, Trouble)> = Vec::new();
        let node_count = self.server.node_count() as u64;
        for _ in 0..self.random.below(MOST_NODES + 1) {
            let node = usize::try_from(self.random.below(node_count)).unwrap();
            if chosen.iter().any(|(other, _)| *other == node) {
                continue;
            }
            let trouble = match self.random.below(10) {
                0..4 => Trouble::Killed,
                4..7 => Trouble::Paused,
                _ if Some(node) == self.small_drive => Trouble::Full,
                _ => Trouble::Rotten,
            };
            chosen.push((node, trouble));
        }
        chosen
    }

    fn choose_gateway(&mut self) -> (bool, GatewayTrouble) {
        let trouble = match self.random.below(3) {
            0 => GatewayTrouble::Killed,
            1 => GatewayTrouble::Paused,
            _ => GatewayTrouble::Restarted,
        };
        (self.random.chance(50), trouble)
    }

    fn harm(&mut self, node: usize, trouble: Trouble) {
        match trouble {
            Trouble::Killed => self.server.take_away(node),
            Trouble::Paused => self.server.node(node).freeze(),
            Trouble::Rotten => self.rot(node),
            Trouble::Full => fill(&self.filler(node)),
        }
    }

    fn mend(&mut self, node: usize, trouble: Trouble) {
        match trouble {
            Trouble::Killed => self.server.give_back(node),
            Trouble::Paused => self.server.node(node).thaw(),
            // The scrub's and heal's business.
            Trouble::Rotten => {}
            Trouble::Full => std::fs::remove_file(self.filler(node)).unwrap(),
        }
    }

    fn filler(&self, node: usize) -> PathBuf {
        self.server.drive(node).join("filler")
    }

    fn gateway(&mut self, is_second: bool) -> &mut compat_tests::cluster::Process {
        if is_second { self.second.process() } else { self.server.gateway() }
    }

    fn harm_gateway(&mut self, is_second: bool, trouble: GatewayTrouble) {
        match trouble {
            GatewayTrouble::Paused => self.gateway(is_second).freeze(),
            GatewayTrouble::Killed if is_second => self.second.kill(),
            GatewayTrouble::Killed => self.server.kill_gateway(),
            GatewayTrouble::Restarted if is_second => self.second.stop(),
            GatewayTrouble::Restarted => self.server.stop_gateway(),
        }
        match trouble {
            GatewayTrouble::Paused => {}
            _ if is_second => self.second.start(&self.server),
            _ => self.server.start_gateway(),
        }
    }

    /// Flips a bit in some of a node's files. The newest segment is left alone: its end may be
    /// what a killed process had not synced, and nobody can tell that from rot.
    fn rot(&mut self, node: usize) {
        let drive = self.server.drive(node);
        let mut files = files_below(&drive.join("chunks"));
        let mut segments = files_below(&drive.join("segments"));
        segments.sort();
        segments.pop();
        files.extend(segments);
        files.sort();
        if files.is_empty() {
            return;
        }
        for _ in 0..FLIPPED_FILES {
            let file = usize::try_from(self.random.below(files.len() as u64)).unwrap();
            self.flip_bit(&files[file]);
        }
    }

    fn flip_bit(&mut self, path: &Path) {
        // It may have been deleted meanwhile.
        let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return };
        let length = file.metadata().unwrap().len();
        let (at, mut byte) = (self.random.below(length.max(1)), [0]);
        if file.read_at(&mut byte, at).unwrap() == 1 {
            byte[0] ^= 1 << self.random.below(8);
            file.write_at(&byte, at).unwrap();
        }
    }

    /// Waits until every node is up by its row.
    fn wait_for_nodes(&self) {
        wait_for("all nodes", || self.server.are_all_nodes_up(1.5));
    }

    /// Waits until a node has gone through all its chunks from one end to the other.
    fn wait_for_scrub(&self, node: usize) {
        let process = format!("node {}", self.number_of(node));
        let runs = || {
            let jobs = self.server.job_list();
            let is_it =
                |job: &&serde_json::Value| job["job"] == "scrub" && job["process"] == *process;
            jobs.iter().find(is_it).and_then(|job| job["runs"].as_u64()).unwrap_or(0)
        };
        let before = runs();
        wait_for("a whole scrub", || runs() >= before + 2);
    }

    fn number_of(&self, node: usize) -> u64 {
        let id = std::fs::read_to_string(self.server.drive(node).join("sixfold-drive")).unwrap();
        let rows = self.server.node_list();
        let row = rows.iter().find(|row| id.contains(row["drive"].as_str().unwrap())).unwrap();
        row["number"].as_u64().unwrap()
    }
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Takes all that is free on a drive.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let piece = vec![7; 1024 * 1024];
    while file.write_all(&piece).is_ok() {}
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
