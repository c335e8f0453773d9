//! Brings a database to this release's schema, or says by name why this release can't work with
//! it. Migrations are applied once, under a lock of the database, each in a transaction.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, Executor, PgPool};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Why the schema can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer release has been here.
    #[error(
        "the database has migration {found}, this release knows none after {known}; use a newer sixfold"
    )]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
    /// Migrations are missing, and this process was not asked to apply them.
    #[error(
        "the database has migration {found}, this release needs {known}; run `sixfold migrate`"
    )]
    Older {
        /// The newest migration in the database, 0 for none.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
    /// The database could not be asked, or refused.
    #[error("failed to migrate the database: {0}")]
    Failed(#[from] MigrateError),
}

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(MigrateError::Execute(error))
    }
}

/// Applies what is missing.
pub async fn migrate(pool: &PgPool) -> Result<(), SchemaError> {
    // A connection outside the pool: the pool's limits on a statement are not for migrations.
    let options = pool.connect_options();
    let mut connection = sqlx::PgConnection::connect_with(&options).await?;
    connection.execute("set statement_timeout = 0").await?;
    let result = MIGRATIONS.run(&mut connection).await;
    connection.close().await?;
    match result {
        Err(MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _)) => {
            Err(SchemaError::Newer { found, known: newest_known() })
        }
        result => Ok(result?),
    }
}

/// Checks that the schema is the one of this release, without changing it.
pub async fn check_schema(pool: &PgPool) -> Result<(), SchemaError> {
    let known = newest_known();
    let has_table =
        sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "has!""#)
            .fetch_one(pool)
            .await?;
    let found = if has_table { newest_applied(pool).await? } else { 0 };
    match found.cmp(&known) {
        std::cmp::Ordering::Greater => Err(SchemaError::Newer { found, known }),
        std::cmp::Ordering::Less => Err(SchemaError::Older { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

// Not a checked query: sqlx makes the table itself, so it does not exist where queries are checked.
async fn newest_applied(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
        .fetch_one(pool)
        .await
}

fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}
