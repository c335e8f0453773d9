//! One throw-away PostgreSQL per test process, with syncing off. It ends with the process,
//! however that ends: a shell holds the other end of a pipe and stops it when the pipe breaks.

use super::{Cluster, Durability, Settings, launch, make_home, options, url};
use sqlx::{Connection, PgConnection};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

static SERVER: OnceCell<TestServer> = OnceCell::const_new();

/// The process's server.
#[derive(Debug)]
struct TestServer {
    sockets: PathBuf,
    _watcher: Child,
}

/// A new, empty database on this process's server, and its URL.
pub async fn database() -> String {
    let server = SERVER.get_or_init(TestServer::start).await;
    let name = format!("test_{:016x}", rand::random::<u64>());
    let connection = PgConnection::connect_with(&options(&server.sockets, "postgres")).await;
    let mut connection = connection.unwrap_or_else(|error| panic!("test server: {error}"));
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("create database {name}: {error}"));
    url(&server.sockets, &name)
}

impl TestServer {
    async fn start() -> Self {
        Self::try_start().await.unwrap_or_else(|error| panic!("test server: {error}"))
    }

    async fn try_start() -> anyhow::Result<Self> {
        let dir = make_dir()?;
        let mut settings = Settings::new(&dir);
        settings.durability = Durability::ForgottenAfterTheTest;
        settings.shared_buffers_mib = 32;
        settings.max_connections = 200;
        let never = CancellationToken::new();
        let cluster = Cluster::prepare(settings, make_home(&dir)?, &never).await?;
        // Started on a runtime of its own: that of one test ends with the test.
        let postmaster = launch::launch(&cluster, &never).await?;
        let pid_file = cluster.data.join("postmaster.pid");
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .args([&pid_file, &dir, &cluster.sockets])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // The shell ends it now, not the destructor.
        std::mem::forget(postmaster);
        Ok(Self { sockets: cluster.sockets, _watcher: watcher })
    }
}

/// Reads until the pipe breaks, then stops the server at once and removes its directories.
const WATCH: &str = r#"
trap '' INT TERM
read -r _
kill -QUIT "$(head -n 1 "$1")"
while [ -e "$1" ]; do sleep 0.1; done
rm -rf "$2" "$3"
"#;

fn make_dir() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = std::env::temp_dir().join(format!("sixfold-test-{:016x}", rand::random::<u64>()));
    // Open to the database's account when the tests run as root.
    std::fs::DirBuilder::new().mode(0o711).create(&dir)?;
    Ok(dir)
}
