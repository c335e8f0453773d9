//! `sixfold-node DIR`: one drive, one process.

use anyhow::Context;
use clap::Parser;
use sixfold_node::admin::Admin;
use sixfold_node::config::{Arguments, Config};
use sixfold_node::registry::{Introduction, Registry, stay_registered};
use sixfold_node::rpc::{Identity, NodeService, serve};
use sixfold_node::trace::Tracer;
use sixfold_node::{Store, StoreOptions, descriptors, log, metrics, probe};
use sixfold_proto::scrape::ScrapeAccess;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Cells and stripes are hundreds of kilobytes and live for milliseconds. The system's allocator
/// gives their pages back to the kernel each time, which clears them anew; this one keeps them
/// for some seconds.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long calls that run may go on after a stop was asked for: a whole chunk on a slow line.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long calls to the system that still run at the end are waited for.
const CALLS_END: Duration = Duration::from_secs(1);

/// The exit code of a wrong command line, as `sysexits.h` has it.
const WRONG_USE: u8 = 64;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.asks_health() {
        return match once(probe::run(&arguments)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, ExitCode::FAILURE),
        };
    }
    let config = match Config::from_arguments(arguments) {
        Ok(config) => config,
        Err(error) => return fail(&error, ExitCode::from(WRONG_USE)),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(config.threads).enable_all().build();
    let run = runtime.context("can't start threads").and_then(|runtime| {
        let ended = runtime.block_on(run(config));
        // Only a drive that hangs still has calls.
        runtime.shutdown_timeout(CALLS_END);
        ended
    });
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// Runs a question that ends by itself.
fn once(question: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(question)
}

fn fail(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    eprintln!("sixfold-node: {error:#}");
    code
}

async fn run(config: Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log).with_context(|| {
        format!("`{}` (--log, RUST_LOG) is no log filter: give one like info", config.log)
    })?;
    log::start(&config.log_settings, filter)?;
    descriptors::raise_limit();
    let recorded = metrics::install().context("can't start the metrics")?;
    config.certificate_ends.iter().for_each(|ends| metrics::show_certificate("node", *ends));
    let registry = Registry::new(&config.database_url).context("the database's URL is wrong")?;
    let dir = config.dir.clone();
    let open = move || Store::open(&dir, StoreOptions::default());
    let store = Arc::new(tokio::task::spawn_blocking(open).await??);
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("can't listen on {}: choose another --listen or stop who has it", config.listen)
    })?;
    tracing::info!(
        drive.id = %store.drive_id(),
        path = %config.dir.display(),
        chunk_count = store.chunk_count(),
        "serving on {}, reached at {}",
        listener.local_addr()?,
        config.advertise
    );
    if let Some(address) = config.admin_address {
        let access = ScrapeAccess::new(address, config.admin_token);
        serve_admin(address, Admin::new(Arc::clone(&store), recorded, access)).await?;
    }
    let tracer = Tracer::start(config.trace.as_ref(), &config.advertise)
        .context("traces can't be sent to the OTLP endpoint")?;
    let introduction = Introduction {
        drive: store.drive_id(),
        address: config.advertise,
        zone: config.zone,
        weight: config.weight,
        heartbeat: config.heartbeat,
    };
    let identity = Identity::default();
    let service = NodeService::new(store.clone(), identity.clone()).traced(tracer.clone());
    let stop = stop_signal()?;
    let serving = serve(listener, service, config.admission, stop.clone().cancelled_owned());
    let heartbeats =
        tokio::spawn(stay_registered(registry, introduction, store, identity, config.scrub));
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_LIMIT).await;
    };
    tokio::select! {
        served = serving => served.context("serving failed")?,
        () = late => tracing::warn!("calls that still ran after {} s are cut", STOP_LIMIT.as_secs()),
    }
    heartbeats.abort();
    tracer.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn serve_admin(address: SocketAddr, admin: Arc<Admin>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("can't listen on {address}: choose another --admin-address or stop who has it")
    })?;
    tracing::info!("metrics on {}", listener.local_addr()?);
    tokio::spawn(admin.serve(listener));
    Ok(())
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no new calls");
        cancelled.cancel();
    });
    Ok(stop)
}
