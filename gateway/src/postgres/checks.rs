//! What a PostgreSQL must be, ours or a foreign one, before a row is trusted to it.

use sqlx::PgConnection;

/// The versions that Sixfold is tested with.
const MAJORS: std::ops::RangeInclusive<i32> = 15..=18;

/// Why a database is refused; each message names the setting and the mend.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Too old, or too new to have been tested.
    #[error("this is PostgreSQL {found}, and sixfold needs 15 to 18: use one of those")]
    Version {
        /// Its major version.
        found: i32,
    },
    /// A setting that loses acknowledged writes.
    #[error(
        "{setting} is '{found}', and acknowledged writes would be lost with it: \
         set it to 'on' (postgresql.conf, ALTER SYSTEM, ALTER ROLE or ALTER DATABASE)"
    )]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        found: String,
    },
    /// A standby answers with old rows and takes none.
    #[error("the database is a standby (pg_is_in_recovery): name the primary")]
    Standby,
    /// It could not be asked.
    #[error("the database could not be checked: {0}")]
    Database(#[from] sqlx::Error),
}

/// Checks version, durability and role of the server behind a connection.
pub async fn check(connection: &mut PgConnection) -> Result<(), CheckError> {
    let (version, fsync, full_page_writes, synchronous_commit, is_standby) =
        sqlx::query_as::<_, (i32, String, String, String, bool)>(
            "select current_setting('server_version_num')::int, current_setting('fsync'),
                    current_setting('full_page_writes'), current_setting('synchronous_commit'),
                    pg_is_in_recovery()",
        )
        .fetch_one(connection)
        .await?;
    if !MAJORS.contains(&(version / 10_000)) {
        return Err(CheckError::Version { found: version / 10_000 });
    }
    if is_standby {
        return Err(CheckError::Standby);
    }
    must_be("fsync", fsync, &["on"])?;
    must_be("full_page_writes", full_page_writes, &["on"])?;
    // Stronger than `on` is fine; `local` and `remote_write` weaken what standbys were added for.
    must_be("synchronous_commit", synchronous_commit, &["on", "remote_apply"])
}

fn must_be(setting: &'static str, found: String, allowed: &[&str]) -> Result<(), CheckError> {
    if allowed.contains(&found.as_str()) {
        return Ok(());
    }
    Err(CheckError::Setting { setting, found })
}
