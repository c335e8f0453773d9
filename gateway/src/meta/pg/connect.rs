//! The pool of connections and its limits. Together they keep the promise that a call answers
//! within [`CALL_LIMIT`] whatever the database does, and that the pool recovers by itself.

use super::super::{MetaError, Result};
use super::calls::Calls;
use super::error::from_sqlx;
use super::together::Gathering;
use super::{Pg, nodes};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use std::future::Future;
use std::pin::pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that a call may take, resolving an ambiguous commit included: 503 within 5 s.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// The longest wait for a free connection, a new one included. With the statement's limit behind
/// it, it stays below [`CALL_LIMIT`].
const ACQUIRE_LIMIT: Duration = Duration::from_millis(1500);

/// After this the database itself gives a statement up, so that it is known to have done nothing.
const STATEMENT_LIMIT: &str = "2500ms";

/// The longest wait for an answer to a commit before it counts as lost. Longer than
/// [`STATEMENT_LIMIT`], so that only a database that is gone or frozen gets there.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_millis(2800);

/// A connection idle for longer is tried before it is used; under load none is, because that
/// would double the round trips.
pub(super) const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// The longest that such a try may take.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// For this long after a call was given up, connections that come back are tried with a limit.
const SUSPICION: Duration = Duration::from_secs(10);

/// Statements kept prepared in each connection: more than there are in this program.
const STATEMENT_CACHE: usize = 256;

impl Pg {
    /// Opens a pool of at most `max_connections` to the database named by `url`, without
    /// connecting yet: a database that is away at the start is waited for like one that goes later.
    pub fn open(url: &str, max_connections: u32) -> Result<Self> {
        let pool = open(url, max_connections)?;
        let (commits, look_ups) = (Gathering::new(&pool), Gathering::new(&pool));
        Ok(Self { commits, look_ups, calls: Arc::new(Calls::new()), pool })
    }

    /// Tries to connect, and says where to and why not when that fails: the pool itself would only
    /// say that its time is up.
    pub async fn reach(&self) -> Result<()> {
        reach(&self.pool).await
    }

    /// The pool, for migrations and for the checks at the start.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Shows how many calls are under way and how the pool is.
    pub fn show_metrics(&self) {
        self.calls.show(&self.pool);
    }

    /// Lets node processes log in as the role `sixfold_node` with this password.
    pub async fn set_node_password(&self, password: &str) -> Result<()> {
        within(nodes::set_node_password(&self.pool, password)).await
    }
}

/// Opens a pool, without connecting yet.
pub(super) fn open(url: &str, max_connections: u32) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| MetaError::Broken(format!("the database's URL: {error}")))?
        .application_name("sixfold")
        .statement_cache_capacity(STATEMENT_CACHE)
        .options([
            ("statement_timeout", STATEMENT_LIMIT),
            ("plan_cache_mode", "force_generic_plan"),
            // What is looked up in one statement is distinct: remembering it never pays.
            ("enable_memoize", "off"),
        ]);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for < TRUSTED_IDLE {
                    return Ok(true);
                }
                let ping = tokio::time::timeout(PING_LIMIT, connection.ping()).await;
                Ok(matches!(ping, Ok(Ok(()))))
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                if !Unanswered::was_there_lately() {
                    return Ok(true);
                }
                // The pool's own try has no limit: a connection whose other end is gone without
                // a word would keep its place in the pool for as long as TCP believes in it.
                match tokio::time::timeout(ANSWER_LIMIT, connection.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
                }
            })
        })
        .connect_lazy_with(options))
}

/// Connects once outside the pool, to learn why it can't.
pub(super) async fn reach(pool: &PgPool) -> Result<()> {
    let options = pool.connect_options();
    let connecting = tokio::time::timeout(CALL_LIMIT, PgConnection::connect_with(&options)).await;
    let connected =
        connecting.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
    match connected {
        Ok(connection) => connection.close().await.map_err(from_sqlx),
        Err(error) => Err(MetaError::Unavailable(format!(
            "can't connect at {} ({error}): check that PostgreSQL runs there, and the name and \
             password in DATABASE_URL or --database-url",
            place(&options)
        ))),
    }
}

/// Host and port, or the socket's directory; never the user or the password.
fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Bounds a call that changes nothing, or whose loss is no secret to the caller.
pub(super) async fn within<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let mut call = pin!(call);
    // Behind the call, so that it is dropped before it: the pool is warned when the call gives its
    // connection back.
    let mut unanswered = Unanswered(true);
    match tokio::time::timeout(CALL_LIMIT, call.as_mut()).await {
        Ok(result) => {
            unanswered.0 = false;
            result
        }
        Err(_) => Err(MetaError::Unavailable(format!("no answer within {CALL_LIMIT:?}"))),
    }
}

/// A call under way. Dropped without an answer, it was given up by its limit or its caller.
struct Unanswered(bool);

/// When a call was last given up.
static GIVEN_UP: Mutex<Option<Instant>> = Mutex::new(None);

impl Unanswered {
    fn was_there_lately() -> bool {
        let given_up = GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.is_some_and(|at| at.elapsed() < SUSPICION)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.0 {
            *GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}

/// A connection, or why there is none. Nothing has been sent when this fails.
pub(super) async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>> {
    pool.acquire().await.map_err(from_sqlx)
}

/// A connection that is kept from one call to the next: the pool tries each that it gets back,
/// which is a round trip of its own.
pub(super) struct Line {
    pool: PgPool,
    kept: Option<PoolConnection<Postgres>>,
}

impl Line {
    pub(super) fn new(pool: &PgPool) -> Self {
        Self { pool: pool.clone(), kept: None }
    }

    /// The pool, for what is not done over this line.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The kept connection, or another one.
    pub(super) async fn take(&mut self) -> Result<PoolConnection<Postgres>> {
        match self.kept.take() {
            Some(connection) => Ok(connection),
            None => acquire(&self.pool).await,
        }
    }

    /// Keeps a connection that has answered. One that failed goes back to the pool instead.
    pub(super) fn keep(&mut self, connection: PoolConnection<Postgres>) {
        self.kept = Some(connection);
    }
}
