//! The tables of `performance.md`.

use std::time::Duration;

use super::measured::Measured;
use super::plan::{DEGRADED, DEGRADED_MARKS, MARKS, MIB, Mark};
use super::results::Results;

/// The names of Sixfold's two forms, as servers and as columns.
pub(super) const EMBEDDED: &str = "embedded";
pub(super) const SEPARATE: &str = "six nodes";

/// CPU milliseconds per request beside the marks; a mark that is met is bold.
pub(super) fn marks(all: &[Results]) -> String {
    let find = |server: &str| all.iter().find(|results| results.server == server);
    let (embedded, separate) = (find(EMBEDDED), find(SEPARATE));
    let is_peer = |results: &&Results| ![EMBEDDED, SEPARATE].contains(&results.server.as_str());
    let peers: Vec<&Results> = all.iter().filter(is_peer).collect();
    let heads = ["CPU ms per request", "mark", "beyond", EMBEDDED, "mark", SEPARATE];
    let heads = heads.into_iter().chain(peers.iter().map(|peer| peer.server.as_str()));
    let mut rows =
        vec![row(heads.map(str::to_owned)), row(vec!["---".to_owned(); 6 + peers.len()])];
    for mark in &MARKS {
        let cells = [
            mark.load.to_string(),
            mark.embedded_ms.to_string(),
            mark.beyond_ms.to_string(),
            cpu_cell(embedded, mark, mark.embedded_ms),
            mark.separate_ms.to_string(),
            cpu_cell(separate, mark, mark.separate_ms),
        ];
        let peers = peers.iter().map(|peer| cpu_cell(Some(peer), mark, 0.0));
        rows.push(row(cells.into_iter().chain(peers)));
    }
    let (mark, beyond) = DEGRADED_MARKS;
    let cells = [
        format!("{DEGRADED}, two nodes down"),
        format!("{mark} × healthy"),
        format!("{beyond} ×"),
        degraded_cell(embedded),
        format!("{mark} ×"),
        degraded_cell(separate),
    ];
    rows.push(row(cells.into_iter().chain(peers.iter().map(|_| String::new()))));
    rows.concat()
}

pub(super) fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

/// `total (process part + process part)`
fn cpu_cell(results: Option<&Results>, mark: &Mark, mark_ms: f64) -> String {
    let Some(measured) = results.and_then(|results| results.best_of(mark.load)) else {
        return String::new();
    };
    let ms = measured.cpu_us() / 1e3;
    let parts = measured.cpu_us_by_process();
    let parts = parts.iter().map(|(name, us)| format!("{name} {}", short(us / 1e3)));
    let total = bold(&short(ms), ms <= mark_ms);
    format!("{total} ({})", parts.collect::<Vec<_>>().join(" + "))
}

/// The read with two nodes gone, as a multiple of the healthy one.
fn degraded_cell(results: Option<&Results>) -> String {
    let both = results.and_then(|all| Some((all.best_of(DEGRADED)?, all.best_degraded()?)));
    let Some((healthy, degraded)) = both else { return String::new() };
    let ratio = degraded.cpu_us() / healthy.cpu_us();
    let times = degraded.p50().as_secs_f64() / healthy.p50().as_secs_f64();
    let cpu = bold(&format!("{ratio:.2} ×"), ratio <= DEGRADED_MARKS.0);
    format!("{cpu} ({} ms; p50 {times:.2} ×)", short(degraded.cpu_us() / 1e3))
}

/// Times, throughput and memory, a line for each load and server.
pub(super) fn details<'a>(all: impl Iterator<Item = &'a Measured>) -> String {
    const HEADS: [&str; 11] = [
        "load",
        "clients",
        "server",
        "requests/s",
        "MiB/s",
        "p50 ms",
        "p99 ms",
        "first byte ms",
        "CPU µs",
        "file bytes read, written, to drives",
        "peak MiB",
    ];
    let ms = |time: Duration| short(time.as_secs_f64() * 1e3);
    let mut rows = vec![row(HEADS.map(str::to_owned)), row(vec!["---".to_owned(); HEADS.len()])];
    rows.extend(all.map(|measured| {
        let throughput = measured.mib_per_s();
        row([
            measured.load.to_string(),
            measured.load.clients.to_string(),
            measured.server.clone(),
            short(measured.per_s()),
            if throughput > 0.0 { format!("{throughput:.0}") } else { String::new() },
            ms(measured.p50()),
            ms(measured.p99()),
            ms(measured.first_byte()),
            format!("{:.0}", measured.cpu_us()),
            file_bytes(measured),
            (measured.memory.values().sum::<u64>() / MIB as u64).to_string(),
        ])
    }));
    rows.concat()
}

/// Bytes that went through files, per request.
fn file_bytes(measured: &Measured) -> String {
    let requests = measured.requests() as u64;
    let sum = |part: fn(&super::usage::Io) -> u64| {
        let bytes = measured.usage.io.values().map(part).sum::<u64>() / requests;
        match bytes {
            0..10_240 => format!("{bytes}"),
            10_240..1_048_576 => format!("{}K", bytes >> 10),
            _ => format!("{:.1}M", bytes as f64 / MIB as f64),
        }
    };
    format!("{}, {}, {}", sum(|io| io.read), sum(|io| io.written), sum(|io| io.stored))
}

/// Three significant digits.
pub(super) fn short(number: f64) -> String {
    let digits = match number {
        0.0..1.0 => 3,
        1.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{number:.digits$}")
}

fn bold(text: &str, is_bold: bool) -> String {
    if is_bold { format!("**{text}**") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_are_meaningful() {
        let numbers = [0.1234, 1.234, 12.34, 123.4].map(short);
        assert_eq!(numbers, ["0.123", "1.23", "12.3", "123"]);
    }

    #[test]
    fn the_marks_stand_there_without_any_result() {
        let table = marks(&[]);
        assert_eq!(table.lines().count(), 2 + MARKS.len() + 1);
        assert!(table.contains("| PUT 16 MiB | 45 | 30 |  | 70 |  |"), "{table}");
    }
}
