//! A gateway as the product builds it: operations, data path, leases and jobs, over the simulated
//! network and database.

use super::network::{Dial, Network};
use super::process::Process;
use super::rows::{Database, Rows};
use super::world::World;
use crate::app::App;
use crate::auth::Caller;
use crate::data::{CurrentLease, Data, DataLimits};
use crate::jobs::{self, JobPace, Mover, Paces, Runner};
use crate::lease::{Lease, LeasePace};
use crate::meta::Meta;
use crate::meta::types::User;
use crate::nodes::{BreakerLimits, Directory, NodeLimits};
use crate::s3::service::Service;
use crate::shutdown::Shutdown;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// What every process of the run shares.
pub(super) struct Surroundings {
    pub(super) world: Arc<World>,
    pub(super) network: Arc<Network>,
    pub(super) database: Arc<Database>,
    pub(super) cluster: Uuid,
    pub(super) user: User,
}

/// A gateway, and the one that takes its place after a crash.
pub(super) struct Gateway {
    around: Arc<Surroundings>,
    name: String,
    running: Mutex<Option<Running>>,
}

#[derive(Clone)]
struct Running {
    process: Arc<Process>,
    service: Option<Arc<S3Service>>,
}

/// What a client sends.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// How long the client takes for each piece of the answer.
    pub(super) reads_slowly: Duration,
}

/// What it gets: the body with `Err` when the answer was cut.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Bytes, String>,
}

/// How long a client waits for an answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);

struct OneCaller(User);

#[async_trait::async_trait]
impl S3Access for OneCaller {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let caller = Caller { user: self.0.clone(), access_key: "key".to_owned() };
        context.extensions_mut().insert(caller);
        Ok(())
    }
}

/// The times of the product, shorter where that only makes a run shorter.
fn lease_pace() -> LeasePace {
    LeasePace {
        renew_every: Duration::from_secs(2),
        change_every: Duration::from_secs(30),
        keep_changed: Duration::from_secs(90),
    }
}

fn paces() -> Paces {
    let every = |seconds| JobPace {
        first_after: Duration::from_secs(seconds),
        every: Duration::from_secs(seconds),
        between: Duration::from_millis(10),
    };
    Paces {
        collect: every(3),
        collect_after: Duration::from_secs(6),
        sweep: every(8),
        heal: every(4),
        rebalance: every(5),
        check: every(60),
        expire_uploads: every(20),
        upload_idle: Duration::from_secs(120),
        end_leases: every(3),
        lease_silent: Duration::from_secs(8),
    }
}

fn node_limits() -> NodeLimits {
    NodeLimits {
        refresh_every: Duration::from_secs(2),
        silent_after: Duration::from_secs(4),
        dead_after: Duration::from_secs(6),
        hold_down: Duration::from_secs(20),
        tokens: 16,
        breaker: BreakerLimits { half_open_after: Duration::from_secs(4), ..Default::default() },
        ..NodeLimits::default()
    }
}

fn data_limits() -> DataLimits {
    DataLimits {
        stripes_per_extent: 2,
        // Less than a large value has, so that a slow reader asks for the rest much later.
        stripes_read_ahead: 1,
        spread_wait: Duration::from_secs(8),
        cell_wait: Duration::from_secs(1),
        ..DataLimits::default()
    }
}

/// Tries until it succeeds: a process that starts waits for its database.
macro_rules! until_done {
    ($call:expr) => {
        loop {
            match $call.await {
                Ok(done) => break done,
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    };
}

impl Gateway {
    pub(super) fn new(around: &Arc<Surroundings>, index: usize) -> Arc<Self> {
        let (around, name) = (Arc::clone(around), format!("g{index}"));
        Arc::new(Self { around, name, running: Mutex::default() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn running(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn process(&self) -> Option<Arc<Process>> {
        self.running().map(|running| running.process)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.process().is_none_or(|process| process.is_dead())
    }

    /// Whether it takes requests.
    pub(super) fn is_ready(&self) -> bool {
        let is_ready = |running: Running| running.service.is_some() && running.process.is_running();
        self.running().is_some_and(is_ready)
    }

    /// Starts it anew.
    pub(super) fn start(self: &Arc<Self>) {
        let process = Process::new(self.name.clone());
        self.around.world.note(format!("{} starts", self.name));
        let running = Running { process: Arc::clone(&process), service: None };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        let (gateway, own) = (Arc::clone(self), Arc::clone(&process));
        process.spawn(async move {
            let service = Some(Arc::new(gateway.build(&own).await));
            let running = Running { process: Arc::clone(&own), service };
            *gateway.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        });
    }

    /// What `role` does for the product.
    async fn build(&self, process: &Arc<Process>) -> S3Service {
        let around = &self.around;
        let rows = Rows::of(&around.database, process);
        let meta: Arc<dyn Meta> = Arc::new(rows);
        let dial = Dial { network: Arc::clone(&around.network), gateway: Arc::clone(process) };
        let (nodes, dial) = (HashMap::new(), Some(Arc::new(dial) as _));
        let directory =
            Directory::connected(around.cluster, meta.clone(), nodes, dial, node_limits());
        until_done!(directory.refresh());
        let begin = |pace| Lease::begin(meta.clone(), self.name.clone(), pace);
        let lease = until_done!(begin(lease_pace()));
        let movers = until_done!(begin(lease_pace()));
        let current = Arc::clone(&lease) as Arc<dyn CurrentLease>;
        let data = Data::new(directory.clone(), meta.clone(), Arc::clone(&current), data_limits());
        let reads = data.clone();
        lease.publish_reads(move || reads.oldest_read());
        let mover = Mover::new(data.clone(), Arc::clone(&movers) as Arc<dyn CurrentLease>);
        let shutdown = Shutdown::default();
        for lease in [&lease, &movers] {
            let (lease, stop) = (Arc::clone(lease), shutdown.token().clone());
            shutdown.spawn("lease", async move { lease.keep(&stop).await });
        }
        shutdown.spawn("directory", directory.clone().watch(shutdown.token().clone()));
        Runner::default().start(jobs::all(&meta, &directory, &mover, &paces()), &shutdown);
        let app = Arc::new(App::new("us-east-1".to_owned(), meta, data, current));
        let mut builder = S3ServiceBuilder::new(Service::new(app));
        builder.set_auth(SimpleAuth::new());
        builder.set_access(OneCaller(around.user.clone()));
        builder.build()
    }

    /// Sends a request and waits; `None` when no answer came.
    pub(super) async fn send(&self, asked: Asked) -> Option<Answer> {
        let running = self.running()?;
        let service = running.service?;
        let (sender, answer) = oneshot::channel();
        running.process.spawn(async move {
            let _ = sender.send(answered(&service, asked).await);
        });
        tokio::select! {
            biased;
            answer = answer => answer.ok(),
            () = running.process.died() => None,
            () = tokio::time::sleep(CLIENT_PATIENCE) => None,
        }
    }
}

async fn answered(service: &S3Service, asked: Asked) -> Answer {
    let mut request =
        Request::builder().method(asked.method).uri(asked.path).header("host", "localhost");
    request = request.header("content-length", asked.body.len());
    for (name, value) in asked.headers {
        request = request.header(name, value);
    }
    let response = service.call(request.body(Body::from(asked.body)).unwrap()).await.unwrap();
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let mut cut = None;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(error) => cut = Some(error.to_string()),
        }
        if cut.is_some() {
            break;
        }
        tokio::time::sleep(asked.reads_slowly).await;
    }
    let body = cut.map_or(Ok(bytes.into()), Err);
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

impl Answer {
    /// The texts of all elements of that name.
    pub(super) fn elements(&self, name: &str) -> Vec<String> {
        if self.header("content-type") != Some("application/xml") {
            return Vec::new();
        }
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
        let text = text.unwrap_or_default();
        let pieces = text.split(&open).skip(1);
        let inner = pieces.filter_map(|piece| piece.split_once(&close));
        inner.map(|(text, _)| text.replace("&quot;", "\"")).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
