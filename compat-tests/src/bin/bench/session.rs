//! A server under load: what is stored on it already, and one load after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use compat_tests::raw::{Connection, Request};
use tokio::task::JoinSet;

use super::Target;
use super::client::{Client, Step, Times, Wants, Work};
use super::measured::{Latencies, Measured};
use super::plan::{Kind, Load, MIB};
use super::usage::own_cpu;

/// Requests that are signed in advance, per second of a load: more than two cores answer.
const STEPS_PER_S: f64 = 10_000.0;

/// Objects that a load of deletes finds, per second: each must be written before.
const DELETES_PER_S: f64 = 3_000.0;

/// What one load writes at the most; half as much again goes to the drives.
const BYTES_PER_LOAD: usize = 768 * MIB;

/// Objects that reads go around: enough to be no single hot one, few enough to be written soon.
const OBJECTS_READ: usize = 2_000;
const BYTES_READ: usize = 256 * MIB;

/// On servers built without optimisation: the largest objects, what reads go around, and how many
/// clients write large objects at once.
const LITTLE_SIZE: usize = 2 * MIB;
const LITTLE_READ: usize = 8 * MIB;
const LITTLE_CLIENTS: usize = 4;

/// Keys of a list's page.
const PAGE_KEYS: usize = 1_000;

/// Connections that write what a load will need.
const PREPARING_CLIENTS: usize = 16;

/// Longer than any preparation.
const LONG: Duration = Duration::from_hours(1);

/// What a client reads at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The bucket of all loads.
pub(super) const BUCKET: &str = "/bench";

/// The loads on one server.
pub(super) struct Session {
    target: Target,
    body: Arc<[u8]>,
    /// How many objects there are below each prefix, numbered from 0.
    stored: BTreeMap<String, usize>,
    /// How many loads have had objects of their own to write or delete.
    loads: usize,
    /// Whether to write and read little.
    little: bool,
}

impl Session {
    /// Creates the bucket.
    pub(super) async fn open(target: Target, little: bool) -> anyhow::Result<Self> {
        let created = Request::put(BUCKET).sign(&target.signer, &target.address);
        let answer = created.try_send(&target.address).await?;
        ensure!(answer.status == 200, "PUT {BUCKET}: {} {}", answer.status, answer.text());
        let body = bytes(16 * MIB).into();
        Ok(Self { target, body, stored: BTreeMap::new(), loads: 0, little })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Writes what the load needs, then measures it for so many seconds.
    pub(super) async fn run(&mut self, mut load: Load, seconds: f64) -> anyhow::Result<Measured> {
        if self.little && load.size >= MIB {
            load.size = load.size.min(LITTLE_SIZE);
            load.clients = load.clients.min(LITTLE_CLIENTS);
        }
        let work = self.prepare(load, seconds).await?;
        let measured = self.measure(load, work, seconds).await?;
        if load.kind == Kind::Put {
            *self.stored.entry(load.size.to_string()).or_default() += measured.requests();
        }
        Ok(measured)
    }

    /// Measures the load's clients at this work.
    pub(super) async fn measure(
        &self,
        load: Load,
        work: Work,
        seconds: f64,
    ) -> anyhow::Result<Measured> {
        self.target.watched.forget_peaks()?;
        let before = self.target.watched.snapshot()?;
        let own_before = own_cpu();
        let started = Instant::now();
        let until = started + Duration::from_secs_f64(seconds);
        let (times, refused) = self.work(work, load.clients, until).await?;
        let took = started.elapsed();
        let generator = own_cpu().saturating_sub(own_before);
        let usage = self.target.watched.snapshot()?.since(&before);
        let memory = self.target.watched.memory()?;
        ensure!(!times.is_empty(), "{load}: no request was answered");
        let server = self.target.name.clone();
        let latencies = Latencies::of(&times);
        Ok(Measured { server, load, took, latencies, refused, usage, memory, generator })
    }

    /// The work of a load, signed; what it reads or deletes is there when this returns.
    async fn prepare(&mut self, load: Load, seconds: f64) -> anyhow::Result<Work> {
        let Load { kind, size, clients } = load;
        let most = (STEPS_PER_S * seconds) as usize;
        let written = most.min((BYTES_PER_LOAD / size).max(clients));
        let read = OBJECTS_READ.min(if self.little { LITTLE_READ } else { BYTES_READ } / size);
        let folder = size.to_string();
        self.loads += 1;
        Ok(match kind {
            Kind::Put => {
                let first = self.stored(&folder);
                let steps = (first..first + written).map(|n| self.put(&folder, n, size)).collect();
                Work::Steps { steps, repeat: false }
            }
            Kind::Get | Kind::Stat => {
                self.store(&folder, size, read).await?;
                let verb = if kind == Kind::Get { "GET" } else { "HEAD" };
                let steps = (0..read).map(|number| self.look(verb, number, size)).collect();
                Work::Steps { steps, repeat: true }
            }
            Kind::List => {
                self.store(&folder, size, 2 * PAGE_KEYS).await?;
                let pages = (0..10).map(|page| self.list(&folder, page * PAGE_KEYS / 10));
                Work::Steps { steps: pages.collect(), repeat: true }
            }
            Kind::Delete => {
                let count = written.min((DELETES_PER_S * seconds) as usize);
                Work::Steps { steps: self.deletes(count, size).await?, repeat: false }
            }
            Kind::Mixed => {
                self.store(&folder, size, read).await?;
                // Three of twenty are puts.
                let rounds = (written / 3).min(most / 20).max(1);
                Work::Steps { steps: self.mixed(rounds, read, size).await?, repeat: false }
            }
            Kind::Multipart => Work::Uploads { size },
        })
    }

    /// How many objects are known to be there below a folder.
    fn stored(&self, folder: &str) -> usize {
        self.stored.get(folder).copied().unwrap_or(0)
    }

    /// Sees to it that the first `count` objects below a folder are there.
    async fn store(&mut self, folder: &str, size: usize, count: usize) -> anyhow::Result<()> {
        let stored = self.stored(folder);
        if stored < count {
            let steps = (stored..count).map(|number| self.put(folder, number, size)).collect();
            let work = Work::Steps { steps, repeat: false };
            self.finish(work).await?;
            self.stored.insert(folder.to_owned(), count);
        }
        Ok(())
    }

    /// Objects of this load alone, and the requests that delete them.
    async fn deletes(&mut self, count: usize, size: usize) -> anyhow::Result<Vec<Step>> {
        let folder = format!("deleted-{}", self.loads);
        self.store(&folder, size, count).await?;
        let paths = (0..count).map(|number| path(&folder, number));
        Ok(paths.map(|path| self.step("DELETE", &path, 0, Wants::Status(204))).collect())
    }

    /// Rounds of twenty requests, in an order that spreads the kinds.
    async fn mixed(
        &mut self,
        rounds: usize,
        read: usize,
        size: usize,
    ) -> anyhow::Result<Vec<Step>> {
        const ORDER: &[u8; 20] = b"GHGPGHGHDGHGPGHGHDGP";
        let mut deletes = self.deletes(rounds * 2, size).await?.into_iter();
        let written = format!("mixed-{}", self.loads);
        let mut steps = Vec::with_capacity(rounds * ORDER.len());
        for number in 0..rounds * ORDER.len() {
            steps.extend(match ORDER[number % ORDER.len()] {
                b'G' => Some(self.look("GET", number % read, size)),
                b'H' => Some(self.look("HEAD", number % read, size)),
                b'P' => Some(self.put(&written, number, size)),
                _ => deletes.next(),
            });
        }
        Ok(steps)
    }

    /// Stores an object of its own number below a folder.
    pub(super) fn put(&self, folder: &str, number: usize, size: usize) -> Step {
        self.step("PUT", &path(folder, number), size, Wants::Status(200))
    }

    /// A GET or HEAD of an object that [`Session::store`] has stored.
    fn look(&self, verb: &str, number: usize, size: usize) -> Step {
        let wants = if verb == "GET" { Wants::Object(size) } else { Wants::Head(size) };
        self.step(verb, &path(&size.to_string(), number), 0, wants)
    }

    /// A page of keys behind the object of that number.
    fn list(&self, folder: &str, number: usize) -> Step {
        let query = format!("list-type=2&prefix={folder}%2F&start-after={folder}%2F{number:07}");
        self.step("GET", &format!("{BUCKET}?{query}"), 0, Wants::Elements("<Key>", PAGE_KEYS))
    }

    fn step(&self, verb: &str, path: &str, sent: usize, wants: Wants) -> Step {
        Step::new(&self.target, verb, path, sent, wants)
    }

    /// Does all of the work, unmeasured.
    pub(super) async fn finish(&self, work: Work) -> anyhow::Result<()> {
        self.work(work, PREPARING_CLIENTS, Instant::now() + LONG).await.map(drop)
    }

    /// Lets so many clients work; answers the times of all requests, and how many were refused
    /// and made again.
    async fn work(
        &self,
        work: Work,
        clients: usize,
        until: Instant,
    ) -> anyhow::Result<(Vec<Times>, usize)> {
        let (work, next) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
        let refused = Arc::new(AtomicUsize::new(0));
        let mut all = JoinSet::new();
        for _ in 0..clients {
            let client = Client {
                connection: Connection::open(&self.target.address).await?,
                target: self.target.clone(),
                work: Arc::clone(&work),
                body: Arc::clone(&self.body),
                refused: Arc::clone(&refused),
                buffer: vec![0; BUFFER_BYTES],
            };
            all.spawn(client.run(Arc::clone(&next), until));
        }
        let mut times = Vec::new();
        while let Some(done) = all.join_next().await {
            times.extend(done??);
        }
        Ok((times, refused.load(Ordering::Relaxed)))
    }
}

/// Keys of a folder order by number.
fn path(folder: &str, number: usize) -> String {
    format!("{BUCKET}/{folder}/{number:07}")
}

/// Bytes without a pattern that anything could compress, the same in every run.
fn bytes(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| byte()).collect()
}
