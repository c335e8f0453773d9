//! Every real client, unmodified, against both forms of the server. One server per form serves them
//! all, as it would in the field; each client works in a bucket of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use compat_tests::clients::{folder, program, run};
use compat_tests::cluster::{Form, Server};

/// A client: its name and the command that runs its program.
type Client = (&'static str, fn() -> Command);

/// One line per client.
const CLIENTS: &[Client] = &[
    ("aws-cli-v1", || shell("aws_cli.sh", "AWS", &folder().join("newest/bin/aws"))),
    ("aws-cli-v2", || shell("aws_cli.sh", "AWS", Path::new("/usr/bin/aws"))),
    ("mc", || shell("mc.sh", "MC", &folder().join("bin/mc"))),
    ("rclone", || Command::new(program("shell/rclone.sh"))),
    ("s3cmd", || Command::new(program("shell/s3cmd.sh"))),
    ("restic", || Command::new(program("shell/restic.sh"))),
    ("boto3-newest", || python("newest", "boto3_client.py")),
    ("boto3-1.35", || python("boto3-1.35", "boto3_client.py")),
    ("boto3-crt", || python("crt", "boto3_client.py")),
    ("browser", || python("newest", "browser.py")),
    ("javascript", javascript),
    ("go", || Command::new(folder().join("bin/go-client"))),
    ("java", java),
    ("rust", || Command::new(folder().join("rust/debug/rust-client"))),
];

/// A shell program that finds its client in an environment variable.
fn shell(script: &str, variable: &str, client: &Path) -> Command {
    let mut command = Command::new(program("shell").join(script));
    command.env(variable, client);
    command
}

fn python(environment: &str, script: &str) -> Command {
    let mut command = Command::new(folder().join(environment).join("bin/python"));
    command.arg(program("python").join(script));
    command
}

fn javascript() -> Command {
    let mut command = Command::new("node");
    command.arg(program("js/client.cjs")).env("NODE_PATH", folder().join("js/node_modules"));
    command
}

fn java() -> Command {
    let mut command = Command::new("java");
    let libraries = format!("{}/*", folder().join("java").display());
    command.args(["-cp", &libraries]).arg(program("java/Client.java"));
    command
}

/// Runs every client, two at a time, and fails with all that failed.
fn check(form: Form) {
    let server = Server::start(form);
    let only = std::env::var("SIXFOLD_ONLY_CLIENT").ok();
    let chosen =
        CLIENTS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    let queue = Mutex::new(chosen.collect::<Vec<_>>());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((name, command)) = next else { return Ok(()) };
            let run = || run(&server, name, &mut command());
            // The others go on; what failed has printed why.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|_| *name)?;
        }
    };
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let workers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut failed = Vec::new();
                while let Err(name) = work() {
                    failed.push(name);
                }
                failed
            })
        });
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(failed.is_empty(), "clients that failed: {failed:?}");
}

#[test]
fn embedded() {
    check(Form::Embedded);
}

#[test]
fn separate() {
    check(Form::Separate);
}
