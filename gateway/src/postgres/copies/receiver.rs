//! One copy: its slot, its generation, its receiver, its base backups. What fails is said and
//! begun again, with growing pauses.

use super::super::Cluster;
use super::super::error::{IoContext, PostgresError};
use super::super::launch::last_lines;
use super::files::{self, Generation};
use super::present::{self, Identity};
use super::{ASK_LIMIT, Place, ROLE, Seat, base, connect, late, wal};
use rustix::process::{Pid, Signal};
use sqlx::{Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// The first and the longest pause before a receiver is started again.
const PAUSE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(30)];

/// A receiver that ran for so long had no trouble at its start.
const RAN_WELL: Duration = Duration::from_secs(60);

/// How often it is looked whether a base backup is due.
const BASE_EVERY: Duration = Duration::from_secs(2);

/// The pause after a base backup that failed: each try reads the whole database.
const BASE_PAUSE: Duration = Duration::from_secs(60);

/// How soon a base backup is compared with its manifest again, and how often then: what has rotted
/// must not show on the day when it is needed.
const VERIFY_AFTER: Duration = Duration::from_hours(1);
const VERIFY_EVERY: Duration = Duration::from_hours(24);

/// How often it is looked whether the files of a copy are there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a receiver may take to end in order.
const END_LIMIT: Duration = Duration::from_secs(3);

/// How often a receiver says that it is there, in seconds.
const STATUS_INTERVAL: &str = "2";

/// What the database answers when it no longer has the WAL that a receiver needs next.
const GAP: &str = "has already been removed";

/// What a copy and those who watch it tell each other.
#[derive(Debug)]
pub(super) struct Seen {
    /// Which copy.
    pub(super) seat: Seat,
    /// The DIR that it is below, for people.
    pub(super) dir: PathBuf,
    /// Whether its generation has a base backup.
    is_complete: AtomicBool,
    /// Up to which position it said last that it has synced the log.
    synced: AtomicU64,
    /// Said when the receiver is frozen.
    pub(super) frozen: Notify,
}

impl Seen {
    pub(super) fn new(place: &Place) -> Self {
        let (seat, dir) = (place.seat, place.dir.clone());
        let (is_complete, synced) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { seat, dir, is_complete, synced, frozen: Notify::new() }
    }

    /// Whether the database could be made anew from it.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }

    /// Notes what the database was told, if it was told anything.
    pub(super) fn note_synced(&self, synced: Option<u64>) {
        if let Some(synced) = synced {
            self.synced.store(synced, Ordering::Relaxed);
        }
    }
}

/// Keeps one copy.
pub(super) struct Receiver {
    pub(super) cluster: Arc<Cluster>,
    pub(super) place: Place,
    /// The place as it was when it was chosen. A drive that is unmounted leaves a directory behind
    /// on another one, perhaps the database's.
    pub(super) chosen: Option<Identity>,
    /// Bytes of WAL since a base backup after which the next is taken.
    pub(super) renew_after: u64,
    pub(super) seen: Arc<Seen>,
    /// Held while a base backup is taken.
    pub(super) turn: Arc<Semaphore>,
}

impl Receiver {
    /// Receives until `stop`.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let [mut pause, longest] = PAUSE;
        let (mut has_gap, mut said) = (false, String::new());
        loop {
            let began = Instant::now();
            match self.receive(has_gap, &stop).await {
                Ok(()) => return,
                Err(error) => {
                    let why = error.to_string();
                    has_gap = why.contains(GAP) || matches!(error, PostgresError::CopyGone { .. });
                    let dir = self.place.dir.display();
                    // Once for as long as the reason is the same.
                    if why != said {
                        tracing::warn!(copy = %dir, "a copy of the metadata is not received: {why}");
                    }
                    said = why;
                }
            }
            if began.elapsed() > RAN_WELL {
                pause = PAUSE[0];
                said.clear();
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(longest);
        }
    }

    /// Runs one receiver until it ends, beside its base backups. Ends well at `stop` only.
    async fn receive(&self, has_gap: bool, stop: &CancellationToken) -> Result<(), PostgresError> {
        let generation = self.generation(has_gap).await?;
        wal::empty_unfinished(&generation.wal()).at("mend", &generation.path)?;
        let has_base = !generation.bases()?.is_empty();
        self.seen.is_complete.store(has_base, Ordering::Relaxed);
        let log = self.cluster.home.join(format!("{}.log", self.place.seat.slot()));
        let mut child = self.start(&generation, &log)?;
        let why = tokio::select! {
            status = child.wait() => Ok(status.at("wait for", &log)?.to_string()),
            () = self.seen.frozen.notified() => Ok("it stood still".to_owned()),
            gone = self.gone(&generation) => Err(gone),
            () = self.keep_bases(&generation, stop) => Ok(String::new()),
            () = stop.cancelled() => Ok(String::new()),
        };
        end(child).await;
        if stop.is_cancelled() {
            return Ok(());
        }
        let why = why?;
        let output = last_lines(&std::fs::read_to_string(&log).unwrap_or_default());
        Err(PostgresError::Failed { program: "pg_receivewal", why, output })
    }

    fn start(&self, generation: &Generation, log: &Path) -> Result<Child, PostgresError> {
        let cluster = &self.cluster;
        let said = std::fs::File::create(log).at("write", log)?;
        let mut command = cluster.account.command(cluster.binaries.program("pg_receivewal"));
        command.current_dir(&cluster.home).arg("--directory").arg(generation.wal());
        command.arg("--host").arg(&cluster.sockets);
        command.args(["--port", &super::super::PORT.to_string(), "--username", ROLE]);
        command.args(["--no-password", "--synchronous", "--no-loop"]);
        command.args(["--slot", &self.place.seat.slot(), "--status-interval", STATUS_INTERVAL]);
        // The database knows it by this name.
        command.env("PGAPPNAME", self.place.seat.slot());
        command.stdout(std::process::Stdio::null()).stderr(said);
        // Its own process group: a terminal's Ctrl-C is for us, who end it in order.
        command.process_group(0).kill_on_drop(true);
        command.spawn().at("start pg_receivewal for", &generation.path)
    }

    /// The generation that goes on, or a new one: at first, after a gap, and when the slot is
    /// gone, as it is after a recovery.
    async fn generation(&self, has_gap: bool) -> Result<Generation, PostgresError> {
        let program = self.cluster.binaries.program("pg_receivewal");
        if !program.is_file() {
            return Err(PostgresError::NoReceiver { program });
        }
        let now = Identity::of(&self.place.dir)?;
        if self.chosen.is_some_and(|chosen| !chosen.shares_device(now)) {
            return Err(PostgresError::OtherDevice { dir: self.place.dir.clone() });
        }
        let mut database = connect(&self.cluster).await?;
        let asked = tokio::time::timeout(ASK_LIMIT, identify(&mut database)).await;
        let identity = asked.unwrap_or_else(|_| Err(late()))?;
        let own = files::prepare(&self.cluster, &self.place, &identity).await?;
        let slot = self.place.seat.slot();
        let asked = tokio::time::timeout(ASK_LIMIT, is_usable(&mut database, &slot)).await;
        let is_usable = asked.unwrap_or_else(|_| Err(late()))?;
        let newest = files::generations(&own)?.pop();
        let goes_on = |newest: &Generation| is_usable && !has_gap && newest.wal().is_dir();
        if let Some(newest) = newest.filter(goes_on) {
            return Ok(newest);
        }
        self.seen.is_complete.store(false, Ordering::Relaxed);
        let asked = tokio::time::timeout(ASK_LIMIT, make_slot(&mut database, &slot)).await;
        asked.unwrap_or_else(|_| Err(late()))?;
        let generation = files::next_generation(&self.cluster, &own)?;
        let (dir, number) = (self.place.dir.display(), generation.number);
        tracing::info!(copy = %dir, generation = number, "a copy of the metadata is begun");
        Ok(database.close().await.map(|()| generation)?)
    }

    /// Waits until what was received is no longer there, or not all of it. Seen twice: a file that
    /// is just being renamed may be missed once.
    async fn gone(&self, generation: &Generation) -> PostgresError {
        let gone = || PostgresError::CopyGone { path: generation.path.clone() };
        let Ok(began) = Identity::of(&generation.wal()) else { return gone() };
        let mut is_doubted = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Before the look: what is said meanwhile may not have its file yet.
            let synced = self.seen.synced.load(Ordering::Relaxed);
            let (its, is_complete) = (generation.clone(), self.seen.is_complete());
            let look = move || present::is_there(&its, began, synced, is_complete);
            // A drive that hangs holds up its own look only.
            let is_missed = tokio::task::spawn_blocking(look).await.is_ok_and(|there| !there);
            if is_missed && is_doubted {
                self.seen.is_complete.store(false, Ordering::Relaxed);
                return gone();
            }
            is_doubted = is_missed;
        }
    }

    /// Takes base backups when they are due, and anew when one has rotted, until `stop`.
    async fn keep_bases(&self, generation: &Generation, stop: &CancellationToken) {
        let (mut pause, mut verify_at) = (Duration::ZERO, Instant::now() + VERIFY_AFTER);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            let is_rotten = verify_at <= Instant::now() && {
                verify_at = Instant::now() + VERIFY_EVERY;
                self.is_rotten(generation, stop).await
            };
            pause = match self.renew_base(generation, is_rotten, stop).await {
                Ok(()) => BASE_EVERY,
                Err(PostgresError::Interrupted) => return,
                Err(error) => {
                    let dir = self.place.dir.display();
                    tracing::error!(copy = %dir, "no base backup of the metadata: {error}");
                    BASE_PAUSE
                }
            };
        }
    }

    /// Whether the base backup is no longer what it was.
    async fn is_rotten(&self, generation: &Generation, stop: &CancellationToken) -> bool {
        let _turn = self.turn.acquire().await.ok();
        match base::verify_newest(&self.cluster, generation, stop).await {
            Ok(()) | Err(PostgresError::Interrupted) => false,
            Err(error) => {
                let dir = self.place.dir.display();
                tracing::error!(copy = %dir, "a base backup of the metadata has rotted: {error}");
                true
            }
        }
    }

    async fn renew_base(
        &self,
        generation: &Generation,
        is_rotten: bool,
        stop: &CancellationToken,
    ) -> Result<(), PostgresError> {
        if !is_rotten && !base::is_due(generation, self.renew_after)? {
            return Ok(());
        }
        // Never closed; without a turn nothing is lost but order.
        let _turn = self.turn.acquire().await.ok();
        let began = Instant::now();
        base::take(&self.cluster, generation, stop).await?;
        self.seen.is_complete.store(true, Ordering::Relaxed);
        let (dir, duration_ms) = (self.place.dir.display(), began.elapsed().as_millis());
        tracing::info!(copy = %dir, duration_ms, "a base backup of the metadata is complete");
        let Some(own) = generation.path.parent() else { return Ok(()) };
        for older in files::generations(own)? {
            if older.number < generation.number {
                std::fs::remove_dir_all(&older.path).at("remove", &older.path)?;
            }
        }
        Ok(())
    }
}

/// Ends a receiver: in order, then at once; a frozen one takes only the second.
async fn end(mut child: Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "a receiver could not be ended");
    }
}

/// Sees to it that there is the role, and answers the database's own name for itself.
async fn identify(database: &mut PgConnection) -> Result<String, sqlx::Error> {
    // Two receivers begin at once, and there is no "if not exists" for a role.
    sqlx::raw_sql(
        "do $$ begin create role sixfold_copy login replication;
         exception when duplicate_object or unique_violation then null; end $$",
    )
    .execute(&mut *database)
    .await?;
    let name = "select system_identifier::text from pg_control_system()";
    sqlx::query_scalar(name).fetch_one(database).await
}

/// Whether the slot is there and the database still keeps WAL for it.
async fn is_usable(database: &mut PgConnection, slot: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from pg_replication_slots
                        where slot_name = $1 and wal_status <> 'lost')",
    )
    .bind(slot)
    .fetch_one(database)
    .await
}

/// Makes the slot anew: from now on the database keeps WAL for it.
async fn make_slot(database: &mut PgConnection, slot: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1",
    )
    .bind(slot)
    .execute(&mut *database)
    .await?;
    sqlx::query("select pg_create_physical_replication_slot($1, true)")
        .bind(slot)
        .execute(database)
        .await
        .map(drop)
}
