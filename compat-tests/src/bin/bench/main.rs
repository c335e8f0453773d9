//! Measures Sixfold: starts it fresh in both forms, drives it with presigned requests over plain
//! connections, and prints what a request costs. `--quick` takes under three minutes.
//! `--peer NAME=URL,key,secret,pid[+pid…]` puts the same load on another S3 server.
//! `--out FOLDER` writes `performance.json` and `performance.svg` there.
//!
//! It fails on a broken answer, never on a time.

mod load;
mod plot;
mod usage;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use compat_tests::cluster::{Form, Server};
use compat_tests::raw::{Request, Signer};
use load::{Load, Measured};

/// What is run, in this order: gets read what the puts before them have written.
const LOADS: [Load; 8] = [
    Load { name: "PUT 4 KiB", method: "PUT", size: 4 << 10, clients: 32, requests: 6000 },
    Load { name: "GET 4 KiB", method: "GET", size: 4 << 10, clients: 32, requests: 12000 },
    Load { name: "HEAD", method: "HEAD", size: 4 << 10, clients: 32, requests: 12000 },
    Load { name: "LIST of 1000", method: "LIST", size: 4 << 10, clients: 4, requests: 200 },
    Load { name: "PUT 1 MiB", method: "PUT", size: 1 << 20, clients: 16, requests: 600 },
    Load { name: "GET 1 MiB", method: "GET", size: 1 << 20, clients: 16, requests: 1800 },
    Load { name: "PUT 16 MiB", method: "PUT", size: 16 << 20, clients: 8, requests: 64 },
    Load { name: "GET 16 MiB", method: "GET", size: 16 << 20, clients: 8, requests: 192 },
];

/// A quick run makes a fraction of the requests.
const QUICK_PART: usize = 5;

/// A server under load.
struct Target {
    name: String,
    address: String,
    signer: Signer,
    /// Its processes, with their children; none: the children of this one.
    pids: Vec<u32>,
}

#[derive(Default)]
struct Options {
    quick: bool,
    out: Option<PathBuf>,
    peers: Vec<Target>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = options()?;
    let mut all = Vec::new();
    for (form, name) in [(Form::Embedded, "embedded"), (Form::Separate, "six nodes")] {
        let server = Server::start(form);
        let (address, signer) = (server.address().to_owned(), server.signer());
        let target = Target { name: name.to_owned(), address, signer, pids: Vec::new() };
        all.extend(run(&target, options.quick).await?);
    }
    for peer in &options.peers {
        let ours = all.clone();
        let theirs = run(peer, options.quick).await?;
        print_ratios(&ours, &theirs);
        all.extend(theirs);
    }
    if let Some(folder) = options.out {
        let json = all.iter().map(Measured::to_json).collect::<serde_json::Value>();
        std::fs::write(folder.join("performance.json"), format!("{json:#}\n"))?;
        std::fs::write(folder.join("performance.svg"), plot::svg(&all))?;
    }
    Ok(())
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--out" => options.out = Some(value()?.into()),
            "--peer" => options.peers.push(peer(&value()?)?),
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(options)
}

/// `NAME=URL,key,secret,pid[+pid…]`
fn peer(text: &str) -> anyhow::Result<Target> {
    let (name, rest) = text.split_once('=').context("--peer NAME=URL,key,secret,pids")?;
    let [url, key, secret, pids] = rest.split(',').collect::<Vec<_>>()[..] else {
        bail!("--peer {name}=URL,key,secret,pids");
    };
    let address = url.strip_prefix("http://").context("a peer's URL begins with http://")?;
    let pids = pids.split('+').map(str::parse).collect::<Result<_, _>>()?;
    let address = address.trim_end_matches('/').to_owned();
    Ok(Target { name: name.to_owned(), address, signer: Signer::new(key, secret), pids })
}

async fn run(target: &Target, quick: bool) -> anyhow::Result<Vec<Measured>> {
    println!("\n{}", target.name);
    let created = Request::put("/bench").sign(&target.signer, &target.address);
    created.send(&target.address).await.expect_status(200);
    let mut measured = Vec::new();
    for load in &LOADS {
        let part = if quick { QUICK_PART } else { 1 };
        let load = Load { requests: load.requests / part, ..*load };
        let result = load::run(target, &load).await?;
        println!("{}", result.line());
        measured.push(result);
    }
    Ok(measured)
}

fn print_ratios(ours: &[Measured], theirs: &[Measured]) {
    for their in theirs {
        for our in ours.iter().filter(|our| our.load == their.load) {
            let ratio = their.cpu_total() / our.cpu_total();
            let (server, peer) = (&our.server, &their.server);
            println!("{:<14} {peer} takes {ratio:.2} times the CPU of {server}", our.load);
        }
    }
}
