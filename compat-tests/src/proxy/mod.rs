//! A way between two processes that a test can spoil: it forwards connections, and slows them down,
//! holds what it should forward, or cuts. On the way to PostgreSQL it also knows the statements and
//! can lose a chosen one, or its answer.

mod connection;
mod statements;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use statements::Loss;
use statements::Statements;

use crate::cluster::Server;

/// What becomes of the bytes of all connections, those to come as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They are forwarded.
    Open,
    /// Answers arrive that much later, however much they are.
    Late(Duration),
    /// Nothing is forwarded, in neither direction, until the way is another; nothing is lost.
    Silent,
    /// Connections end, and new ones end at once.
    Closed,
}

/// Where the way leads.
#[derive(Debug, Clone)]
enum End {
    Tcp(String),
    Socket(PathBuf),
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct Shared {
    end: End,
    way: watch::Sender<Way>,
    statements: Option<Statements>,
}

/// A proxy with an address of its own, gone when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A way to host and port.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(address: &str) -> Self {
        Self::start(End::Tcp(address.to_owned()), None).await
    }

    /// A way to the PostgreSQL of a server in the separate form, for [`Proxy::database_url`].
    ///
    /// # Panics
    /// As [`Proxy::to`].
    pub async fn to_postgres_of(server: &Server) -> Self {
        let socket = server.folder().join("postgres/.s.PGSQL.5432");
        Self::start(End::Socket(socket), Some(Statements::default())).await
    }

    async fn start(end: End, statements: Option<Statements>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { end, way: watch::Sender::new(Way::Open), statements });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Host and port that lead through here.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The `DATABASE_URL` of a process that goes through here.
    pub fn database_url(&self) -> String {
        format!("postgres://postgres@{}/postgres?sslmode=disable", self.address)
    }

    /// Changes the way for all connections.
    pub fn set(&self, way: Way) {
        self.shared.way.send_replace(way);
    }

    /// Loses the next statement that holds `text`, or its answer; the others pass.
    pub fn lose_next(&self, text: &str, loss: Loss) {
        self.statements().lose(text, loss, true);
    }

    /// As [`Proxy::lose_next`], with every such statement until [`Proxy::lose_nothing`].
    pub fn lose_all(&self, text: &str, loss: Loss) {
        self.statements().lose(text, loss, false);
    }

    /// Loses nothing any more; answers how many statements were lost since the last call of this.
    pub fn lose_nothing(&self) -> usize {
        self.statements().lose_nothing()
    }

    /// The texts of the statements that were sent since the last call of this.
    pub fn take_statements(&self) -> Vec<String> {
        self.statements().take_sent()
    }

    fn statements(&self) -> &Statements {
        self.shared.statements.as_ref().expect("a way to PostgreSQL")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Way::Closed);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connection::forward(client, Arc::clone(&shared)));
    }
}
