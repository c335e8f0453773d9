//! What happens when the database, or the way to it, is gone: through a proxy that loses what it
//! should forward.

use super::super::conformance::fixture::{Fixture, done};
use super::super::testing::{TestDatabase, fresh_database};
use super::super::types::CommitOutcome;
use super::super::{Meta, MetaError};
use super::{CALL_LIMIT, Pg};
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

const PASS: u8 = 0;
const LOSE_ANSWERS: u8 = 1;
const LOSE_ALL: u8 = 2;

/// Room for the scheduling of a busy machine on top of the limit.
const SLACK: Duration = Duration::from_secs(20);

/// Forwards connections to the database's socket until told to lose what comes.
struct Proxy {
    address: std::net::SocketAddr,
    /// The fault of connections made from now on; earlier ones may have another.
    fault: Arc<Mutex<Arc<AtomicU8>>>,
}

impl Proxy {
    async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(Arc::new(AtomicU8::new(PASS))));
        let current = fault.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let fault = current.lock().unwrap().clone();
                tokio::spawn(forward(client, socket.clone(), fault));
            }
        });
        Self { address, fault }
    }

    /// Sets the fault of the connections there are, and of new ones.
    fn set(&self, fault: u8) {
        self.fault.lock().unwrap().store(fault, Ordering::SeqCst);
    }

    /// Sets the fault of the connections there are; new ones pass.
    fn set_for_existing(&self, fault: u8) {
        let mut current = self.fault.lock().unwrap();
        current.store(fault, Ordering::SeqCst);
        *current = Arc::new(AtomicU8::new(PASS));
    }
}

async fn forward(client: TcpStream, socket: PathBuf, fault: Arc<AtomicU8>) {
    let server = UnixStream::connect(socket).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 65536];
        while let Ok(size @ 1..) = from_client.read(&mut buffer).await {
            if fault.load(Ordering::SeqCst) < LOSE_ALL {
                to_server.write_all(&buffer[..size]).await.ok();
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 65536];
        while let Ok(size @ 1..) = from_server.read(&mut buffer).await {
            if fault.load(Ordering::SeqCst) < LOSE_ANSWERS {
                to_client.write_all(&buffer[..size]).await.ok();
            }
        }
    };
    tokio::join!(requests, answers);
}

/// A database, a proxy in front of it, and the rows behind the proxy.
async fn proxied(connections: u32) -> (TestDatabase, Proxy, Pg) {
    let database = fresh_database().await;
    let options = PgConnectOptions::from_str(&database.url).unwrap();
    let directory = options.get_socket().expect("the test server listens on a socket");
    let proxy = Proxy::start(directory.join(format!(".s.PGSQL.{}", options.get_port()))).await;
    let (user, name) = (options.get_username(), options.get_database().unwrap());
    let url = format!("postgres://{user}@{}/{name}?sslmode=disable", proxy.address);
    let pg = Pg::open(&url, connections).unwrap();
    (database, proxy, pg)
}

#[tokio::test]
async fn f13_a_commit_whose_answer_is_lost_has_succeeded() {
    // One connection: the statement is prepared on it, so that what is lost is its answer.
    let (database, proxy, pg) = proxied(1).await;
    let fixture = Fixture::new(&pg).await;
    fixture.put("warm", "e").await;
    // The pool tries a connection that it gets back; that answer must not be the one lost.
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.set_for_existing(LOSE_ANSWERS);
    let start = Instant::now();
    let outcome = pg.commit(fixture.commit("key", "lost")).await.unwrap();
    assert!(start.elapsed() < CALL_LIMIT + SLACK);
    let CommitOutcome::Done { version, modified } = outcome else { panic!("{outcome:?}") };
    let stored = database.pg.find("bucket", "key", None).await.unwrap().version.unwrap();
    assert_eq!((stored.version, stored.modified, stored.seq), (version, modified, 1));
}

#[tokio::test]
async fn f13_a_commit_that_never_arrived_is_refused_for_good() {
    let (database, proxy, pg) = proxied(4).await;
    let fixture = Fixture::new(&pg).await;
    fixture.put("warm", "e").await;
    proxy.set_for_existing(LOSE_ALL);
    let start = Instant::now();
    let lost = fixture.commit("key", "lost");
    let outcome = pg.commit(lost.clone()).await;
    assert!(matches!(outcome, Err(MetaError::Unavailable(_))), "{outcome:?}");
    assert!(start.elapsed() < CALL_LIMIT + SLACK);
    let late = database.pg.commit(lost).await;
    assert!(late.is_err(), "{late:?}");
    done(pg.commit(fixture.commit("key", "again")).await.unwrap());
}

/// Connections whose other end went away without a word must not keep their places in the pool.
#[tokio::test]
async fn f12_a_pool_full_of_silent_connections_recovers() {
    let (_database, proxy, pg) = proxied(2).await;
    let fixture = Fixture::new(&pg).await;
    fixture.put("warm", "e").await;
    // Two connections, both idle when the other end goes away.
    drop(tokio::join!(pg.pool().acquire(), pg.pool().acquire()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.set_for_existing(LOSE_ALL);
    tokio::join!(pg.find("bucket", "warm", None), pg.find("bucket", "warm", None)).0.unwrap_err();
    let back = Instant::now();
    while pg.find("bucket", "warm", None).await.is_err() {
        assert!(back.elapsed() < Duration::from_mins(1), "the pool did not recover");
    }
}

#[tokio::test]
async fn f12_every_call_fails_in_time_and_the_pool_recovers() {
    let (_database, proxy, pg) = proxied(4).await;
    let fixture = Fixture::new(&pg).await;
    fixture.put("warm", "e").await;
    proxy.set(LOSE_ALL);
    let start = Instant::now();
    let calls = (0..12).map(|_| async {
        let found = pg.find("bucket", "warm", None).await;
        assert!(matches!(found, Err(MetaError::Unavailable(_))), "{found:?}");
    });
    let commit = async {
        let outcome = pg.commit(fixture.commit("key", "e")).await;
        assert!(matches!(outcome, Err(MetaError::Unavailable(_))), "{outcome:?}");
    };
    tokio::join!(futures::future::join_all(calls), commit);
    assert!(start.elapsed() < CALL_LIMIT + SLACK, "{:?}", start.elapsed());
    proxy.set_for_existing(LOSE_ALL);
    let back = Instant::now();
    while pg.find("bucket", "warm", None).await.is_err() {
        assert!(back.elapsed() < Duration::from_mins(1), "the pool did not recover");
    }
}
