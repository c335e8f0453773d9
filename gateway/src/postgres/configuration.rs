//! The server's configuration files: ours, written at every start.

use super::error::{IoContext, PostgresError};
use super::{Cluster, Durability, NAME, PORT, copies, set_mode};
use std::path::Path;

/// The log that is kept for a copy that is away: what a busy hour writes. It takes room on the
/// database's drive.
const SLOT_KEEPS: &str = "2GB";

/// Writes them all.
pub(super) fn write(cluster: &Cluster) -> Result<(), PostgresError> {
    write_file(&cluster.home.join("postgresql.conf"), &server(cluster))?;
    write_file(&cluster.home.join("pg_hba.conf"), &authentication())?;
    write_file(&cluster.home.join("pg_ident.conf"), &accounts(&cluster.account.name))?;
    // Nobody receives yet, and the start itself commits.
    write_copies(&cluster.home, &copies::required(&[]))
}

/// Writes which copies a commit waits for; the server reads it when it is told to.
pub(super) fn write_copies(home: &Path, text: &str) -> Result<(), PostgresError> {
    let (file, new) = (home.join("copies.conf"), home.join("copies.conf.new"));
    write_file(&new, text)?;
    std::fs::rename(&new, &file).at("write", &file)
}

/// Given on the command line, which wins over every file and over ALTER SYSTEM.
pub(super) fn durability(cluster: &Cluster) -> [&'static str; 3] {
    match cluster.settings.durability {
        Durability::Synced => ["fsync=on", "full_page_writes=on", "synchronous_commit=on"],
        #[cfg(any(test, feature = "testing"))]
        Durability::ForgottenAfterTheTest => {
            ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        }
    }
}

fn server(cluster: &Cluster) -> String {
    let home = quoted(&cluster.home);
    let sockets = quoted(&cluster.sockets);
    let max_connections = cluster.settings.max_connections;
    let shared_buffers = cluster.settings.shared_buffers_mib;
    format!(
        "\
# Written by sixfold at every start. What you put into local.conf beside it is kept; fsync,
# full_page_writes and synchronous_commit are given on the command line and stay on.
hba_file = '{home}/pg_hba.conf'
ident_file = '{home}/pg_ident.conf'

# A unix socket only.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
port = {PORT}

# Small machines: half of one is the nodes'.
max_connections = {max_connections}
shared_buffers = '{shared_buffers}MB'
work_mem = '4MB'
maintenance_work_mem = '64MB'
max_wal_size = '1GB'
min_wal_size = '80MB'
wal_level = 'replica'
# What a copy that is away may keep of the log on this drive; then it is begun anew.
max_slot_wal_keep_size = '{SLOT_KEEPS}'
# A receiver that says nothing, which it does every two seconds, is gone.
wal_sender_timeout = '10s'
# Short statements by key: neither gains, and both cost memory.
jit = off
max_parallel_workers_per_gather = 0
# Rows are overwritten and deleted all the time.
autovacuum_naptime = '20s'
autovacuum_vacuum_scale_factor = 0.05
autovacuum_vacuum_cost_limit = 1000
# No transaction of ours is open for longer than 10 s.
idle_in_transaction_session_timeout = '60s'

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
# A week of logs at the most, by the weekday's name.
logging_collector = on
log_directory = 'log'
log_filename = 'postgres-%a.log'
log_rotation_age = '1d'
log_rotation_size = 0
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] '
# What a statement of ours is answered is handled, and logged, by us.
log_min_messages = 'log'
log_checkpoints = off

include_if_exists = '{home}/local.conf'
include_if_exists = '{home}/copies.conf'
"
    )
}

/// The kernel says who connects. Another role needs its password, and access to the socket. The
/// receivers' role has none, and gets the log and nothing else.
fn authentication() -> String {
    format!(
        "local replication {ROLE} peer map={ROLE}\n\
         local all {NAME} peer map={NAME}\n\
         local all all scram-sha-256\n",
        ROLE = copies::ROLE
    )
}

fn accounts(account: &str) -> String {
    format!(
        "{NAME} root {NAME}\n{NAME} \"{account}\" {NAME}\n{ROLE} \"{account}\" {ROLE}\n",
        ROLE = copies::ROLE
    )
}

fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "''")
}

fn write_file(path: &Path, text: &str) -> Result<(), PostgresError> {
    std::fs::write(path, text).at("write", path)?;
    set_mode(path, 0o644)
}
