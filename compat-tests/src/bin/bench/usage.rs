//! What processes have used, from `/proc`.

use std::collections::BTreeMap;
use std::time::Duration;

/// The unit of times in `/proc/<pid>/stat`, the same on every Linux that Rust supports.
const TICK: Duration = Duration::from_millis(10);

/// Used so far, by the name of the program.
#[derive(Clone, Default)]
pub(super) struct Usage {
    pub(super) cpu: BTreeMap<String, Duration>,
    /// The most memory ever resident. PostgreSQL is left out: its processes share theirs.
    pub(super) peak_rss: BTreeMap<String, u64>,
}

impl Usage {
    /// What was used after `before`.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (name, cpu) in &mut self.cpu {
            *cpu = cpu.saturating_sub(before.cpu.get(name).copied().unwrap_or_default());
        }
        self
    }
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    cpu: Duration,
}

/// What `roots` and all processes below them have used; without roots, what is below this one.
pub(super) fn usage(roots: &[u32]) -> anyhow::Result<Usage> {
    let own = std::process::id();
    let processes = processes()?;
    let mut wanted = if roots.is_empty() { vec![own] } else { roots.to_vec() };
    let mut known = 0;
    while known < wanted.len() {
        let parent = wanted[known];
        wanted.extend(processes.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        known += 1;
    }
    let mut usage = Usage::default();
    for process in processes {
        if process.pid == own || !wanted.contains(&process.pid) {
            continue;
        }
        *usage.cpu.entry(process.name.clone()).or_default() += process.cpu;
        if process.name != "postgres" {
            *usage.peak_rss.entry(process.name).or_default() += peak_rss(process.pid);
        }
    }
    Ok(usage)
}

fn processes() -> anyhow::Result<Vec<Process>> {
    let pids = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(process).collect())
}

/// `None` for one that has just ended.
fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, fields) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let fields = fields.split(' ').collect::<Vec<_>>();
    // utime, stime, and the same of children that have ended.
    let ticks =
        fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u32>().unwrap_or(0)).sum::<u32>();
    let name = name.to_owned();
    Some(Process { pid, parent: fields.get(1)?.parse().ok()?, name, cpu: TICK * ticks })
}

fn peak_rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
