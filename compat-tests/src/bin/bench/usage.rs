//! What processes have used, from `/proc`: CPU time, memory, bytes read and written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{read_dir, read_to_string};
use std::time::Duration;

/// The unit of times in `/proc/<pid>/stat`, the same on every Linux that Rust supports.
const TICK: Duration = Duration::from_millis(10);

/// The processes of one server, by their roots and with all that is below these.
#[derive(Clone, Default)]
pub(super) struct Watched {
    /// None: the children of this process.
    pub(super) roots: Vec<u32>,
}

/// What a server's processes had used at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    /// CPU time of each thread, by process and thread, with the name of the program.
    threads: HashMap<(u32, u32), (String, Duration)>,
    /// CPU time of processes that have ended, by the name of the program that had started them.
    reaped: BTreeMap<String, Duration>,
    /// Bytes that went through system calls on files, by the name of the program.
    io: BTreeMap<String, Io>,
}

/// What was used between two moments, by the name of the program.
#[derive(Clone, Default)]
pub(super) struct Usage {
    pub(super) cpu: BTreeMap<String, Duration>,
    pub(super) io: BTreeMap<String, Io>,
}

/// Bytes that the kernel copied for a process from and to files and pipes; sockets are left out
/// where the process uses calls for sockets.
#[derive(Clone, Copy, Default)]
pub(super) struct Io {
    /// By reading calls, whether from a drive or from the page cache.
    pub(super) read: u64,
    /// By writing calls.
    pub(super) written: u64,
    /// Caused to be written to a drive.
    pub(super) stored: u64,
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    /// CPU time of its children that have ended.
    reaped: Duration,
}

impl Watched {
    pub(super) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        for process in self.processes()? {
            for (thread, cpu) in threads(process.pid) {
                snapshot.threads.insert((process.pid, thread), (process.name.clone(), cpu));
            }
            let io = snapshot.io.entry(process.name.clone()).or_default();
            *io = io.plus(io_of(process.pid));
            *snapshot.reaped.entry(process.name).or_default() += process.reaped;
        }
        Ok(snapshot)
    }

    /// Lets [`Watched::memory`] answer what is resident at the most from now on.
    pub(super) fn forget_peaks(&self) -> anyhow::Result<()> {
        for process in self.processes()? {
            // Only its own account may; the peak of the whole life is left then.
            drop(std::fs::write(format!("/proc/{}/clear_refs", process.pid), "5"));
        }
        Ok(())
    }

    /// Bytes resident at the most, by the name of the program. PostgreSQL's processes share most
    /// of theirs: for them it is each one's part of what is resident now.
    pub(super) fn memory(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut memory = BTreeMap::new();
        for process in self.processes()? {
            let is_shared = process.name == "postgres";
            let (file, field) =
                if is_shared { ("smaps_rollup", "Pss:") } else { ("status", "VmHWM:") };
            *memory.entry(process.name).or_default() += kib_field(process.pid, file, field);
        }
        Ok(memory)
    }

    /// Bytes resident now of all processes whose program has that name.
    pub(super) fn resident(&self, program: &str) -> anyhow::Result<u64> {
        let processes = self.processes()?;
        let named = processes.iter().filter(|process| process.name == program);
        Ok(named.map(|process| kib_field(process.pid, "status", "VmRSS:")).sum())
    }

    /// The ids of all processes.
    pub(super) fn pids(&self) -> anyhow::Result<Vec<u32>> {
        Ok(self.processes()?.iter().map(|process| process.pid).collect())
    }

    fn processes(&self) -> anyhow::Result<Vec<Process>> {
        let own = std::process::id();
        let mut all = processes()?;
        let mut wanted = if self.roots.is_empty() { vec![own] } else { self.roots.clone() };
        let mut known = 0;
        while known < wanted.len() {
            let parent = wanted[known];
            wanted.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
            known += 1;
        }
        all.retain(|process| process.pid != own && wanted.contains(&process.pid));
        Ok(all)
    }
}

impl Snapshot {
    /// What was used since `before`. What ended in between is counted by its parent, less what it
    /// had used before.
    pub(super) fn since(&self, before: &Self) -> Usage {
        let mut usage = Usage::default();
        for (thread, (name, cpu)) in &self.threads {
            let earlier = before.threads.get(thread).map(|(_, cpu)| *cpu).unwrap_or_default();
            *usage.cpu.entry(name.clone()).or_default() += cpu.saturating_sub(earlier);
        }
        for (name, reaped) in &self.reaped {
            let earlier = before.reaped.get(name).copied().unwrap_or_default();
            let ended = before.threads.iter().filter(|((pid, thread), (other, _))| {
                pid == thread && other == name && !self.threads.contains_key(&(*pid, *thread))
            });
            let known = ended.map(|(_, (_, cpu))| *cpu).sum();
            let reaped = reaped.saturating_sub(earlier).saturating_sub(known);
            *usage.cpu.entry(name.clone()).or_default() += reaped;
        }
        for (name, io) in &self.io {
            let earlier = before.io.get(name).copied().unwrap_or_default();
            usage.io.insert(name.clone(), io.minus(earlier));
        }
        usage
    }
}

impl Io {
    fn plus(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            stored: self.stored + other.stored,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            read: self.read.saturating_sub(other.read),
            written: self.written.saturating_sub(other.written),
            stored: self.stored.saturating_sub(other.stored),
        }
    }
}

/// CPU time of this process's own threads.
pub(super) fn own_cpu() -> Duration {
    threads(std::process::id()).map(|(_, cpu)| cpu).sum()
}

fn processes() -> anyhow::Result<Vec<Process>> {
    let pids =
        read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(process).collect())
}

/// `None` for one that has just ended.
fn process(pid: u32) -> Option<Process> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, fields) = stat_fields(&stat)?;
    let parent = fields.get(1)?.parse().ok()?;
    Some(Process { pid, parent, name: name.to_owned(), reaped: ticks(fields.get(13..15)?) })
}

/// The name of the program, and what follows it: the state, the parent, …
fn stat_fields(stat: &str) -> Option<(&str, Vec<&str>)> {
    let (head, fields) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    Some((name, fields.split(' ').collect()))
}

fn ticks(fields: &[&str]) -> Duration {
    TICK * fields.iter().map(|ticks| ticks.parse::<u32>().unwrap_or(0)).sum::<u32>()
}

/// The threads of a process and what each has used.
fn threads(pid: u32) -> impl Iterator<Item = (u32, Duration)> {
    let entries = read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let thread = entry.file_name().to_str()?.parse().ok()?;
        let file = |name| read_to_string(entry.path().join(name)).ok();
        // The scheduler counts nanoseconds; kernels built without that count ticks.
        let nanoseconds = file("schedstat").and_then(|text| text.split(' ').next()?.parse().ok());
        let cpu = nanoseconds.map(Duration::from_nanos).or_else(|| {
            let stat = file("stat")?;
            Some(ticks(stat_fields(&stat)?.1.get(11..13)?))
        });
        Some((thread, cpu?))
    })
}

/// Zeros where another account's processes can't be looked into.
fn io_of(pid: u32) -> Io {
    let text = read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Io { read: field("rchar:"), written: field("wchar:"), stored: field("write_bytes:") }
}

fn kib_field(pid: u32, file: &str, name: &str) -> u64 {
    let text = read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
