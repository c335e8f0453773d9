//! Profiles of the hot paths: perf looks at all processes of a server while one load runs.
//! `scripts/profile.sh` draws the flame graphs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use compat_tests::cluster::{Form, Server};

use super::Target;
use super::plan::{KIB, Kind, Load, MIB};
use super::session::Session;
use super::usage::Watched;

/// What is looked at, and the name of its file.
const PATHS: [(&str, Load); 4] = [
    ("put-4k", Load { kind: Kind::Put, size: 4 * KIB, clients: 32 }),
    ("get-4k", Load { kind: Kind::Get, size: 4 * KIB, clients: 32 }),
    ("put-16m", Load { kind: Kind::Put, size: 16 * MIB, clients: 8 }),
    ("get-16m", Load { kind: Kind::Get, size: 16 * MIB, clients: 8 }),
];

/// Samples per second and core: not a divisor of any timer's rate.
const HERTZ: &str = "299";

/// How stacks are found: by the unwinding tables that every build has, from so much of the stack.
const STACKS: &str = "dwarf,16384";

/// How long perf needs to attach to all threads.
const ATTACHING: Duration = Duration::from_secs(1);

/// Writes one file of perf's for each path into `folder`.
pub(super) async fn record(folder: &Path, seconds: f64) -> anyhow::Result<()> {
    let server = Server::start(Form::Embedded);
    let target = Target {
        name: "embedded".to_owned(),
        address: server.address().to_owned(),
        signer: server.signer(),
        watched: Watched::default(),
    };
    let mut session = Session::open(target, false).await?;
    for (name, load) in PATHS {
        // What the load needs is written, and the server warm, before perf looks.
        session.run(load, 1.0).await?;
        let pids = session.target().watched.pids()?;
        let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut perf = Command::new("perf");
        perf.args(["record", "--quiet", "--event", "cpu-clock", "--freq", HERTZ]);
        perf.args(["--call-graph", STACKS, "--pid", &pids]);
        perf.arg("--output").arg(folder.join(format!("{name}.perf")));
        perf.args(["--", "sleep", &format!("{seconds}")]);
        let mut perf = perf.stdin(Stdio::null()).spawn().context("perf")?;
        tokio::time::sleep(ATTACHING).await;
        println!("{}", session.run(load, seconds).await?.line());
        ensure!(perf.wait()?.success(), "perf record failed");
    }
    Ok(())
}
