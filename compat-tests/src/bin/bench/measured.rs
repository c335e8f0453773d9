//! What came of a load, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::client::Times;
use super::plan::{Kind, Load, MIB};
use super::usage::Usage;

/// A load on a server, measured.
#[derive(Clone)]
pub(super) struct Measured {
    pub(super) server: String,
    pub(super) load: Load,
    pub(super) took: Duration,
    pub(super) latencies: Latencies,
    /// Requests that were refused with 503 and made again.
    pub(super) refused: usize,
    pub(super) usage: Usage,
    /// Bytes resident at the most, by process.
    pub(super) memory: BTreeMap<String, u64>,
    /// CPU time of the load's generator.
    pub(super) generator: Duration,
}

/// Times of all requests, each list sorted.
#[derive(Clone)]
pub(super) struct Latencies {
    whole: Vec<Duration>,
    first_byte: Vec<Duration>,
}

impl Latencies {
    pub(super) fn of(times: &[Times]) -> Self {
        let sorted = |time: fn(&Times) -> Duration| {
            let mut sorted: Vec<Duration> = times.iter().map(time).collect();
            sorted.sort_unstable();
            sorted
        };
        Self { whole: sorted(|times| times.whole), first_byte: sorted(|times| times.first_byte) }
    }
}

impl Measured {
    pub(super) fn requests(&self) -> usize {
        self.latencies.whole.len()
    }

    pub(super) fn per_s(&self) -> f64 {
        self.requests() as f64 / self.took.as_secs_f64()
    }

    /// Bytes of objects that went over the wire in a second; 0 for loads without any.
    pub(super) fn mib_per_s(&self) -> f64 {
        self.payload_bytes() / MIB as f64 / self.took.as_secs_f64()
    }

    pub(super) fn p50(&self) -> Duration {
        percentile(&self.latencies.whole, 50)
    }

    pub(super) fn p99(&self) -> Duration {
        percentile(&self.latencies.whole, 99)
    }

    pub(super) fn first_byte(&self) -> Duration {
        percentile(&self.latencies.first_byte, 50)
    }

    /// CPU microseconds of all processes for one request.
    pub(super) fn cpu_us(&self) -> f64 {
        self.usage.cpu.values().map(|cpu| self.us_per_request(*cpu)).sum()
    }

    /// The same, by process, the dearest first.
    pub(super) fn cpu_us_by_process(&self) -> Vec<(&str, f64)> {
        let all = self.usage.cpu.iter();
        let mut all: Vec<_> =
            all.map(|(name, cpu)| (name.as_str(), self.us_per_request(*cpu))).collect();
        all.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        all
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let by_process = self.cpu_us_by_process();
        let by_process = by_process.iter().map(|(name, us)| format!("{name} {us:.0}"));
        let refused = match self.refused {
            0 => String::new(),
            refused => format!("  {refused} refused"),
        };
        format!(
            "{:<16} × {:<2} {:>7.0}/s {:>5.0} MiB/s  p50 {:>7.2}  p99 {:>7.2}  first byte {:>7.2} ms  \
             CPU {:>6.0} µs ({})  {} MiB{refused}",
            self.load,
            self.load.clients,
            self.per_s(),
            self.mib_per_s(),
            ms(self.p50()),
            ms(self.p99()),
            ms(self.first_byte()),
            self.cpu_us(),
            by_process.collect::<Vec<_>>().join(", "),
            self.memory.values().sum::<u64>() >> 20,
        )
    }

    /// For programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let io = self.usage.io.iter().map(|(name, io)| {
            let requests = self.requests() as u64;
            let io = json!({
                "read": io.read / requests,
                "written": io.written / requests,
                "stored": io.stored / requests,
            });
            (name.clone(), io)
        });
        json!({
            "server": self.server,
            "load": self.load.to_string(),
            "size_bytes": self.load.size,
            "clients": self.load.clients,
            "requests": self.requests(),
            "refused": self.refused,
            "requests_per_s": rounded(self.per_s()),
            "mib_per_s": rounded(self.mib_per_s()),
            "p50_us": self.p50().as_micros(),
            "p99_us": self.p99().as_micros(),
            "first_byte_p50_us": self.first_byte().as_micros(),
            "cpu_us_per_request": rounded(self.cpu_us()),
            "cpu_us_by_process": self.cpu_us_by_process().into_iter()
                .map(|(name, us)| (name.to_owned(), rounded(us)))
                .collect::<BTreeMap<_, _>>(),
            "generator_cpu_us_per_request": rounded(self.us_per_request(self.generator)),
            "file_bytes_per_request": io.collect::<serde_json::Map<_, _>>(),
            "peak_resident_bytes": self.memory,
        })
    }

    fn us_per_request(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.requests() as f64
    }

    fn payload_bytes(&self) -> f64 {
        let share = match self.load.kind {
            Kind::Put | Kind::Get | Kind::Multipart => 1.0,
            // Twelve of twenty requests carry an object.
            Kind::Mixed => 0.6,
            Kind::Stat | Kind::List | Kind::Delete => 0.0,
        };
        share * self.requests() as f64 * self.load.size as f64
    }
}

/// To a tenth: what follows is noise.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(101));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(199));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
    }
}
