//! Databases for tests: a new, migrated one for each, cloned from a template of this process. The
//! server is the one that `SIXFOLD_TEST_DATABASE_URL` names, where the databases stay behind; or,
//! without it, a private one that ends with the process.
// A panic is how a test's surroundings fail.
#![allow(clippy::expect_used)]

use super::migrate::migrate;
use super::pg::Pg;
use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex, OnceCell};

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// PostgreSQL refuses to clone a template twice at once.
static CLONING: Mutex<()> = Mutex::const_new(());

/// Enough for the most connections that one test uses at once.
const CONNECTIONS: u32 = 20;

/// A migrated database of its own.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where it is.
    pub url: String,
    /// The rows in it.
    pub pg: Pg,
}

/// A new database with the schema and no rows.
pub async fn fresh_database() -> TestDatabase {
    let template = TEMPLATE.get_or_init(make_template).await;
    let name = random_name();
    let url = with_database(template, &name);
    let _cloning = CLONING.lock().await;
    let statement = format!("create database {name} template {}", database_of(template));
    administer(&with_database(template, "postgres"), statement).await;
    let pg = Pg::open(&url, CONNECTIONS).expect("the database's URL");
    TestDatabase { url, pg }
}

async fn make_template() -> String {
    let url = match std::env::var("SIXFOLD_TEST_DATABASE_URL") {
        Ok(server) => {
            let name = random_name();
            administer(&server, format!("create database {name}")).await;
            with_database(&server, &name)
        }
        Err(_) => crate::postgres::testing::database().await,
    };
    let pg = Pg::open(&url, 1).expect("the database's URL");
    migrate(pg.pool()).await.expect("migrate the template");
    pg.pool().close().await;
    url
}

async fn administer(url: &str, statement: String) {
    let mut connection = PgConnection::connect(url).await.expect("connect to the test server");
    let statement = sqlx::AssertSqlSafe(statement);
    sqlx::query(statement).execute(&mut connection).await.expect("administer the test server");
    connection.close().await.expect("close the connection");
}

fn random_name() -> String {
    format!("sixfold_test_{:016x}", rand::random::<u64>())
}

fn database_of(url: &str) -> &str {
    let path = url.split('?').next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

fn with_database(url: &str, name: &str) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let server = path.rsplit_once('/').map_or(path, |(server, _)| server);
    format!("{server}/{name}?{query}")
}
