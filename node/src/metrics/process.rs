//! What the system says of this process.

use super::{counter, gauge, now_seconds};
use sixfold_proto::metrics as names;

/// Ticks per second of the CPU times in `/proc`: fixed by Linux for programs, whatever its clock.
const TICKS_PER_SECOND: u64 = 100;

/// Shown once.
pub(super) fn show_build() {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    gauge(&names::BUILD, &[("version", version)]).set(1.0);
    gauge(&names::STARTED, &[]).set(now_seconds());
}

/// When a certificate ends that is shown for `what`, in seconds since 1970.
pub fn show_certificate(what: &str, ends: u64) {
    gauge(&names::CERTIFICATE, &[("certificate", what.to_owned())]).set(ends as f64);
}

/// Reads what changes. What the system does not tell stays as it was.
pub fn show_process() {
    if let Some(ticks) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|s| cpu(&s)) {
        counter(&names::CPU, &[]).absolute(ticks / TICKS_PER_SECOND);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        if let Some(kib) = number(&status, "VmRSS:") {
            gauge(&names::MEMORY, &[]).set((kib * 1024) as f64);
        }
        if let Some(count) = number(&status, "Threads:") {
            gauge(&names::THREADS, &[]).set(count as f64);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge(&names::DESCRIPTORS, &[]).set(open.count() as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    gauge(&names::DESCRIPTORS_LIMIT, &[]).set(limit.map_or(f64::INFINITY, |limit| limit as f64));
}

/// User's and system's time in `/proc/self/stat`: fields by spaces, behind a name in brackets that
/// may hold any sign.
fn cpu(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    // By proc(5) they are numbers 14 and 15, and the first one here is number 3.
    let times = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    times.sum::<Result<u64, _>>().ok()
}

/// The number behind `name` in `/proc/self/status`.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{cpu, number};

    #[test]
    fn what_the_system_tells_is_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 500 60 0 0 20 0 9 0 77 1000 321 18446";
        assert_eq!(cpu(stat), Some(560));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(number(&status, "VmRSS:").unwrap() > 0);
        assert!(number(&status, "Threads:").unwrap() > 0);
        assert_eq!(number("VmRSS:\tnone", "VmRSS:"), None);
    }
}
