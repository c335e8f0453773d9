//! The node in the cluster's registry: it registers once per start, then says every few
//! seconds that it lives and how it is. Both are functions in the database, the only thing
//! there that the node's role may call.

use crate::history;
use crate::rows::Rows;
use crate::rpc::{Identity, Registered};
use crate::scrub::{Scrub, ScrubSettings};
use crate::store::Store;
use anyhow::Context;
use async_trait::async_trait;
use sixfold_proto::chunks::{Chunks, DriveState, Health};
use sixfold_proto::convert::state_name;
use sixfold_proto::history::{Mark, Witnessed};
use sixfold_proto::jobs::JobReport;
use sixfold_proto::name::{ChunkName, CopyNumber, NodeNumber};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

/// How often the node says that it lives, unless it is told otherwise.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// How long one call of the database may take; less than a heartbeat, so that none queue up.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// The wait before registering is tried again, doubled each time up to the second one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);
const LAST_BACK_OFF: Duration = Duration::from_secs(10);

/// What the node says of itself when it registers.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The id on its drive.
    pub drive: Uuid,
    /// The URL at which gateways reach it.
    pub address: String,
    /// Its failure domain.
    pub zone: String,
    /// Its share of new chunks.
    pub weight: f64,
    /// How often it says that it lives.
    pub heartbeat: Duration,
}

/// What the registry answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The node's number, the same for this drive at every start.
    pub number: NodeNumber,
    /// The number of this registration, higher at every start.
    pub registration: i64,
    /// The cluster.
    pub cluster: Uuid,
    /// What an operator had decided of the node before.
    pub standing: Standing,
}

/// What the registry holds of a node, beyond what the node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A member like others.
    Member,
    /// It is being emptied and takes no new chunks.
    Draining,
    /// An operator removed it.
    Removed,
    /// A newer registration has taken its place.
    Replaced,
}

impl Standing {
    /// By the state in the node's row; none when this registration is not the newest.
    fn of(state: Option<&str>) -> Self {
        match state {
            None => Self::Replaced,
            Some("draining") => Self::Draining,
            Some("removed") => Self::Removed,
            Some(_) => Self::Member,
        }
    }
}

/// Why a call of the registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The database failed it.
    #[error(transparent)]
    Database(sqlx::Error),
    /// The functions that a node calls are not there.
    #[error("the database has no schema of Sixfold yet, or an older one: run `sixfold migrate`")]
    NoSchema,
    /// No answer in time.
    #[error("no answer from the database within {} s", CALL_LIMIT.as_secs())]
    Late,
    /// A number that no node can have.
    #[error("the registry gave the number {0}, which no node can have")]
    Number(i16),
}

/// A call of a function that does not exist.
const UNDEFINED_FUNCTION: &str = "42883";

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.as_deref() == Some(UNDEFINED_FUNCTION) {
            return Self::NoSchema;
        }
        Self::Database(error)
    }
}

/// The registry, reached over a pool that connects when it is first used.
#[derive(Clone, Debug)]
pub struct Registry {
    pool: PgPool,
}

impl Registry {
    /// Reads the URL; connects to nothing yet.
    pub fn new(database_url: &str) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CALL_LIMIT);
        Ok(Self { pool: pool.connect_lazy(database_url)? })
    }

    /// Registers the drive, or registers it again.
    pub async fn register(&self, node: &Introduction) -> Result<Registration, RegistryError> {
        let sql = "select number, registration, cluster, state from node_register($1, $2, $3, $4)";
        let query = sqlx::query_as::<_, (i16, i64, Uuid, String)>(sql)
            .bind(node.drive)
            .bind(&node.address)
            .bind(&node.zone)
            .bind(node.weight);
        let row = timeout(CALL_LIMIT, query.fetch_one(&self.pool)).await;
        let (number, registration, cluster, state) = row.map_err(|_| RegistryError::Late)??;
        let plain = u16::try_from(number).map_err(|_| RegistryError::Number(number))?;
        let (number, standing) = (NodeNumber(plain), Standing::of(Some(&state)));
        Ok(Registration { number, registration, cluster, standing })
    }

    /// Says how the node with this drive is, and learns where it stands.
    pub async fn heartbeat(
        &self,
        drive: Uuid,
        registration: &Registration,
        health: &Health,
    ) -> Result<Standing, RegistryError> {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let sql = "select node_heartbeat($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query_scalar::<_, Option<String>>(sql)
            .bind(drive)
            .bind(registration.registration)
            .bind(registry_state(health.state))
            .bind(bytes(health.capacity_bytes))
            .bind(bytes(health.free_bytes))
            .bind(bytes(health.chunk_count));
        let row = timeout(CALL_LIMIT, query.fetch_one(&self.pool)).await;
        let state = row.map_err(|_| RegistryError::Late)??;
        Ok(Standing::of(state.as_deref()))
    }
}

/// The rows of a registered node.
struct NodeRows {
    registry: Registry,
    drive: Uuid,
    registration: i64,
}

impl NodeRows {
    /// Calls a function that is given the drive, the registration and two lists.
    async fn call<A, B>(
        &self,
        sql: &'static str,
        first: Vec<A>,
        second: Vec<B>,
    ) -> anyhow::Result<()>
    where
        Vec<A>: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
        Vec<B>: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let query = sqlx::query(sql)
            .bind(self.drive)
            .bind(self.registration)
            .bind(first)
            .bind(second)
            .execute(&self.registry.pool);
        let done = timeout(CALL_LIMIT, query).await.map_err(|_| RegistryError::Late)?;
        done.map_err(RegistryError::from)?;
        Ok(())
    }
}

#[async_trait]
impl Rows for NodeRows {
    async fn mark_rotten(&self, chunks: &[ChunkName]) -> anyhow::Result<()> {
        let extents = chunks.iter().map(|name| name.extent.to_uuid()).collect();
        let indexes = chunks.iter().map(|name| i16::from(name.index.get())).collect();
        self.call::<Uuid, i16>("select node_mark_rotten($1, $2, $3, $4)", extents, indexes).await
    }

    async fn witness(
        &self,
        marks: &[Mark],
        kept: CopyNumber,
        is_first: bool,
    ) -> anyhow::Result<Witnessed> {
        let numbers = marks.iter().map(|mark| mark.number.cast_signed()).collect::<Vec<_>>();
        let tags = marks.iter().map(|mark| mark.tag).collect::<Vec<_>>();
        let sql = "select number, tag, known, released from node_witness($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query_as::<_, (i64, Uuid, Vec<bool>, i64)>(sql)
            .bind(self.drive)
            .bind(self.registration)
            .bind(numbers)
            .bind(tags)
            .bind(kept.0.cast_signed())
            .bind(is_first);
        let row = timeout(CALL_LIMIT, query.fetch_optional(&self.registry.pool)).await;
        let row = row.map_err(|_| RegistryError::Late)?.map_err(RegistryError::from)?;
        let (number, tag, known, released) = row.context("this registration is not the newest")?;
        let known = marks.iter().zip(known).filter(|(_, is_known)| *is_known);
        Ok(Witnessed {
            mark: Mark { number: number.cast_unsigned(), tag },
            known: known.map(|(mark, _)| *mark).collect(),
            released: CopyNumber(released.cast_unsigned()),
        })
    }

    async fn report_jobs(&self, reports: &[JobReport]) -> anyhow::Result<()> {
        let jobs = reports.iter().map(|report| report.name.clone()).collect();
        let states = reports.iter().map(JobReport::to_json).collect();
        self.call::<String, String>("select node_report_jobs($1, $2, $3, $4)", jobs, states).await
    }
}

/// The registry's word for a state: a node that is well is `active` there.
fn registry_state(state: DriveState) -> &'static str {
    match state {
        DriveState::Ok => "active",
        other => state_name(other),
    }
}

/// Registers, however long the database is away, then sends heartbeats and scrubs until dropped. A
/// node that was removed, or whose place a newer registration has taken, is fenced and falls silent.
pub async fn stay_registered(
    registry: Registry,
    introduction: Introduction,
    store: Arc<Store>,
    identity: Identity,
    scrub: ScrubSettings,
) {
    let drive = introduction.drive;
    let registration = register_until_done(&registry, &introduction).await;
    let number = registration.number;
    let (joining, cluster) = (Arc::clone(&store), registration.cluster);
    let joined = tokio::task::spawn_blocking(move || joining.join(cluster)).await;
    if let Err(error) = joined.map_err(anyhow::Error::from).and_then(|joined| Ok(joined?)) {
        store.fence();
        tracing::error!(error = format!("{error:#}"), "this node refuses changes");
        return;
    }
    store.set_node(number);
    let registered = registration.registration.unsigned_abs();
    tracing::info!(
        node.number = number.0,
        node.registration = registered,
        cluster.id = %registration.cluster,
        drive.id = %drive,
        "registered as node {number}"
    );
    if !take_standing(registration.standing, number, &store) {
        return;
    }
    identity.set(Registered { node: number, registration: registered });
    let rows =
        NodeRows { registry: registry.clone(), drive, registration: registration.registration };
    let rows = Arc::new(rows);
    let scrub = Scrub::new(Arc::clone(&store), rows.clone(), cluster, scrub);
    tokio::select! {
        () = beat(&registry, &registration, introduction.heartbeat, &store) => {}
        () = scrub.run() => {}
        () = history::keep(Arc::clone(&store), rows) => {}
    }
}

/// Says that the node lives until it is a member no more.
async fn beat(registry: &Registry, registration: &Registration, every: Duration, store: &Store) {
    let (number, drive) = (registration.number, store.drive_id());
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut database_answers = true;
    loop {
        ticks.tick().await;
        // Without the drive's numbers the node is not well; its silence says so.
        let Ok(health) = store.health().await else {
            tracing::error!("the drive does not tell its size; no heartbeat is sent");
            continue;
        };
        match registry.heartbeat(drive, registration, &health).await {
            Ok(standing) => {
                if !std::mem::replace(&mut database_answers, true) {
                    tracing::info!("the database answers again");
                }
                if !take_standing(standing, number, store) {
                    return;
                }
            }
            Err(error) => {
                if std::mem::replace(&mut database_answers, false) {
                    tracing::warn!(%error, "heartbeats fail; chunks are served on");
                }
            }
        }
    }
}

/// Does what the node's standing asks for; `false` when it is a member no more.
fn take_standing(standing: Standing, number: NodeNumber, store: &Store) -> bool {
    match standing {
        Standing::Member => store.set_draining(false),
        Standing::Draining => store.set_draining(true),
        Standing::Removed => {
            store.fence();
            tracing::error!(
                node.number = number.0,
                drive.id = %store.drive_id(),
                "node {number} was removed from the cluster: this process refuses changes from \
                 now on. Stop it; to use the drive again, empty it first"
            );
            return false;
        }
        Standing::Replaced => {
            store.fence();
            tracing::error!(
                node.number = number.0,
                drive.id = %store.drive_id(),
                "another process has registered this drive as node {number}: this one refuses \
                 changes from now on. Stop one of the two, and never run a copy of a drive"
            );
            return false;
        }
    }
    true
}

async fn register_until_done(registry: &Registry, introduction: &Introduction) -> Registration {
    let mut back_off = FIRST_BACK_OFF;
    loop {
        match registry.register(introduction).await {
            Ok(registration) => return registration,
            Err(error) => {
                let wait_ms = u64::try_from(back_off.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(%error, wait_ms, "can't register yet; reads are served meanwhile");
            }
        }
        sleep(back_off).await;
        back_off = (back_off * 2).min(LAST_BACK_OFF);
    }
}
