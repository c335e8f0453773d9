use super::keys::table::ALL;
use super::{Config, Flags, reference};
use crate::telemetry::trace::Sampling;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::time::Duration;

/// Loads with these variables and this file.
fn load(flags: &Flags, variables: &[(&str, &str)], file: &str) -> Result<Config, String> {
    let mut temporary = tempfile::NamedTempFile::new().unwrap();
    temporary.write_all(file.as_bytes()).unwrap();
    let mut variables: HashMap<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = temporary.path().to_str().unwrap().to_owned();
    variables.insert("SIXFOLD_CONFIG".to_owned(), path);
    let environment = |name: &str| variables.get(name).cloned();
    Config::load(flags, &environment).map_err(|error| error.to_string())
}

fn source(config: &Config, name: &str) -> String {
    config.shown.iter().find(|shown| shown.name == name).unwrap().source.clone()
}

#[test]
fn flags_win_over_the_environment_and_it_over_the_file() {
    let file = "[http]\naddress = \"127.0.0.1:1\"\nmax_requests = 7\n[s3]\nregion = \"eu-1\"";
    let mut flags = Flags::default();
    let config = load(&flags, &[], file).unwrap();
    assert_eq!(config.http.address.port(), 1);
    assert_eq!((config.http.max_requests, config.s3.region.as_str()), (7, "eu-1"));
    assert!(source(&config, "http.address").starts_with("file "));

    let config = load(&flags, &[("SIXFOLD_ADDRESS", ":2")], file).unwrap();
    assert_eq!(config.http.address.to_string(), "0.0.0.0:2");
    assert_eq!(source(&config, "http.address"), "environment SIXFOLD_ADDRESS");

    flags.address = Some("[::1]:3".to_owned());
    let config = load(&flags, &[("SIXFOLD_ADDRESS", ":2")], file).unwrap();
    assert_eq!(config.http.address.to_string(), "[::1]:3");
    assert_eq!(source(&config, "http.address"), "flag --address");
    assert_eq!(source(&config, "times.heartbeat"), "default");
    assert_eq!(config.times.heartbeat, Duration::from_secs(5));
}

#[test]
fn every_setting_is_shown_once_and_secrets_never() {
    let variables = [
        ("SIXFOLD_ROOT_ACCESS_KEY", "canary-access"),
        ("SIXFOLD_ROOT_SECRET_KEY", "canary-secret"),
        ("DATABASE_URL", "postgres://user:canary-password@host/db"),
        ("SIXFOLD_CLUSTER_SECRET", "canary-cluster"),
    ];
    let config = load(&Flags::default(), &variables, "").unwrap();
    let names: HashSet<_> = config.shown.iter().map(|shown| shown.name).collect();
    assert_eq!(config.shown.len(), ALL.len());
    assert_eq!(names.len(), ALL.len());
    let shown = format!("{:?}", config.shown);
    assert!(!shown.contains("canary"), "{shown}");
    let debug = format!("{config:?}");
    for secret in ["canary-secret", "canary-password", "canary-cluster"] {
        assert!(!debug.contains(secret), "{debug}");
    }
}

#[test]
fn traces_go_where_users_of_opentelemetry_say() {
    let none = Flags::default();
    assert_eq!(load(&none, &[], "").unwrap().trace, None);
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317");
    let trace = load(&none, &[general], "").unwrap().trace.unwrap();
    assert_eq!((&*trace.endpoint, &*trace.service), ("http://all:4317", "sixfold-gateway"));
    assert_eq!(trace.sampling, Sampling::default());
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
    let variables = [general, own, ("OTEL_SERVICE_NAME", "s3"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")];
    let trace = load(&none, &variables, "").unwrap().trace.unwrap();
    assert_eq!((&*trace.endpoint, &*trace.service), ("http://traces:4317", "s3"));
    assert!((trace.sampling.ratio - 0.1).abs() < f64::EPSILON);
    let file = "[trace]\nendpoint = \"http://file:4317\"\nper_second = 5";
    let trace = load(&none, &[], file).unwrap().trace.unwrap();
    assert_eq!((&*trace.endpoint, trace.sampling.per_second), ("http://file:4317", 5));
}

#[test]
fn a_wrong_value_names_itself_its_source_and_the_mend() {
    let none = Flags::default();
    for (name, value, mend) in [
        ("SIXFOLD_ADDRESS", "nine", "IP address and a port"),
        ("SIXFOLD_HEARTBEAT", "5", "30s"),
        ("SIXFOLD_HEARTBEAT", "0s", "30s"),
        ("SIXFOLD_MAX_REQUESTS", "0", "above 0"),
        ("SIXFOLD_REGION", "EU", "lower-case"),
        ("S3_BUCKET", "A", "bucket name"),
        ("SIXFOLD_DIRS", "/a:/b", "at least six"),
        ("SIXFOLD_DIRS", "/a:/b:/c:/d:/e:/a", "twice"),
        ("SIXFOLD_LOG_FORMAT", "xml", "text, json or auto"),
        ("RUST_LOG", "!!!", "log filter"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "grpc"),
        ("SIXFOLD_TRACE_RATIO", "1.5", "between 0 and 1"),
        ("SIXFOLD_TRACE_PER_SECOND", "0", "between 1 and 1000"),
    ] {
        let error = load(&none, &[(name, value)], "").unwrap_err();
        assert!(error.contains(value) && error.contains(name) && error.contains(mend), "{error}");
    }
    let half = load(&none, &[("SIXFOLD_CLUSTER_TLS_CERT", "/cert")], "").unwrap_err();
    assert!(half.contains("cluster.tls_ca"), "{half}");
    let secret = load(&none, &[("DATABASE_URL", "canary")], "").unwrap_err();
    assert!(!secret.contains("canary") && secret.contains("postgres://"), "{secret}");
    let unknown = load(&none, &[], "[http]\nadress = 1").unwrap_err();
    assert!(unknown.contains("http.adress"), "{unknown}");
    assert!(load(&none, &[], "x = ").unwrap_err().contains("TOML"));
    let half = load(&none, &[("SIXFOLD_TLS_CERT", "a")], "").unwrap_err();
    assert!(half.contains("--tls-key"), "{half}");
    let late = load(&none, &[("SIXFOLD_LEASE_RENEWAL", "50s")], "").unwrap_err();
    assert!(late.contains("lease_expiry"), "{late}");
}

#[test]
fn the_root_pair_comes_from_our_names_or_minios_or_files() {
    let none = Flags::default();
    assert!(load(&none, &[], "").unwrap().root.is_none());
    let minio = [("MINIO_ROOT_USER", "minioadmin2"), ("MINIO_ROOT_PASSWORD", "password9")];
    let root = load(&none, &minio, "").unwrap().root.unwrap();
    assert_eq!((root.access_key.as_str(), root.secret_key.as_str()), ("minioadmin2", "password9"));
    assert!(root.source.to_string().contains("MINIO_ROOT_USER"), "{}", root.source);
    let mixed = [("MINIO_ROOT_USER", "minio"), ("SIXFOLD_ROOT_SECRET_KEY", "password9")];
    let mixed = load(&none, &mixed, "").unwrap_err();
    assert!(mixed.contains("MINIO_ROOT_USER") && mixed.contains("same kind"), "{mixed}");
    let ours = [("SIXFOLD_ROOT_ACCESS_KEY", "root"), ("SIXFOLD_ROOT_SECRET_KEY", "password8")];
    let config = load(&none, &[&ours[..], &minio].concat(), "").unwrap();
    assert_eq!(config.root.unwrap().secret_key, "password8");
    let doubts = config.doubts.join("\n");
    assert!(doubts.contains("MINIO_ROOT_USER") && doubts.contains("not used"), "{doubts}");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"from-a-file\n").unwrap();
    let path = file.path().to_str().unwrap();
    let with_file = [("SIXFOLD_ROOT_ACCESS_KEY", "root"), ("SIXFOLD_ROOT_SECRET_KEY_FILE", path)];
    let root = load(&none, &with_file, "").unwrap().root.unwrap();
    assert_eq!(root.secret_key, "from-a-file");
    let half = load(&none, &[("MINIO_ROOT_USER", "only")], "").unwrap_err();
    assert!(half.contains("half"), "{half}");
    let short = [("MINIO_ROOT_USER", "abc"), ("MINIO_ROOT_PASSWORD", "short")];
    assert!(load(&none, &short, "").unwrap_err().contains("8 to 256"));
}

#[test]
fn a_mistyped_variable_is_doubted() {
    let mut config = load(&Flags::default(), &[], "").unwrap();
    let names = ["SIXFOLD_ADRESS", "SIXFOLD_ADDRESS", "SIXFOLD_CLUSTER_SECRET_FILE", "PATH"];
    let names = names.into_iter().chain(["SIXFOLD_CONFIG", "SIXFOLD_ADDRESS_FILE"]);
    config.doubt_unknown(names.map(str::to_owned));
    let doubts = config.doubts.join("\n");
    assert!(doubts.contains("SIXFOLD_ADRESS ") && doubts.contains("SIXFOLD_ADDRESS_FILE "));
    assert_eq!(config.doubts.len(), 2, "{doubts}");
}

/// A value of each setting that is not its default.
fn other_value(name: &str) -> &'static str {
    match name {
        "storage.dirs" => "/a:/b:/c:/d:/e:/f",
        "http.address" | "http.admin_address" => "127.0.0.1:19",
        "storage.meta_copies" => "off",
        "s3.bucket" => "other-bucket",
        "s3.region" => "eu-1",
        "log.format" => "json",
        "trace.endpoint" => "http://collector:4317",
        "trace.ratio" => "0.5",
        "root.access_key" | "root.secret_key" | "cluster.secret" | "http.admin_token" => {
            "other-secret-value"
        }
        "database.url" => "postgres://other",
        "times.heartbeat" => "4s",
        "times.lease_renewal" => "19s",
        "times.lease_expiry" => "61s",
        "times.ring_refresh" => "6s",
        name if name.starts_with("times.") => "16s",
        "http.header_timeout"
        | "http.body_idle"
        | "http.stall"
        | "http.drain"
        | "data.stripe_wait"
        | "data.stall_give_up"
        | "data.spread_wait"
        | "data.last_wait"
        | "data.cell_wait"
        | "data.hedge_after"
        | "data.read_cut"
        | "nodes.connect"
        | "nodes.first_answer"
        | "nodes.breaker_half_open"
        | "log.keep"
        | "log.slow_after"
        | "scrub.cycle" => "17s",
        "database.shared_buffers_mib" => "64",
        _ => "7",
    }
}

#[test]
fn every_setting_changes_what_is_loaded() {
    let loaded = |variables: &[(&str, &str)]| {
        let config = load(&Flags::default(), variables, "").unwrap();
        let root = config.root.clone().map(|root| root.secret_key);
        let secrets = (root, config.database.url.clone(), config.cluster.secret.clone());
        let database = config.database.clone();
        let database = (database.max_connections, database.bin_dir, database.shared_buffers_mib);
        format!("{:?} {secrets:?} {database:?}", Config { shown: Vec::new(), ..config })
    };
    let groups: [&[&str]; 3] = [
        &["http.tls_cert", "http.tls_key"],
        &["root.access_key", "root.secret_key"],
        &["cluster.tls_cert", "cluster.tls_key", "cluster.tls_ca"],
    ];
    let default = loaded(&[]);
    // Without an endpoint there are no traces that the others could change.
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
    let traced = loaded(&[endpoint]);
    // There is one protocol.
    for key in ALL.iter().filter(|key| key.name != "trace.protocol") {
        let is_of_traces = key.name.starts_with("trace.") && key.name != "trace.endpoint";
        let group = groups.into_iter().find(|group| group.contains(&key.name));
        let names = group.unwrap_or(std::slice::from_ref(&key.name));
        let keys = ALL.iter().filter(|key| names.contains(&key.name));
        let variables = keys.map(|key| (key.environment[0], other_value(key.name)));
        let variables: Vec<_> = variables.chain(is_of_traces.then_some(endpoint)).collect();
        let default = if is_of_traces { &traced } else { &default };
        assert_ne!(&loaded(&variables), default, "{} changes nothing", key.name);
    }
}

#[test]
fn limits_of_nodes_and_bodies_are_settings() {
    let file = "[nodes]\ntokens = 40\nbreaker_failures = 2\n[data]\nhedge_percent = 0\n\
                [times]\nheartbeat = \"1s\"\ndead_after = \"3s\"\nring_refresh = \"500ms\"";
    let config = load(&Flags::default(), &[], file).unwrap();
    assert_eq!((config.nodes.tokens, config.nodes.breaker.failures), (40, 2));
    assert_eq!(config.data.hedge_percent, 0);
    assert_eq!(config.nodes.silent_after, Duration::from_secs(2));
    assert_eq!(config.nodes.dead_after, Duration::from_secs(3));
    assert_eq!(config.nodes.refresh_every, Duration::from_millis(500));
    for (name, value, mend) in [
        ("SIXFOLD_TOKENS", "0", "between 1 and 1000"),
        ("SIXFOLD_HEDGE_PERCENT", "101", "between 0 and 100"),
        ("SIXFOLD_RING_REFRESH", "20s", "dead_after"),
    ] {
        let error = load(&Flags::default(), &[(name, value)], "").unwrap_err();
        assert!(error.contains(mend), "{error}");
    }
}

#[test]
fn the_page_of_settings_is_up_to_date() {
    let page = include_str!("../../../docs/configuration.md");
    assert!(page == reference().unwrap(), "docs/configuration.md is stale: run `make docs`");
}
