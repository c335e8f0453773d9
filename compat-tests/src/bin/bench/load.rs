//! One load: requests over several connections, timed and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use compat_tests::raw::{Connection, Request};
use serde_json::json;
use tokio::task::JoinSet;

use super::Target;
use super::usage::{Usage, usage};

/// A presigned URL is valid for longer than any run.
const VALID: Duration = Duration::from_hours(1);

/// A kind of request, how many of them, and over how many connections.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) size: usize,
    pub(super) clients: usize,
    pub(super) requests: usize,
}

/// What came of it.
#[derive(Clone)]
pub(super) struct Measured {
    pub(super) server: String,
    pub(super) load: &'static str,
    requests: usize,
    took: Duration,
    /// Sorted.
    latencies: Vec<Duration>,
    /// Sorted.
    first_bytes: Vec<Duration>,
    usage: Usage,
}

impl Load {
    /// The target of one request, signed.
    fn target(&self, target: &Target, number: usize) -> String {
        let path = match self.method {
            "LIST" => format!("/bench?list-type=2&prefix={}%2F", self.size),
            _ => format!("/bench/{}/{number}", self.size),
        };
        let request = Request::new(self.verb(), &path);
        request.presign(&target.signer, &target.address, VALID).target().to_owned()
    }

    fn verb(&self) -> &'static str {
        if self.method == "LIST" { "GET" } else { self.method }
    }

    /// Gets go around what fewer puts have written.
    fn keys(&self) -> usize {
        match self.method {
            "PUT" => self.requests,
            "LIST" => 1,
            _ => self.requests / 3,
        }
    }
}

pub(super) async fn run(target: &Target, load: &Load) -> anyhow::Result<Measured> {
    let targets: Arc<[String]> = (0..load.keys()).map(|i| load.target(target, i)).collect();
    let body: Arc<[u8]> = match load.method {
        "PUT" => bytes(load.size).into(),
        _ => Arc::default(),
    };
    let next = Arc::new(AtomicUsize::new(0));
    let before = usage(&target.pids)?;
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..load.clients {
        let client = Client {
            connection: Connection::open(&target.address).await?,
            address: target.address.clone(),
            load: *load,
            targets: Arc::clone(&targets),
            body: Arc::clone(&body),
        };
        clients.spawn(client.run(Arc::clone(&next)));
    }
    let mut times = Vec::with_capacity(load.requests);
    while let Some(done) = clients.join_next().await {
        times.extend(done??);
    }
    let took = started.elapsed();
    let usage = usage(&target.pids)?.since(&before);
    let mut latencies = times.iter().map(|(whole, _)| *whole).collect::<Vec<_>>();
    let mut first_bytes = times.iter().map(|(_, first)| *first).collect::<Vec<_>>();
    latencies.sort_unstable();
    first_bytes.sort_unstable();
    let server = target.name.clone();
    let requests = times.len();
    Ok(Measured { server, load: load.name, requests, took, latencies, first_bytes, usage })
}

/// Bytes without a pattern that anything could compress.
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

/// One connection.
struct Client {
    connection: Connection,
    address: String,
    load: Load,
    targets: Arc<[String]>,
    body: Arc<[u8]>,
}

impl Client {
    /// Asks until all requests are made; answers the times to the last and to the first byte.
    async fn run(mut self, next: Arc<AtomicUsize>) -> anyhow::Result<Vec<(Duration, Duration)>> {
        let mut times = Vec::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.load.requests {
                return Ok(times);
            }
            let target = &self.targets[number % self.targets.len()];
            times.push(self.request(&target.clone(), &mut buffer).await?);
        }
    }

    async fn request(
        &mut self,
        target: &str,
        buffer: &mut [u8],
    ) -> anyhow::Result<(Duration, Duration)> {
        let length = self.body.len();
        let (verb, address) = (self.load.verb(), &self.address);
        let head = format!(
            "{verb} {target} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n"
        );
        let started = Instant::now();
        let connection = &mut self.connection;
        connection.send(head.as_bytes()).await?;
        connection.send(&self.body).await?;
        if self.load.method == "LIST" {
            let answer = connection.answer(false).await?;
            ensure!(answer.status == 200 && answer.text().contains("<Key>"), "a broken list");
            return Ok((started.elapsed(), started.elapsed()));
        }
        let answer = connection.head().await?;
        let first_byte = started.elapsed();
        ensure!(answer.status == 200, "{verb} {target} was answered {}", answer.status);
        let is_get = self.load.method == "GET";
        let announced = answer.header("content-length").unwrap_or("0").parse::<usize>();
        let announced = announced.context("the length of an answer")?;
        ensure!(!is_get || announced == self.load.size, "an object of {announced} bytes");
        let mut left = if self.load.method == "HEAD" { 0 } else { announced };
        while left > 0 {
            let wanted = left.min(buffer.len());
            let count = connection.read(&mut buffer[..wanted]).await?;
            ensure!(count > 0, "an answer was cut");
            left -= count;
        }
        Ok((started.elapsed(), first_byte))
    }
}

#[allow(clippy::cast_precision_loss)] // For people to read.
impl Measured {
    /// CPU microseconds of all processes for one request.
    pub(super) fn cpu_total(&self) -> f64 {
        self.usage.cpu.values().map(|cpu| self.per_request(*cpu)).sum()
    }

    fn per_request(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let ms = |times: &[Duration], part| percentile(times, part).as_secs_f64() * 1e3;
        let by_process = self
            .usage
            .cpu
            .iter()
            .map(|(name, cpu)| format!("{name} {:.0}", self.per_request(*cpu)));
        format!(
            "{:<14} {:>7.0}/s  p50 {:>7.2} ms  p99 {:>7.2} ms  first byte {:>7.2} ms  CPU {:>7.0} µs \
             ({})  peak {} MiB",
            self.load,
            self.rate(),
            ms(&self.latencies, 50),
            ms(&self.latencies, 99),
            ms(&self.first_bytes, 50),
            self.cpu_total(),
            by_process.collect::<Vec<_>>().join(", "),
            self.usage.peak_rss.values().sum::<u64>() >> 20,
        )
    }

    /// For programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let us = |times: &[Duration], part| percentile(times, part).as_micros();
        let cpu = self.usage.cpu.iter().map(|(name, cpu)| (name.clone(), self.per_request(*cpu)));
        json!({
            "server": self.server,
            "load": self.load,
            "requests": self.requests,
            "requests_per_s": self.rate(),
            "p50_us": us(&self.latencies, 50),
            "p99_us": us(&self.latencies, 99),
            "first_byte_p50_us": us(&self.first_bytes, 50),
            "cpu_us_per_request": self.cpu_total(),
            "cpu_us_by_process": cpu.collect::<std::collections::BTreeMap<_, _>>(),
            "peak_rss_bytes": self.usage.peak_rss,
        })
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}
