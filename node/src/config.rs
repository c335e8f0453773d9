//! The node's settings: flags and environment, read once, checked before anything starts.

use crate::certificate::ends_in_pem;
use crate::log::{FileLimits, LogFormat, LogOutput, LogSettings};
use crate::rpc::{Admission, Certificates};
use crate::scrub::ScrubSettings;
use crate::trace::{TraceArguments, TraceSettings};
use anyhow::{Context, bail, ensure};
use sixfold_proto::scrape::AdminToken;
use sixfold_proto::secret::ClusterSecret;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The flags of `sixfold-node`.
#[derive(clap::Parser, Debug)]
#[command(name = "sixfold-node", version, about = "Keeps chunks on one drive for Sixfold.")]
pub struct Arguments {
    /// The drive: a directory that belongs to this process alone.
    #[arg(required_unless_present = "health")]
    dir: Option<PathBuf>,
    /// Ask the node that runs on --listen how it is, and end: exit code 0, or 1 when it does not
    /// answer or its drive is fenced.
    #[arg(long)]
    health: bool,
    /// Where gateways are served.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// How gateways reach this node; by default the listening address.
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// The failure domain: at most a third of an object's chunks go to one of three zones.
    #[arg(long, default_value = "default")]
    zone: String,
    /// The drive's share of new chunks, relative to the other nodes.
    #[arg(long, default_value_t = 1.0)]
    weight: f64,
    /// How often the node says that it lives: `5s`, `500ms`; at most half of the gateways'
    /// `times.dead_after`.
    #[arg(long, env = "SIXFOLD_HEARTBEAT", default_value = "5s", value_name = "TIME")]
    heartbeat: String,
    /// Within this time every chunk is read and verified: `14d`, `36h`.
    #[arg(long, env = "SIXFOLD_SCRUB_CYCLE", default_value = "14d", value_name = "TIME")]
    scrub_cycle: String,
    /// The most that the scrub reads; as a rule it needs less.
    #[arg(long, env = "SIXFOLD_SCRUB_MIB_PER_SECOND", default_value_t = 32, value_name = "MIB")]
    scrub_mib_per_second: u32,
    /// The cluster's PostgreSQL, with the node's limited role.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// A file with that URL, so that its password is in no process's environment.
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// A file with the cluster secret. Needed unless mutual TLS is set up.
    #[arg(long, env = "SIXFOLD_CLUSTER_SECRET_FILE", value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,
    // No flag: other users of the machine see a process's flags.
    #[arg(long, env = "SIXFOLD_CLUSTER_SECRET", hide = true, hide_env_values = true)]
    cluster_secret_from_environment: Option<String>,
    /// The node's certificate (PEM); with --tls-key and --tls-ca every gateway must show one too.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Whose certificates gateways must have (PEM).
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Where metrics and liveness are shown; by default nowhere.
    #[arg(long, env = "SIXFOLD_NODE_ADMIN_ADDRESS", value_name = "HOST:PORT")]
    admin_address: Option<SocketAddr>,
    /// A file with the token that scrapers show. Needed unless the admin address is loopback.
    #[arg(long, env = "SIXFOLD_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    // No flag, as for the secret.
    #[arg(long, env = "SIXFOLD_ADMIN_TOKEN", hide = true, hide_env_values = true)]
    admin_token_from_environment: Option<String>,
    /// Threads that serve calls; by default one for every four cores. Reading, writing and syncing
    /// the drive has threads of its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    threads: Option<u8>,
    /// How a log line looks; `auto` is text on a terminal and JSON elsewhere.
    #[arg(long, env = "SIXFOLD_LOG_FORMAT", value_enum, default_value = "auto")]
    log_format: LogFormat,
    /// Where log lines go: `stderr`, `stdout`, or a file, whose ended ones get `.1`, `.2` and so on.
    #[arg(long, env = "SIXFOLD_NODE_LOG_FILE", default_value = "stderr", value_name = "FILE")]
    log_file: String,
    /// MiB after which a log file ends.
    #[arg(long, env = "SIXFOLD_LOG_FILE_MIB", default_value_t = 100, value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    log_file_mib: u32,
    /// Ended log files that are kept.
    #[arg(long, env = "SIXFOLD_LOG_FILES", default_value_t = 10, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    log_files: u32,
    /// For how long ended log files are kept at most.
    #[arg(long, env = "SIXFOLD_LOG_KEEP", default_value = "7d", value_name = "TIME")]
    log_keep: String,
    /// What is logged, as in `info` or `sixfold_node=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    #[command(flatten)]
    trace: TraceArguments,
}

/// The settings, checked.
#[derive(Debug)]
pub struct Config {
    /// The drive's directory.
    pub dir: PathBuf,
    /// The address that is listened on.
    pub listen: SocketAddr,
    /// The URL that is registered.
    pub advertise: String,
    /// The failure domain.
    pub zone: String,
    /// The share of new chunks.
    pub weight: f64,
    /// How often it says that it lives.
    pub heartbeat: Duration,
    /// How often and how fast the drive is verified.
    pub scrub: ScrubSettings,
    /// The URL of PostgreSQL.
    pub database_url: String,
    /// What every call must show.
    pub admission: Admission,
    /// Where metrics are shown.
    pub admin_address: Option<SocketAddr>,
    /// What scrapers show.
    pub admin_token: Option<AdminToken>,
    /// When the node's certificate ends, in seconds since 1970.
    pub certificate_ends: Option<u64>,
    /// How many threads serve calls.
    pub threads: usize,
    /// The filter of the log.
    pub log: String,
    /// How and where it is written.
    pub log_settings: LogSettings,
    /// Where traces go.
    pub trace: Option<TraceSettings>,
}

impl Arguments {
    /// Whether a node that runs is asked, rather than one started.
    pub fn asks_health(&self) -> bool {
        self.health
    }
}

/// How a node that runs is asked how it is.
pub struct Probed {
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The host that its certificate names.
    pub host: String,
    /// What it wants to be shown.
    pub secret: Option<ClusterSecret>,
    /// Likewise; its own certificate is one of the cluster's.
    pub tls: Option<Certificates>,
}

impl Probed {
    /// From the same arguments and environment that the node was started with.
    pub fn from_arguments(arguments: &Arguments) -> anyhow::Result<Self> {
        let tls = tls(arguments)?;
        let url = advertise(arguments.advertise.clone(), arguments.listen, tls.is_some());
        let url = url.ok().and_then(|url| url.parse::<http::Uri>().ok());
        let host = url.and_then(|url| url.host().map(str::to_owned)).unwrap_or_default();
        Ok(Self { listen: arguments.listen, host, secret: secret(arguments)?, tls })
    }
}

impl Config {
    /// Checks the arguments and reads the files that they name. Every error is one line that
    /// says what to do.
    pub fn from_arguments(arguments: Arguments) -> anyhow::Result<Self> {
        let tls = tls(&arguments)?;
        let has_tls = tls.is_some();
        let certificate_ends = tls.as_ref().and_then(|tls| ends_in_pem(&tls.certificate));
        let admin_token = admin_token(&arguments)?;
        let is_open = arguments.admin_address.is_some_and(|address| !address.ip().is_loopback());
        ensure!(
            !is_open || admin_token.is_some(),
            "others reach --admin-address: give the token that scrapers show by \
             --admin-token-file, SIXFOLD_ADMIN_TOKEN_FILE or SIXFOLD_ADMIN_TOKEN"
        );
        let admission = admission(secret(&arguments)?, tls)?;
        let database_url = database_url(&arguments)?;
        let log_settings = LogSettings {
            format: arguments.log_format,
            output: LogOutput::parse(&arguments.log_file),
            limits: log_limits(&arguments)?,
        };
        ensure!(
            arguments.weight.is_finite() && (0.01..=100.0).contains(&arguments.weight),
            "--weight {} is not between 0.01 and 100",
            arguments.weight
        );
        let zone_is_plain = arguments.zone.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            zone_is_plain && (1..=64).contains(&arguments.zone.len()),
            "--zone takes 1 to 64 letters, digits and signs without spaces"
        );
        let advertise = advertise(arguments.advertise, arguments.listen, has_tls)?;
        Ok(Self {
            trace: arguments.trace.settings()?,
            dir: arguments.dir.context("no drive: name its directory")?,
            listen: arguments.listen,
            advertise,
            zone: arguments.zone,
            weight: arguments.weight,
            heartbeat: heartbeat(&arguments.heartbeat)?,
            scrub: scrub(&arguments.scrub_cycle, arguments.scrub_mib_per_second)?,
            database_url,
            admission,
            admin_address: arguments.admin_address,
            admin_token,
            certificate_ends,
            threads: arguments.threads.map_or_else(usual_threads, usize::from),
            log_settings,
            log: arguments.log,
        })
    }
}

/// A machine has a node for each of its drives, and gateways beside them. One thread of a node serves
/// what one drive gives; more would mostly wake each other.
fn usual_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(4))
}

/// A time of 100 ms to a minute, as the gateway's settings write it.
fn heartbeat(text: &str) -> anyhow::Result<Duration> {
    let limits = Duration::from_millis(100)..=Duration::from_secs(60);
    time(text)
        .filter(|time| limits.contains(time))
        .with_context(|| format!("--heartbeat {text} is no time between 100ms and 60s"))
}

fn scrub(cycle: &str, mib_per_second: u32) -> anyhow::Result<ScrubSettings> {
    let limits = Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 3600);
    let cycle = time(cycle)
        .filter(|time| limits.contains(time))
        .with_context(|| format!("--scrub-cycle {cycle} is no time between 1s and 365d"))?;
    ensure!(
        (1..=1000).contains(&mib_per_second),
        "--scrub-mib-per-second {mib_per_second} is not between 1 and 1000"
    );
    Ok(ScrubSettings { cycle, bytes_per_second: u64::from(mib_per_second) * 1024 * 1024 })
}

fn log_limits(arguments: &Arguments) -> anyhow::Result<FileLimits> {
    let text = &arguments.log_keep;
    let keep = time(text).filter(|keep| !keep.is_zero());
    Ok(FileLimits {
        file_bytes: u64::from(arguments.log_file_mib) * 1024 * 1024,
        files: arguments.log_files,
        keep: keep.with_context(|| format!("--log-keep {text} is no time like 36h or 7d"))?,
    })
}

/// A whole number with a unit, as the gateway's settings write it.
fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(milliseconds).map(Duration::from_millis)
}

fn database_url(arguments: &Arguments) -> anyhow::Result<String> {
    match (&arguments.database_url, &arguments.database_url_file) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(file)) => Ok(read(file)?.trim().to_owned()),
        (None, None) => bail!(
            "no database: give --database-url, DATABASE_URL or DATABASE_URL_FILE, as in \
             postgres://sixfold_node@host/sixfold"
        ),
    }
}

/// One of the two at least: a node that everybody may call does not start.
fn admission(
    secret: Option<ClusterSecret>,
    tls: Option<Certificates>,
) -> anyhow::Result<Admission> {
    match (secret, tls) {
        (Some(secret), tls) => Ok(Admission::by_secret(secret, tls)),
        (None, Some(tls)) => Ok(Admission::by_certificate(tls)),
        (None, None) => bail!(
            "no cluster secret: give --cluster-secret-file FILE, SIXFOLD_CLUSTER_SECRET_FILE or \
             SIXFOLD_CLUSTER_SECRET (`openssl rand -hex 32` makes one for the whole cluster), or \
             mutual TLS by --tls-cert, --tls-key and --tls-ca"
        ),
    }
}

fn secret(arguments: &Arguments) -> anyhow::Result<Option<ClusterSecret>> {
    let (text, origin) = match arguments {
        Arguments { cluster_secret_file: Some(path), .. } => {
            (read(path)?, path.display().to_string())
        }
        // A variable without a value is one that is not set, as for the gateway.
        Arguments { cluster_secret_from_environment: Some(text), .. } if !text.is_empty() => {
            (text.clone(), "SIXFOLD_CLUSTER_SECRET".to_owned())
        }
        _ => return Ok(None),
    };
    ClusterSecret::parse(&text).context(origin).map(Some)
}

fn admin_token(arguments: &Arguments) -> anyhow::Result<Option<AdminToken>> {
    let (text, origin) = match arguments {
        Arguments { admin_token_file: Some(path), .. } => (read(path)?, path.display().to_string()),
        Arguments { admin_token_from_environment: Some(text), .. } if !text.is_empty() => {
            (text.clone(), "SIXFOLD_ADMIN_TOKEN".to_owned())
        }
        _ => return Ok(None),
    };
    AdminToken::parse(&text).context(origin).map(Some)
}

fn tls(arguments: &Arguments) -> anyhow::Result<Option<Certificates>> {
    match (&arguments.tls_cert, &arguments.tls_key, &arguments.tls_ca) {
        (None, None, None) => Ok(None),
        (Some(cert), Some(key), Some(ca)) => {
            let (certificate, key, authority) = (read(cert)?, read(key)?, read(ca)?);
            Ok(Some(Certificates { certificate, key, authority }))
        }
        _ => bail!("mutual TLS needs all of --tls-cert, --tls-key and --tls-ca"),
    }
}

fn advertise(given: Option<String>, listen: SocketAddr, tls: bool) -> anyhow::Result<String> {
    let scheme = if tls { "https" } else { "http" };
    let Some(url) = given else {
        ensure!(
            !listen.ip().is_unspecified(),
            "--listen {listen} is every address of this machine: name the one that gateways \
             reach with --advertise {scheme}://HOST:{}",
            listen.port()
        );
        return Ok(format!("{scheme}://{listen}"));
    };
    let uri: http::Uri = url.parse().with_context(|| format!("--advertise {url} is no URL"))?;
    let plain = uri.path() == "/" && uri.query().is_none();
    ensure!(
        uri.scheme_str() == Some(scheme) && uri.port().is_some() && plain,
        "--advertise {url} must be {scheme}://HOST:PORT"
    );
    Ok(url.trim_end_matches('/').to_owned())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// The settings of a command line; the environment of the test's process has none of them.
    fn config(flags: &[&str]) -> anyhow::Result<Config> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), SECRET).unwrap();
        let secret = file.path().display().to_string();
        let base = ["sixfold-node", "/drive", "--database-url", "postgres://x"];
        let secret = ["--cluster-secret-file", &secret];
        Config::from_arguments(Arguments::parse_from([&base[..], &secret, flags].concat()))
    }

    #[test]
    fn what_is_needed_is_asked_for() {
        let good = config(&[]).unwrap();
        assert_eq!(good.advertise, "http://127.0.0.1:9100");
        assert_eq!(good.heartbeat, Duration::from_secs(5));
        assert_eq!(good.scrub, ScrubSettings::default());
        let often = config(&["--scrub-cycle", "36h", "--scrub-mib-per-second", "100"]).unwrap();
        assert_eq!(often.scrub.cycle, Duration::from_secs(36 * 3600));
        assert_eq!(often.scrub.bytes_per_second, 100 * 1024 * 1024);
        let short = config(&["--heartbeat", "500ms"]).unwrap();
        assert_eq!(short.heartbeat, Duration::from_millis(500));
        assert!(good.threads >= 1);
        assert_eq!(config(&["--threads", "3"]).unwrap().threads, 3);
        let text = format!("{good:?}");
        assert!(!text.contains("0123456789"), "{text}");
        let bare = Arguments::parse_from(["sixfold-node", "/drive", "--database-url", "x"]);
        let error = Config::from_arguments(bare).unwrap_err().to_string();
        assert!(error.contains("no cluster secret") && error.contains("openssl"), "{error}");
        assert!(error.contains("--tls-ca"), "{error}");
    }

    #[test]
    fn wrong_values_are_named() {
        let wrong: [(&[&str], &str); 16] = [
            (&["--otlp-endpoint", "collector:4317"], "http://collector:4317"),
            (&["--heartbeat", "5"], "--heartbeat 5 "),
            (&["--heartbeat", "10ms"], "100ms"),
            (&["--scrub-cycle", "0s"], "--scrub-cycle 0s"),
            (&["--scrub-cycle", "d"], "--scrub-cycle d"),
            (&["--scrub-cycle", "99999999999999999999d"], "--scrub-cycle 9"),
            (&["--scrub-mib-per-second", "0"], "--scrub-mib-per-second 0"),
            (&["--weight", "0"], "--weight 0"),
            (&["--weight", "NaN"], "--weight NaN"),
            (&["--zone", ""], "--zone"),
            (&["--zone", "a b"], "--zone"),
            (&["--listen", "0.0.0.0:9100"], "--advertise http://HOST:9100"),
            (&["--advertise", "node:9100"], "http://HOST:PORT"),
            (&["--advertise", "https://node:9100"], "http://HOST:PORT"),
            (&["--advertise", "http://node"], "http://HOST:PORT"),
            (&["--tls-cert", "/x"], "--tls-ca"),
        ];
        for (flags, expected) in wrong {
            let error = config(flags).unwrap_err().to_string();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
        let advertised = config(&["--listen", "0.0.0.0:1", "--advertise", "http://a:2/"]);
        assert_eq!(advertised.unwrap().advertise, "http://a:2");
    }
}
