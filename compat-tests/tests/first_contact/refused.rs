//! Starts that can't be: each says what is wrong, where, and what to do.

use crate::place::{Place, refusal, sixfold};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An account without rights: `nobody`.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0")
}

/// Makes a folder with these rights.
fn folder(path: &Path, mode: u32) -> PathBuf {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_owned()
}

#[track_caller]
fn says(command: &mut Command, expected: &[&str]) {
    let said = refusal(command);
    for part in expected {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("sixfold: "), "the last line is what went wrong: {said}");
}

#[test]
fn a_number_of_directories_that_makes_no_sense() {
    let place = Place::new();
    for count in 2..=5 {
        let dirs: Vec<_> = (0..count).map(|index| place.path(&format!("d{index}"))).collect();
        says(&mut place.server_on(&dirs), &[&format!("names {count} directories"), "at least six"]);
        assert!(dirs.iter().all(|dir| !dir.exists()), "nothing is made");
    }
    let none: [&Path; 0] = [];
    says(&mut place.server_on(none), &["no directory given", "sixfold server ./data"]);
    let same = vec![place.path("same"); 6];
    says(&mut place.server_on(&same), &["same twice"]);
    assert!(!same[0].exists(), "nothing is made");
}

/// The same command with another program file.
fn of_program(program: &Path, command: &Command) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

#[test]
fn a_directory_that_can_t_be_written() {
    let place = Place::new();
    let parent = folder(&place.path("closed"), 0o555);
    let mut command = place.server_on([parent.join("data")]);
    let uid = if is_root() { NOBODY } else { std::fs::metadata("/proc/self").unwrap().uid() };
    if is_root() {
        // The account may not reach the folder where the program was built.
        let program = place.path("sixfold");
        std::fs::copy(command.get_program(), &program).unwrap();
        command = of_program(&program, &command);
        command.uid(NOBODY).gid(NOBODY);
    }
    let path = parent.join("data/meta").display().to_string();
    says(&mut command, &[&path, &format!("uid {uid}"), "chown"]);
}

#[test]
fn a_directory_that_the_database_s_account_can_t_reach() {
    if !is_root() {
        // Only a start as root changes the account.
        return;
    }
    let place = Place::new();
    let closed = folder(&place.path("private"), 0o700);
    let mut command = place.server_on([closed.join("data")]);
    let expected = [&format!("chmod o+x {}", closed.display())[..], "--meta-dir", "postgres"];
    says(&mut command, &expected);
}

#[test]
fn a_certificate_that_is_none() {
    let place = Place::new();
    let wrong = place.path("wrong.pem");
    std::fs::write(&wrong, "no certificate").unwrap();
    let missing = place.path("missing.pem");
    let tls = |certificate: &Path, key: &Path| {
        let mut command = place.server();
        command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        command
    };
    says(&mut tls(&missing, &wrong), &[missing.to_str().unwrap(), "PEM"]);
    says(&mut tls(&wrong, &missing), &[wrong.to_str().unwrap(), "PEM"]);
    says(place.server().arg("--tls-cert").arg(&wrong), &["--tls-key", "both"]);
    assert!(!place.data().exists(), "nothing is made");
}

#[test]
fn a_busy_port_and_a_second_instance() {
    let place = Place::new();
    let holder = std::net::TcpListener::bind(&place.address).unwrap();
    says(&mut place.server(), &[&place.address, "in use", "--address"]);
    drop(holder);

    let mut first = place.start(&mut place.server());
    let second = Place::new();
    let mut command = second.server_on([place.data()]);
    let pid = first.pid().to_string();
    says(&mut command, &[place.data().to_str().unwrap(), "in use", &pid]);
    // The very same command is told of the first one, not of its address.
    says(&mut place.server(), &[place.data().to_str().unwrap(), "in use", &pid]);
    assert!(first.stop().success());
}

#[test]
fn a_database_that_can_t_be_reached_and_a_log_filter_that_is_none() {
    let place = Place::new();
    let mut command = place.server();
    command.env("DATABASE_URL", "postgres://u:canary@127.0.0.1:1/none");
    let said = refusal(&mut command);
    assert!(said.contains("127.0.0.1:1") && said.contains("DATABASE_URL"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    says(place.server().env("RUST_LOG", "!!!"), &["RUST_LOG", "!!!", "log filter"]);
    says(sixfold().args(["config", "show"]).env("RUST_LOG", "!!!"), &["RUST_LOG", "!!!"]);
    says(sixfold().args(["gateway", "./data"]).env("DATABASE_URL", "postgres://x"), &["DIR"]);
}

#[test]
fn administration_that_finds_no_server() {
    let place = Place::new();
    says(sixfold().args(["key", "list"]), &["which server", "--dir", "DATABASE_URL"]);
    let mut nowhere = sixfold();
    nowhere.args(["status", "--dir"]).arg(place.data());
    says(&mut nowhere, &["--dir", "no such directory"]);
    let url = "postgres://nobody@127.0.0.1:1/none";
    let said = refusal(sixfold().args(["node", "list", "--database-url", url]));
    assert!(said.contains("127.0.0.1:1") && said.contains("refused"), "{said}");
    says(sixfold().args(["config", "show", "--config", "/none.toml"]), &["/none.toml"]);
}
