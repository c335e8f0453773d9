//! What a server and a gateway have in common, from the rows up to the listeners.

use super::readiness::Watch;
use super::root::ROOT;
use crate::app::App;
use crate::auth::Identities;
use crate::auth::access::Access;
use crate::auth::keys::Keys;
use crate::auth::secrets::Secrets;
use crate::config::{ClusterConfig, Config};
use crate::data::{CurrentLease, Data};
use crate::http::admin::Admin;
use crate::http::front::{Front, FrontSettings};
use crate::http::health::Health;
use crate::http::listener::{self, Limits};
use crate::http::tls::Tls;
use crate::jobs::{self, Check, JobPace, Mover, Nodes, Paces, Runner};
use crate::lease::Lease;
use crate::meta::checks::Checks;
use crate::meta::pg::Pg;
use crate::meta::{Meta, MetaError};
use crate::metrics::{Certificate, Scrape, Sources};
use crate::nodes::{BreakerState, Directory, Entry, RemoteSettings, Snapshot};
use crate::postgres::checks;
use crate::pressure::Pressure;
use crate::s3::service::Service;
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry::trace::Tracer;
use anyhow::Context;
use futures::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use sixfold_node::certificate::ends_in_pem;
use sixfold_node::{Store, descriptors};
use sixfold_proto::jobs::{BREAKERS, JobReport};
use sixfold_proto::scrape::ScrapeAccess;
use sixfold_proto::secret::ClusterSecret;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What the other tasks have beyond the requests' own time to finish.
pub(super) const STOP_MARGIN: Duration = Duration::from_secs(3);

/// How long the drives may take to leave their journal.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);

/// Connections at once for health and metrics: some probes and a scraper or two.
const ADMIN_CONNECTIONS: usize = 64;

/// Both addresses, bound before anything slow so that a busy port is said at once.
pub(super) struct Listeners {
    pub(super) s3: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) tls: Option<Tls>,
}

impl Listeners {
    /// Binds both and reads the certificate.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let http = &config.http;
        let tls = match &http.tls {
            Some(files) => Some(Tls::load(&files.certificate, &files.key)?),
            None => None,
        };
        Ok(Self {
            s3: listener::bind(http.address, "--address").await?,
            admin: listener::bind(http.admin_address, "--admin-address").await?,
            tls,
        })
    }
}

/// Connects to the database and checks that a row may be trusted to it.
pub(super) async fn database(url: &str, config: &Config) -> anyhow::Result<Pg> {
    let pg = Pg::open(url, config.database.max_connections)?;
    check(&pg).await?;
    Ok(pg)
}

/// Checks that the database can be reached and that a row may be trusted to it.
pub(super) async fn check(pg: &Pg) -> anyhow::Result<()> {
    pg.reach().await?;
    let mut connection = pg.pool().acquire().await.context("can't connect to the database")?;
    checks::check(&mut connection).await.context("the database is refused")
}

/// How nodes in other processes are called, with the secret and the certificates read and
/// understood. None where neither is set: no node would answer.
pub(super) fn remote(cluster: &ClusterConfig) -> anyhow::Result<Option<RemoteSettings>> {
    let secret = cluster.secret.as_deref().map(ClusterSecret::parse).transpose()?;
    let has_secret = secret.is_some();
    let settings = RemoteSettings::new(secret);
    let Some(tls) = &cluster.tls else { return Ok(has_secret.then_some(settings)) };
    let read = |path: &Path| {
        let shown = path.display();
        std::fs::read_to_string(path).with_context(|| format!("can't read {shown}"))
    };
    let (certificate, key) = (read(&tls.certificate)?, read(&tls.key)?);
    let settings = settings.with_tls(&certificate, &key, &read(&tls.authority)?);
    settings.map(Some).context(
        "cluster.tls_cert, cluster.tls_key or cluster.tls_ca is not PEM, or the key is another's",
    )
}

/// Starts to send traces, if they are asked for.
pub(super) fn tracer(config: &Config, listeners: &Listeners) -> anyhow::Result<Tracer> {
    let instance = process_name(listeners.s3.local_addr()?);
    let tracer = Tracer::start(config.trace.as_ref(), &instance);
    tracer.context("traces can't be sent to trace.endpoint")
}

/// The handles of a running process.
pub(super) struct Parts {
    /// The database, for what only it can tell.
    pub(super) pg: Pg,
    pub(super) meta: Arc<dyn Meta>,
    /// The same rows.
    pub(super) checks: Arc<dyn Checks>,
    pub(super) keys: Arc<Keys>,
    pub(super) directory: Arc<Directory>,
    pub(super) lease: Arc<Lease>,
    /// What heal and rebalance write under.
    pub(super) movers: Arc<Lease>,
    /// The drives of embedded nodes.
    pub(super) drives: Vec<Arc<Store>>,
    pub(super) shutdown: Shutdown,
    pub(super) tracer: Tracer,
}

impl Parts {
    /// Starts everything between the nodes and the listeners, and serves until the stop.
    pub(super) async fn serve(
        &self,
        config: &Config,
        listeners: Listeners,
        signals: &mut Signals,
        recorded: PrometheusHandle,
        announce: impl FnOnce(),
    ) -> anyhow::Result<()> {
        let lease = Arc::clone(&self.lease) as Arc<dyn CurrentLease>;
        let data = Data::new(
            Arc::clone(&self.directory),
            Arc::clone(&self.meta),
            lease.clone(),
            config.data.clone(),
        );
        let (reads, bytes) = (data.clone(), data.clone());
        self.lease.publish_reads(move || reads.oldest_read());
        let app = App::new(config.s3.region.clone(), Arc::clone(&self.meta), data, lease);
        self.keep_watch(config, &bytes, process_name(listeners.s3.local_addr()?));
        if let Some(bucket) = &config.s3.bucket {
            self.create_bucket(bucket).await?;
        }
        let health = Health::new();
        let pressure = bytes.pressure();
        let front = self.front(config, app, health.clone())?;
        let watch = Watch {
            health: health.clone(),
            meta: Arc::clone(&self.meta),
            directory: Arc::clone(&self.directory),
            lease: Arc::clone(&self.lease),
        };
        self.shutdown.spawn("readiness", watch.run(self.shutdown.token().clone()));
        let sources = self.sources(config, &listeners, &health, &front, bytes);
        let access =
            ScrapeAccess::new(listeners.admin.local_addr()?, config.http.admin_token.clone());
        let admin = Admin::new(&health, Scrape::new(sources, recorded), access);
        self.listen(config, listeners, front, admin, pressure);
        announce();
        let signal = signals.received().await;
        tracing::info!(signal, "stopping: requests in progress are finished");
        Ok(())
    }

    /// Ends what was begun, in the opposite order; says what did not finish.
    pub(super) async fn finish(&self) {
        for name in self.shutdown.finish().await {
            tracing::warn!(task = name, "did not finish in time");
        }
        for lease in [&self.movers, &self.lease] {
            if let Err(error) = lease.end().await {
                tracing::warn!("the lease could not be ended, it will expire: {error}");
            }
        }
        self.tracer.stop().await;
    }

    /// Makes the drives whole without the journal that they share; the last thing they are asked.
    /// One that hangs is completed at the next start.
    pub(super) async fn leave_journal(&self) {
        let left = join_all(self.drives.iter().map(|drive| drive.leave_journal()));
        if timeout(LEAVE_LIMIT, left).await.is_err() {
            tracing::error!("a drive hangs: it needs its journal at the next start");
        }
    }

    fn front(&self, config: &Config, app: App, health: Health) -> anyhow::Result<Front> {
        let settings = FrontSettings {
            region: config.s3.region.clone(),
            domains: config.s3.domains.clone(),
            max_requests: config.http.max_requests,
            body_idle: config.http.body_idle,
            pressure: app.data.pressure(),
            slow_after: config.log.slow_after,
            tracer: self.tracer.clone(),
        };
        let identities = Arc::clone(&self.keys) as Arc<dyn Identities>;
        let service = crate::http::s3s::service(
            Service::new(Arc::new(app)),
            Secrets::new(Arc::clone(&identities)),
            Access::new(identities),
            &settings,
        )?;
        Ok(Front::new(service, health, settings))
    }

    /// Lease, directory and jobs run beside the requests.
    fn keep_watch(&self, config: &Config, data: &Data, process: String) {
        let stop = self.shutdown.token();
        let (lease, token) = (Arc::clone(&self.lease), stop.clone());
        self.shutdown.spawn("lease", async move { lease.keep(&token).await });
        let (movers, token) = (Arc::clone(&self.movers), stop.clone());
        self.shutdown.spawn("lease of movers", async move { movers.keep(&token).await });
        self.shutdown.spawn("directory", Arc::clone(&self.directory).watch(stop.clone()));
        let movers = Arc::clone(&self.movers) as Arc<dyn CurrentLease>;
        let mover = Mover::new(data.clone(), Arc::clone(&movers));
        let paces = paces(config);
        let mut jobs = jobs::all(&self.meta, &self.directory, &mover, &paces);
        let (meta, checks) = (Arc::clone(&self.meta), Arc::clone(&self.checks));
        let nodes = Arc::clone(&self.directory) as Arc<dyn Nodes>;
        jobs.push(Arc::new(Check::new(meta, checks, nodes, movers, &paces)));
        let runner = Runner::default();
        runner.start(jobs, &self.shutdown);
        let directory = Arc::clone(&self.directory);
        let told = move || JobReport {
            name: BREAKERS.to_owned(),
            result: Some(breakers(&directory.snapshot())),
            ..JobReport::default()
        };
        let tell = runner.tell(Arc::clone(&self.meta), process, told, stop.clone());
        self.shutdown.spawn("job states", tell);
    }

    /// What a scrape looks at.
    fn sources(
        &self,
        config: &Config,
        listeners: &Listeners,
        health: &Health,
        front: &Front,
        data: Data,
    ) -> Sources {
        let mut certificates = Vec::new();
        if let Some(tls) = &listeners.tls {
            certificates.push(("s3", Certificate::Listener(tls.clone())));
        }
        let cluster = config.cluster.tls.as_ref();
        let pem = cluster.and_then(|tls| std::fs::read_to_string(&tls.certificate).ok());
        if let Some(ends) = pem.as_deref().and_then(ends_in_pem) {
            certificates.push(("cluster", Certificate::Ends(ends)));
        }
        Sources {
            pg: self.pg.clone(),
            directory: Arc::clone(&self.directory),
            data,
            lease: Arc::clone(&self.lease),
            health: health.clone(),
            front: front.clone(),
            drives: self.drives.clone(),
            certificates,
        }
    }

    fn listen(
        &self,
        config: &Config,
        listeners: Listeners,
        front: Front,
        admin: Admin,
        pressure: Pressure,
    ) {
        let limits = Limits {
            connections: descriptors::connections(config.http.max_connections),
            header: config.http.header_timeout,
            stall: config.http.stall,
            drain: config.http.drain,
        };
        let stop = self.shutdown.token().clone();
        if let Some(tls) = listeners.tls.clone() {
            self.shutdown.spawn("tls", tls.reload_when_changed(stop.clone()));
        }
        let noting = front.clone();
        let refused = move |status, peer| noting.note_refused(status, peer);
        let handle = move |request| {
            let front = front.clone();
            async move { front.handle(request).await }
        };
        let handles = (handle, refused);
        let yields = pressure.clone();
        let s3 = listener::serve(listeners.s3, listeners.tls, limits, yields, stop, handles);
        self.shutdown.spawn("s3 listener", s3);
        // Probes and scrapes are answered until the end: a load balancer learns here to look
        // elsewhere, and whoever restarts what does not live must not do so in the midst of a stop.
        let stop = CancellationToken::clone(self.shutdown.last_token());
        let limits = Limits { connections: ADMIN_CONNECTIONS, ..limits };
        let admin = Arc::new(admin);
        let handle = move |request| {
            let admin = Arc::clone(&admin);
            async move { admin.answer(&request).await }
        };
        let handles = (handle, |_, _| ());
        let admin = listener::serve(listeners.admin, None, limits, pressure, stop, handles);
        self.shutdown.spawn_last("admin listener", admin);
    }

    async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        let root = self.meta.user(ROOT).await?.context("there is no root user yet")?;
        match self.meta.create_bucket(name, root.id).await {
            Ok(_) => tracing::info!(bucket = name, "created the bucket that S3_BUCKET names"),
            Err(MetaError::BucketExists { .. }) => {}
            Err(error) => return Err(error).context("can't create the bucket of S3_BUCKET"),
        }
        Ok(())
    }
}

/// Which nodes' breakers are not closed in this process, for people: `closed` when all are.
fn breakers(snapshot: &Snapshot) -> String {
    let nodes = snapshot.entries().filter_map(Entry::node);
    let told = nodes.filter_map(|node| match node.breaker() {
        BreakerState::Closed => None,
        BreakerState::Open => Some(format!("node {} open", node.number())),
        BreakerState::HalfOpen => Some(format!("node {} half open", node.number())),
    });
    let told = told.collect::<Vec<_>>();
    if told.is_empty() { "closed".to_owned() } else { told.join(", ") }
}

/// What this process is called where processes are listed.
fn process_name(s3: SocketAddr) -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), s3.port())
}

/// The jobs' paces with what the settings change.
fn paces(config: &Config) -> Paces {
    let times = &config.times;
    let at =
        |pace: JobPace, every| JobPace { every, first_after: pace.first_after.min(every), ..pace };
    let defaults = Paces::default();
    Paces {
        collect: at(defaults.collect, times.collect_every),
        collect_after: times.freed_for,
        sweep: at(defaults.sweep, times.sweep_every),
        heal: at(defaults.heal, times.heal_every),
        check: defaults.check,
        rebalance: at(defaults.rebalance, times.rebalance_every),
        expire_uploads: at(defaults.expire_uploads, times.expire_every),
        upload_idle: times.upload_idle,
        end_leases: at(defaults.end_leases, times.lease_renewal),
        lease_silent: times.lease_expiry,
    }
}
