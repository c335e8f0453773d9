//! Reads the sections, one function each. Defaults stand where they are used, so that a test or
//! a benchmark without settings runs with the same ones.

use super::keys::table as keys;
use super::reader::{Reader, Source};
use super::{
    ClusterConfig, ClusterTls, ConfigError, DatabaseConfig, HttpConfig, LogConfig, RootCredentials,
    S3Config, StorageConfig, TimesConfig, TlsFiles, units,
};
use crate::data::DataLimits;
use crate::jobs::Paces;
use crate::lease::RENEW_EVERY;
use crate::nodes::{BreakerLimits, NodeLimits};
use crate::postgres::CopyPolicy;
use crate::telemetry::trace::{self, Sampling, TraceSettings};
use crate::telemetry::{FileLimits, LogFormat, LogOutput};
use sixfold_node::registry::HEARTBEAT_INTERVAL;
use sixfold_node::scrub::ScrubSettings;
use std::net::SocketAddr;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

pub(super) fn storage(reader: &mut Reader<'_>) -> Result<StorageConfig, ConfigError> {
    Ok(StorageConfig {
        dirs: reader.value(&keys::DIRS, Vec::new(), units::paths)?,
        meta_dir: reader.optional(&keys::META_DIR, units::path)?,
        meta_copies: reader.value(&keys::META_COPIES, CopyPolicy::Auto, str::parse)?,
        meta_copies_wal_mib: reader.value(&keys::META_COPIES_WAL, 1024, units::few)?,
        zone: reader.optional(&keys::ZONE, units::text)?,
    })
}

pub(super) fn http(reader: &mut Reader<'_>) -> Result<HttpConfig, ConfigError> {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let certificate = reader.optional(&keys::TLS_CERT, units::path)?;
    let key = reader.optional(&keys::TLS_KEY, units::path)?;
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => return Err(ConfigError::new("--tls-cert and --tls-key belong together: give both")),
    };
    Ok(HttpConfig {
        address: reader.value(&keys::ADDRESS, loopback(9000), units::address)?,
        admin_address: reader.value(&keys::ADMIN_ADDRESS, loopback(9001), units::address)?,
        admin_token: reader.optional(&keys::ADMIN_TOKEN, units::admin_token)?,
        tls,
        max_connections: reader.value(&keys::MAX_CONNECTIONS, 4096, units::count)?,
        max_requests: reader.value(&keys::MAX_REQUESTS, 512, units::count)?,
        header_timeout: reader.value(&keys::HEADER_TIMEOUT, seconds(30), units::duration)?,
        body_idle: reader.value(&keys::BODY_IDLE, seconds(60), units::duration)?,
        stall: reader.value(&keys::STALL, seconds(60), units::duration)?,
        drain: reader.value(&keys::DRAIN, seconds(20), units::duration)?,
    })
}

pub(super) fn s3(reader: &mut Reader<'_>) -> Result<S3Config, ConfigError> {
    Ok(S3Config {
        region: reader.value(&keys::REGION, "us-east-1".to_owned(), units::region)?,
        domains: reader.value(&keys::DOMAIN, Vec::new(), units::domains)?,
        bucket: reader.optional(&keys::BUCKET, units::bucket)?,
    })
}

pub(super) fn root(reader: &mut Reader<'_>) -> Result<Option<RootCredentials>, ConfigError> {
    let access_key = reader.optional(&keys::ROOT_ACCESS_KEY, units::access_key)?;
    let secret_key = reader.optional(&keys::ROOT_SECRET_KEY, units::secret_key)?;
    let source = reader.source_of(&keys::ROOT_ACCESS_KEY);
    let secret_source = reader.source_of(&keys::ROOT_SECRET_KEY);
    if is_minios(&source) != is_minios(&secret_source) {
        return Err(ConfigError::new(format!(
            "the root pair is half MinIO's and half Sixfold's ({source}, {secret_source}): give \
             both halves by the same kind of name"
        )));
    }
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => {
            Ok(Some(RootCredentials { access_key, secret_key, source, secret_source }))
        }
        (None, None) => Ok(None),
        _ => Err(ConfigError::new(
            "only one half of the root pair is given: set both of SIXFOLD_ROOT_ACCESS_KEY and \
             SIXFOLD_ROOT_SECRET_KEY, or none for a random pair",
        )),
    }
}

fn is_minios(source: &Source) -> bool {
    matches!(source, Source::Environment(name) | Source::SecretFile(name)
        if name.starts_with("MINIO_"))
}

pub(super) fn database(reader: &mut Reader<'_>) -> Result<DatabaseConfig, ConfigError> {
    Ok(DatabaseConfig {
        url: reader.optional(&keys::DATABASE_URL, units::database_url)?,
        max_connections: reader.value(&keys::DATABASE_CONNECTIONS, 32, units::connections)?,
        bin_dir: reader.optional(&keys::POSTGRES_BIN, units::path)?,
        shared_buffers_mib: reader.value(&keys::POSTGRES_MEMORY, 128, units::memory_mib)?,
    })
}

pub(super) fn cluster(reader: &mut Reader<'_>) -> Result<ClusterConfig, ConfigError> {
    let secret = reader.optional(&keys::CLUSTER_SECRET, units::secret_key)?;
    let certificate = reader.optional(&keys::CLUSTER_TLS_CERT, units::path)?;
    let key = reader.optional(&keys::CLUSTER_TLS_KEY, units::path)?;
    let authority = reader.optional(&keys::CLUSTER_TLS_CA, units::path)?;
    let tls = match (certificate, key, authority) {
        (Some(certificate), Some(key), Some(authority)) => {
            Some(ClusterTls { certificate, key, authority })
        }
        (None, None, None) => None,
        _ => {
            return Err(ConfigError::new(
                "mutual TLS with nodes needs all of cluster.tls_cert, cluster.tls_key and \
                 cluster.tls_ca",
            ));
        }
    };
    Ok(ClusterConfig {
        secret,
        tls,
        master_key_file: reader.optional(&keys::MASTER_KEY_FILE, units::path)?,
    })
}

pub(super) fn data(reader: &mut Reader<'_>) -> Result<DataLimits, ConfigError> {
    let limits = DataLimits::default();
    Ok(DataLimits {
        stripes_in_flight: reader.value(
            &keys::STRIPES_IN_FLIGHT,
            limits.stripes_in_flight,
            units::count,
        )?,
        stripes_read_ahead: reader.value(
            &keys::STRIPES_READ_AHEAD,
            limits.stripes_read_ahead,
            units::count,
        )?,
        stripes_in_process: reader.value(
            &keys::STRIPES_IN_PROCESS,
            limits.stripes_in_process,
            units::count,
        )?,
        least_client_bytes_per_s: 1024
            * u64::from(reader.value(&keys::LEAST_CLIENT_KIB_PER_S, 16, units::few)?),
        stripe_wait: reader.value(&keys::STRIPE_WAIT, limits.stripe_wait, units::duration)?,
        stripes_per_extent: limits.stripes_per_extent,
        stall_give_up: reader.value(&keys::STALL_GIVE_UP, limits.stall_give_up, units::duration)?,
        spread_wait: reader.value(&keys::SPREAD_WAIT, limits.spread_wait, units::duration)?,
        last_wait: reader.value(&keys::LAST_WAIT, limits.last_wait, units::duration)?,
        cell_wait: reader.value(&keys::CELL_WAIT, limits.cell_wait, units::duration)?,
        hedge_after: reader.value(&keys::HEDGE_AFTER, limits.hedge_after, units::duration)?,
        hedge_percent: reader.value(&keys::HEDGE_PERCENT, limits.hedge_percent, units::percent)?,
        read_cut: reader.value(&keys::READ_CUT, limits.read_cut, units::duration)?,
        rebalance_mib_per_s: reader.value(
            &keys::REBALANCE_RATE,
            limits.rebalance_mib_per_s,
            units::few,
        )?,
        heal_mib_per_s: reader.value(&keys::HEAL_RATE, limits.heal_mib_per_s, units::few)?,
    })
}

pub(super) fn nodes(reader: &mut Reader<'_>) -> Result<NodeLimits, ConfigError> {
    let limits = NodeLimits::default();
    let breaker = limits.breaker;
    Ok(NodeLimits {
        tokens: reader.value(&keys::TOKENS, limits.tokens, units::few)?,
        connect: reader.value(&keys::CONNECT, limits.connect, units::duration)?,
        first_answer: reader.value(&keys::FIRST_ANSWER, limits.first_answer, units::duration)?,
        breaker: BreakerLimits {
            failures: reader.value(&keys::BREAKER_FAILURES, breaker.failures, units::few)?,
            half_open_after: reader.value(
                &keys::BREAKER_HALF_OPEN,
                breaker.half_open_after,
                units::duration,
            )?,
            successes: reader.value(&keys::BREAKER_SUCCESSES, breaker.successes, units::few)?,
        },
        ..limits
    })
}

/// The times, and those of them by which nodes are watched.
pub(super) fn times(
    reader: &mut Reader<'_>,
    nodes: &mut NodeLimits,
) -> Result<TimesConfig, ConfigError> {
    let paces = Paces::default();
    let mut time = |key, default| reader.value(key, default, units::duration);
    let heartbeat = time(&keys::HEARTBEAT, HEARTBEAT_INTERVAL)?;
    nodes.silent_after = heartbeat * 2;
    nodes.dead_after = time(&keys::DEAD_AFTER, nodes.dead_after)?;
    nodes.hold_down = time(&keys::HOLD_DOWN, nodes.hold_down)?;
    nodes.refresh_every = time(&keys::RING_REFRESH, nodes.refresh_every)?;
    Ok(TimesConfig {
        heartbeat,
        lease_renewal: time(&keys::LEASE_RENEWAL, RENEW_EVERY)?,
        lease_expiry: time(&keys::LEASE_EXPIRY, paces.lease_silent)?,
        freed_for: time(&keys::FREED_FOR, paces.collect_after)?,
        collect_every: time(&keys::COLLECT_EVERY, paces.collect.every)?,
        expire_every: time(&keys::EXPIRE_EVERY, paces.expire_uploads.every)?,
        upload_idle: time(&keys::UPLOAD_IDLE, paces.upload_idle)?,
        heal_every: time(&keys::HEAL_EVERY, paces.heal.every)?,
        rebalance_every: time(&keys::REBALANCE_EVERY, paces.rebalance.every)?,
        sweep_every: time(&keys::SWEEP_EVERY, paces.sweep.every)?,
    })
}

pub(super) fn scrub(reader: &mut Reader<'_>) -> Result<ScrubSettings, ConfigError> {
    let defaults = ScrubSettings::default();
    let mib = u32::try_from(defaults.bytes_per_second / MIB).unwrap_or(1);
    Ok(ScrubSettings {
        cycle: reader.value(&keys::SCRUB_CYCLE, defaults.cycle, units::duration)?,
        bytes_per_second: u64::from(reader.value(&keys::SCRUB_RATE, mib, units::few)?) * MIB,
    })
}

pub(super) fn log(reader: &mut Reader<'_>) -> Result<LogConfig, ConfigError> {
    let limits = FileLimits::default();
    let mib = u32::try_from(limits.file_bytes / MIB).unwrap_or(1);
    Ok(LogConfig {
        format: reader.value(&keys::LOG_FORMAT, LogFormat::Auto, units::log_format)?,
        filter: reader.optional(&keys::LOG_FILTER, units::log_filter)?,
        output: LogOutput::parse(&reader.value(
            &keys::LOG_FILE,
            "stderr".to_owned(),
            units::text,
        )?),
        limits: FileLimits {
            file_bytes: u64::from(reader.value(&keys::LOG_FILE_MIB, mib, units::few)?) * MIB,
            files: reader.value(&keys::LOG_FILES, limits.files, units::few)?,
            keep: reader.value(&keys::LOG_KEEP, limits.keep, units::duration)?,
        },
        slow_after: reader.value(&keys::LOG_SLOW, seconds(10), units::duration)?,
    })
}

pub(super) fn trace(reader: &mut Reader<'_>) -> Result<Option<TraceSettings>, ConfigError> {
    let defaults = Sampling::default();
    let endpoint = reader.optional(&keys::TRACE_ENDPOINT, trace::endpoint)?;
    reader.value(&keys::TRACE_PROTOCOL, "grpc".to_owned(), trace::protocol)?;
    let service = reader.value(&keys::TRACE_SERVICE, "sixfold-gateway".to_owned(), units::text)?;
    let sampling = Sampling {
        ratio: reader.value(&keys::TRACE_RATIO, defaults.ratio, trace::ratio)?,
        per_second: reader.value(&keys::TRACE_PER_SECOND, defaults.per_second, units::few)?,
    };
    Ok(endpoint.map(|endpoint| TraceSettings { endpoint, service, sampling }))
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
