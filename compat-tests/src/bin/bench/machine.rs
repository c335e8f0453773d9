//! The machine that the numbers belong to.

use std::fs::read_to_string;

use serde_json::{Value, json};

/// Other programs' load from which on a warning is due, in processes that want to run.
const BUSY: f64 = 0.5;

pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
    /// Processes that wanted to run, on average over the minute before the start.
    load: f64,
}

impl Machine {
    pub(super) fn look() -> Self {
        let text = |path| read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| -> String {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let load = text("/proc/loadavg");
        Self {
            cpu: cpu_name(&text("/proc/cpuinfo"), field),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_bytes: kib << 10,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// A warning when other programs keep it busy.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { load, cores, .. } = self;
        (*load > BUSY).then(|| {
            format!("this machine is busy: a load of {load} on {cores} cores; times will be long")
        })
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        format!(
            "{} cores ({}), {} GiB of memory, Linux {}, load {} at the start",
            self.cores,
            self.cpu,
            (self.memory_bytes + (1 << 29)) >> 30,
            self.kernel,
            self.load,
        )
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "kernel": self.kernel,
            "load_at_start": self.load,
        })
    }
}

/// The model's name; where a hypervisor hides it, family and model tell what it is.
fn cpu_name(text: &str, field: impl Fn(&str, &str) -> String) -> String {
    let name = field(text, "model name");
    format!("{name}, family {} model {}", field(text, "cpu family"), field(text, "model\t"))
}
