//! From text to values. An error completes the sentence "`text` (from source) …" and names the
//! mend.

use crate::telemetry::LogFormat;
use sixfold_proto::scrape::AdminToken;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

type Parsed<T> = Result<T, String>;

/// The value, or the mend of one that is not valid.
fn when<T>(is_valid: bool, value: impl FnOnce() -> T, mend: &str) -> Parsed<T> {
    if is_valid { Ok(value()) } else { Err(mend.to_owned()) }
}

pub(super) fn text(text: &str) -> Parsed<String> {
    when(!text.trim().is_empty(), || text.to_owned(), "is empty: give a text, or leave it out")
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    when(!text.is_empty(), || PathBuf::from(text), "is empty: name a file or directory")
}

/// Paths separated by `:`, as in `PATH`.
pub(super) fn paths(text: &str) -> Parsed<Vec<PathBuf>> {
    let paths: Vec<_> =
        std::env::split_paths(text).filter(|path| !path.as_os_str().is_empty()).collect();
    let mut seen = HashSet::new();
    if let Some(twice) = paths.iter().find(|path| !seen.insert(*path)) {
        return Err(format!("names {} twice: give each drive once", twice.display()));
    }
    match paths.len() {
        1 => Ok(paths),
        count if count >= 6 => Ok(paths),
        count => Err(format!(
            "names {count} directories: give one (six nodes in folders below it) or at least six \
             (one node each)"
        )),
    }
}

/// `host:port`, or `:port` for all addresses.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    full.parse().map_err(|_| {
        "is no address: give an IP address and a port, like 127.0.0.1:9000 or [::1]:9000".to_owned()
    })
}

pub(super) fn count(text: &str) -> Parsed<usize> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("is no count: give a whole number above 0".to_owned()),
    }
}

/// MiB of memory that a program takes for itself: more than nothing, at most a TiB.
pub(super) fn memory_mib(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(mib) if (16..=1 << 20).contains(&mib) => Ok(mib),
        _ => Err("is not between 16 and 1048576".to_owned()),
    }
}

/// A small number of things.
pub(super) fn few(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(count) if (1..=1000).contains(&count) => Ok(count),
        _ => Err("is not between 1 and 1000".to_owned()),
    }
}

pub(super) fn percent(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(percent) if percent <= 100 => Ok(percent),
        _ => Err("is not between 0 and 100".to_owned()),
    }
}

/// Connections to PostgreSQL: under load four are kept by the commits and look-ups that share calls,
/// and jobs and other requests share the rest.
pub(super) fn connections(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(count) if (6..=1000).contains(&count) => Ok(count),
        _ => Err("is not between 6 and 1000".to_owned()),
    }
}

/// A whole number with a unit: `ms`, `s`, `m`, `h` or `d`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let mend = || "is no duration: give a number with a unit, like 500ms, 30s, 10m, 6h or 7d";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| mend().to_owned())?;
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(mend().to_owned()),
    };
    match number.checked_mul(milliseconds) {
        Some(total) if total > 0 => Ok(Duration::from_millis(total)),
        _ => Err(mend().to_owned()),
    }
}

/// A region as it may stand in a signature's scope.
pub(super) fn region(text: &str) -> Parsed<String> {
    let is_valid = !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    when(is_valid, || text.to_owned(), "is no region: use lower-case letters, digits and hyphens")
}

/// Domain names separated by commas; ports are allowed and ignored.
pub(super) fn domains(text: &str) -> Parsed<Vec<String>> {
    let domains: Vec<_> = text.split([',', ' ']).map(str::trim).filter(|d| !d.is_empty()).collect();
    let is_valid = |domain: &&str| {
        domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
            && !domain.starts_with('.')
    };
    when(
        domains.iter().all(is_valid),
        || domains.into_iter().map(str::to_owned).collect(),
        "is no domain: give names like s3.example.com, with commas",
    )
}

pub(super) fn bucket(text: &str) -> Parsed<String> {
    when(
        s3s::path::check_bucket_name(text) && text != "minio",
        || text.to_owned(),
        "is no bucket name: 3 to 63 lower-case letters, digits, - and .",
    )
}

/// Amazon's keys have 16 to 128 characters, MinIO's at least 3.
pub(super) fn access_key(text: &str) -> Parsed<String> {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b));
    when(
        is_plain && (3..=128).contains(&text.len()),
        || text.to_owned(),
        "is no access key: 3 to 128 letters, digits, -, _, . or @",
    )
}

pub(super) fn secret_key(text: &str) -> Parsed<String> {
    when(
        (8..=256).contains(&text.chars().count()),
        || text.to_owned(),
        "is no secret: give 8 to 256 characters",
    )
}

pub(super) fn admin_token(text: &str) -> Parsed<AdminToken> {
    AdminToken::parse(text).map_err(|error| format!("is no token: {error}"))
}

pub(super) fn database_url(text: &str) -> Parsed<String> {
    when(
        text.starts_with("postgres://") || text.starts_with("postgresql://"),
        || text.to_owned(),
        "is no PostgreSQL URL: it begins with postgres://",
    )
}

pub(super) fn log_filter(text: &str) -> Parsed<String> {
    let is_valid = EnvFilter::try_new(text).is_ok();
    when(is_valid, || text.to_owned(), "is no log filter: give one like info or sixfold=debug")
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "auto" => Ok(LogFormat::Auto),
        _ => Err("is no log format: give text, json or auto".to_owned()),
    }
}

/// A duration as [`duration`] reads it, in the largest unit that fits.
pub(super) fn readable(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let fits = |(_, size): &&(&str, u128)| milliseconds.is_multiple_of(*size);
    match units.iter().find(fits) {
        Some((unit, size)) => format!("{}{unit}", milliseconds / size),
        None => format!("{milliseconds}ms"),
    }
}
