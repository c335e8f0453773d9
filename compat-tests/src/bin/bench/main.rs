//! Measures Sixfold: starts it fresh in both forms, drives it with presigned requests over plain
//! connections, and prints what a request costs.
//!
//! The loads with marks run in rounds, of which the best counts; then a read with two nodes gone;
//! then the matrix of kinds, sizes and clients. `--quick` takes a few of them for a short time.
//! `--peer` puts the same loads on another S3 server, `--out` writes `performance.json`, `.svg`
//! and the tables of `performance.md` there.
//!
//! `bench growth` measures what follows the number of objects, and memory; `bench profile` lets perf
//! look at the hot paths.
//!
//! It fails on a broken answer, never on a time.

mod client;
mod document;
mod growth;
mod machine;
mod measured;
mod memory;
mod options;
mod plan;
mod plot;
mod profile;
mod results;
mod session;
mod tables;
mod usage;

use std::path::Path;

use anyhow::Context as _;
use compat_tests::cluster::{Form, Server};
use compat_tests::raw::Signer;
use machine::Machine;
use measured::Measured;
use options::{Mode, Options};
use plan::{DEGRADED, Load, MARKS};
use results::Results;
use serde_json::json;
use session::Session;
use usage::Watched;

/// Which two nodes are taken away.
const TAKEN: [usize; 2] = [1, 4];

/// A server under load.
#[derive(Clone)]
struct Target {
    name: String,
    address: String,
    signer: Signer,
    watched: Watched,
}

// One thread: the generator is to leave the cores to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    let machine = Machine::look();
    println!("{}", machine.line());
    if let Some(warning) = machine.warning() {
        println!("bench: {warning}");
    }
    match options.mode {
        Mode::Run => run(&options, &machine).await,
        Mode::Growth => grow(&options, &machine).await,
        Mode::Profile => {
            let folder = options.out.context("profile --out FOLDER")?;
            profile::record(&folder, options.seconds).await
        }
    }
}

async fn run(options: &Options, machine: &Machine) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for form in &options.forms {
        all.push(measure_form(*form, options).await?);
    }
    for peer in &options.peers {
        let mut session = Session::open(peer.clone(), options.little).await?;
        let theirs = measure(&mut session, options, None).await?;
        all.iter().for_each(|ours| print_ratios(ours, &theirs));
        all.push(theirs);
    }
    if let Some(folder) = &options.out {
        write(folder, machine, options, &all)?;
    }
    Ok(())
}

async fn grow(options: &Options, machine: &Machine) -> anyhow::Result<()> {
    let growth = growth::measure(&options.objects).await?;
    println!("{growth}");
    let memory = memory::measure(options.chunks).await?;
    println!("{memory}");
    let Some(folder) = &options.out else { return Ok(()) };
    let machine = format!("{}.", machine.line());
    document::write(folder, &[("growth machine", machine), ("growth", growth), ("memory", memory)])
}

async fn measure_form(form: Form, options: &Options) -> anyhow::Result<Results> {
    let mut server = Server::start(form);
    let name = if form == Form::Embedded { tables::EMBEDDED } else { tables::SEPARATE };
    let target = Target {
        name: name.to_owned(),
        address: server.address().to_owned(),
        signer: server.signer(),
        watched: Watched::default(),
    };
    let mut session = Session::open(target, options.little).await?;
    measure(&mut session, options, Some(&mut server)).await
}

/// Runs all loads; `server` is ours to take nodes away from.
async fn measure(
    session: &mut Session,
    options: &Options,
    server: Option<&mut Server>,
) -> anyhow::Result<Results> {
    let name = session.target().name.clone();
    println!("\n{name}");
    let mut results =
        Results { server: name, marks: Vec::new(), degraded: Vec::new(), matrix: Vec::new() };
    for _ in 0..options.rounds {
        let loads = MARKS.iter().map(|mark| mark.load);
        results.marks.push(run_all(session, options, loads).await?);
    }
    results.matrix = run_all(session, options, options.matrix.loads().into_iter()).await?;
    let Some(server) = server.filter(|_| options.wants(&DEGRADED.to_string())) else {
        return Ok(results);
    };
    TAKEN.iter().for_each(|index| server.take_away(*index));
    println!("two nodes down");
    // The first reads find out about it.
    session.run(DEGRADED, options.seconds).await?;
    for _ in 0..options.rounds {
        results.degraded.extend(run_all(session, options, [DEGRADED].into_iter()).await?);
    }
    Ok(results)
}

async fn run_all(
    session: &mut Session,
    options: &Options,
    loads: impl Iterator<Item = Load>,
) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    for load in loads.filter(|load| options.wants(&load.to_string())) {
        let measured = session.run(load, options.seconds).await?;
        println!("{}", measured.line());
        all.push(measured);
    }
    Ok(all)
}

fn print_ratios(ours: &Results, theirs: &Results) {
    for their in theirs.best() {
        if let Some(our) = ours.best_of(their.load) {
            let ratio = their.cpu_us() / our.cpu_us();
            let (load, server, peer) = (their.load, &ours.server, &theirs.server);
            println!("{load:<16} {peer} takes {ratio:.2} times the CPU of {server}");
        }
    }
}

fn write(
    folder: &Path,
    machine: &Machine,
    options: &Options,
    all: &[Results],
) -> anyhow::Result<()> {
    let json = json!({
        "machine": machine.to_json(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "servers": all.iter().map(Results::to_json).collect::<serde_json::Value>(),
    });
    std::fs::write(folder.join("performance.json"), format!("{json:#}\n"))?;
    let best: Vec<&Measured> = all.iter().flat_map(Results::best).collect();
    std::fs::write(folder.join("performance.svg"), plot::svg(&best))?;
    let run =
        format!("{}. Best of {} rounds of {} s.", machine.line(), options.rounds, options.seconds);
    let matrix = all.iter().flat_map(|results| &results.matrix);
    let degraded = all.iter().filter_map(Results::best_degraded);
    let details = tables::details(best.iter().copied());
    document::write(
        folder,
        &[
            ("machine", run),
            ("marks", tables::marks(all)),
            ("details", details),
            ("degraded", tables::details(degraded)),
            ("matrix", tables::details(matrix)),
        ],
    )
}
