//! docker/: what its files name exists, the command lines of the compose file start a cluster, and its
//! alerts and dashboards ask for metrics that are there.
//!
//! No container engine is needed. The processes get the arguments, the variables and the account that
//! their containers would give them; as root also a root file system that can't be written. What that
//! does not show (the layers of the images) is tried by hand: docs/deployment.md says how.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::disallowed_methods)]

mod alerts;
mod compose;
mod confined;
mod dashboards;
mod metrics;

use compose::{root, services, stages, texts, variables, yaml};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The account of all images of ours.
const ACCOUNT: &str = "10001:10001";

fn compose_file() -> Value {
    yaml("docker/compose.yaml")
}

/// The names that `docker compose` would refuse to miss.
fn defined(compose: &Value, section: &str) -> BTreeSet<String> {
    compose[section].as_object().expect(section).keys().cloned().collect()
}

#[test]
fn whatever_a_service_names_is_there() {
    let compose = compose_file();
    let all = services(&compose);
    let [volumes, networks, secrets] =
        ["volumes", "networks", "secrets"].map(|section| defined(&compose, section));
    let (mut used_volumes, mut used_secrets) = (BTreeSet::new(), BTreeSet::new());
    for (name, service) in all {
        for mount in texts(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            if source.starts_with("./") {
                assert!(root().join("docker").join(source).exists(), "{name}: no {source}");
                assert!(mount.ends_with(":ro"), "{name} may write {source}");
            } else {
                assert!(volumes.contains(source), "{name}: no volume {source}");
                used_volumes.insert(source.to_owned());
            }
        }
        for secret in texts(&service["secrets"]) {
            assert!(secrets.contains(&secret), "{name}: no secret {secret}");
            used_secrets.insert(secret);
        }
        for network in texts(&service["networks"]) {
            assert!(networks.contains(&network), "{name}: no network {network}");
        }
        for (other, when) in service["depends_on"].as_object().into_iter().flatten() {
            let other_service = all.get(other).unwrap_or_else(|| panic!("{name}: no {other}"));
            let waits_for_health = when["condition"] == "service_healthy";
            let can_be_healthy = is_checked(other_service);
            assert!(!waits_for_health || can_be_healthy, "{name} waits for {other} for ever");
        }
    }
    assert_eq!(used_volumes, volumes);
    assert_eq!(used_secrets, secrets);
}

/// Whether the service's health is looked at: by a check of its own, or by one of its image.
fn is_checked(service: &Value) -> bool {
    let own = &service["healthcheck"];
    own["disable"] != true && (own["test"].is_array() || service["build"].is_object())
}

#[test]
fn every_service_is_confined() {
    let compose = compose_file();
    for (name, service) in services(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        for limit in ["mem_limit", "cpus", "pids_limit"] {
            assert!(!service[limit].is_null(), "{name} has no {limit}");
        }
        // A tag that says which: `latest` is another program tomorrow.
        let image = service["image"].as_str().unwrap();
        assert!(service["build"].is_object() || image.contains(':'), "{name}: {image}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} opens {port} to everybody");
        }
    }
}

#[test]
fn no_password_stands_in_the_files() {
    let compose = compose_file();
    for (name, service) in services(&compose) {
        for (variable, value) in variables(service) {
            let is_secret =
                ["PASSWORD", "SECRET", "KEY", "URL"].iter().any(|part| variable.contains(part));
            let is_in_a_file = value
                .strip_prefix("/run/secrets/")
                .is_some_and(|file| texts(&service["secrets"]).iter().any(|secret| secret == file));
            assert!(!is_secret || is_in_a_file, "{name}: {variable}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let made = make_secrets(folder.path());
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        let file = secret["file"].as_str().unwrap();
        assert_eq!(file, format!("./secrets/{name}"));
        assert!(made.contains(name), "docker/secrets.sh makes no {name}");
    }
    let before = std::fs::read(folder.path().join("master.key")).unwrap();
    make_secrets(folder.path());
    assert_eq!(std::fs::read(folder.path().join("master.key")).unwrap(), before);
}

/// Runs docker/secrets.sh, and the names of what it made.
fn make_secrets(folder: &Path) -> BTreeSet<String> {
    let output = Command::new(root().join("docker/secrets.sh")).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn images_run_as_an_account_that_is_there_and_have_what_they_start() {
    let stages = stages();
    for name in ["sixfold", "sixfold-gateway", "sixfold-node"] {
        let stage = &stages[name];
        assert_eq!(stage.last("USER"), ACCOUNT, "{name}");
        let makes_account = |(word, text): &(String, String)| {
            word == "RUN" && text.contains("useradd --uid 10001 --user-group")
        };
        assert!(stage.instructions.iter().any(makes_account), "{name}");
        let program = stage.list("ENTRYPOINT").remove(0);
        let copied = format!("/src/target/release/{program} /usr/local/bin/{program}");
        assert_eq!(stage.last("COPY"), format!("--from=build {copied}"), "{name}");
        assert_eq!(stage.health_check()[0], program, "{name}");
    }
    let compose = compose_file();
    for (name, service) in services(&compose) {
        let Some(build) = service["build"].as_object() else { continue };
        let target = build["target"].as_str().unwrap();
        assert!(stages.contains_key(target), "{name}: no stage {target}");
        assert_eq!(service["image"], target, "{name}");
        assert_eq!(build["dockerfile"], "docker/Dockerfile", "{name}");
    }
    // The compiler is the one that the project names, in its image.
    let channel = std::fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let (_, channel) = channel.split_once("channel = \"").unwrap();
    let channel = channel.split('"').next().unwrap();
    assert_eq!(stages["build"].variables()["RUSTUP_TOOLCHAIN"], channel);
    let (minor, _) = channel.rsplit_once('.').unwrap();
    assert_eq!(stages["build"].from, format!("rust:{minor}-bookworm"));
    // What is copied into the build is all that it needs, and no secret.
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "docker/secrets"));
    for needed in ["Cargo.lock", ".sqlx", "migrations", "proto", "lanes", "node", "gateway"] {
        assert!(root().join(needed).exists() && !ignored.lines().any(|line| line == needed));
    }
}

#[test]
fn the_arithmetic_of_the_page_is_right() {
    let script = root().join("scripts/durability.py");
    let output = Command::new("python3").arg(script).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Prometheus asks every gateway and node for metrics, at the ports that they have, with the token.
#[test]
fn whoever_has_metrics_is_asked_for_them() {
    let compose = compose_file();
    let mut expected = BTreeSet::new();
    for (name, service) in services(&compose) {
        let port = match service["image"].as_str() {
            Some("sixfold-gateway") if name.starts_with("gateway") => 9001,
            Some("sixfold-node") => 9101,
            _ => continue,
        };
        assert!(texts(&service["secrets"]).contains(&"admin.token".to_owned()), "{name}");
        expected.insert(format!("{name}:{port}"));
    }
    let prometheus = yaml("docker/prometheus/prometheus.yml");
    let mut asked = BTreeSet::new();
    for job in prometheus["scrape_configs"].as_array().unwrap() {
        assert_eq!(job["authorization"]["credentials_file"], "/run/secrets/admin.token");
        asked.extend(texts(&job["static_configs"][0]["targets"]));
    }
    assert_eq!(asked, expected);
    for file in texts(&prometheus["rule_files"]) {
        assert!(root().join("docker/prometheus").join(file).is_file());
    }
}
