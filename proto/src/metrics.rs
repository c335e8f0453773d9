//! Every metric there is, of all processes: the one home of their names. `docs/metrics.md` is
//! written from this table, and tests compare it with what running processes show.
//!
//! Names begin with `sixfold_`, units are base units, counters end with `_total`. Labels are closed
//! sets: an operation, a class of statuses, an error's code, a node's number. No bucket, no key.

/// One metric.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Which processes show it.
    pub shown: Shown,
    /// What it says.
    pub help: &'static str,
}

/// A metric's kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Its word in Prometheus's text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Which processes show a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All.
    Everywhere,
    /// `sixfold server` and `sixfold gateway`.
    Gateways,
    /// Those with drives: `sixfold-node` and `sixfold server`.
    Drives,
    /// `sixfold server` with copies of its metadata.
    Copies,
    /// Those with a certificate.
    Certificates,
}

/// From a cached look-up to the last byte of a body of gigabytes.
const REQUEST_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
    300.0, 1800.0,
];

/// What comes before a first byte has limits of a few seconds.
const FIRST_BYTE_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Calls of the database and of a drive: from a cache to the limits of 5 s.
const CALL_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

macro_rules! metrics {
    ($(
        $constant:ident $name:literal
        $kind:expr, [$($label:literal),*], $shown:ident, $help:literal;
    )*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: $kind,
                labels: &[$($label),*],
                shown: Shown::$shown,
                help: $help,
            };
        )*
        /// All of them, in the order of the page.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

use Kind::{Counter, Gauge, Histogram};

metrics! {
    REQUESTS "sixfold_http_requests_total" Counter, ["op", "status_class"], Gateways,
        "Requests answered, by S3 operation and class of status.";
    ERRORS "sixfold_http_errors_total" Counter, ["error_code"], Gateways,
        "Answers with an error, by the code that S3 has for it; `none` without a document.";
    CUT "sixfold_http_cut_answers_total" Counter, ["op"], Gateways,
        "Answers that ended before their last byte: the client went away, or a body could not be \
         read on.";
    DURATION "sixfold_http_request_duration_seconds" Histogram(REQUEST_SECONDS), ["op"], Gateways,
        "From the end of a request's head to the last byte of its answer.";
    FIRST_BYTE "sixfold_http_first_byte_seconds" Histogram(FIRST_BYTE_SECONDS), ["op"], Gateways,
        "From the end of a request's head to the first byte of its answer's body; for an upload \
         that is after its last byte.";
    RECEIVED "sixfold_http_received_bytes_total" Counter, ["op"], Gateways,
        "Bytes of requests' bodies.";
    SENT "sixfold_http_sent_bytes_total" Counter, ["op"], Gateways,
        "Bytes of answers' bodies.";
    IN_FLIGHT "sixfold_http_requests_in_flight" Gauge, [], Gateways,
        "Requests that run now.";
    REQUESTS_LIMIT "sixfold_http_requests_limit" Gauge, [], Gateways,
        "Requests that may run at once (`http.max_requests`); more get 503 `SlowDown`.";
    STRIPES "sixfold_stripes_in_memory" Gauge, [], Gateways,
        "Stripes in memory, of all bodies on their way.";
    STRIPES_LIMIT "sixfold_stripes_limit" Gauge, [], Gateways,
        "How many there may be (`data.stripes_in_process`).";
    CELLS_READ "sixfold_cells_read_total" Counter, [], Gateways,
        "Cells that were read and are right.";
    DECODED "sixfold_decoded_stripes_total" Counter, [], Gateways,
        "Stripes that had to be decoded, because a data chunk was late, lost or rotten.";
    HEDGES "sixfold_hedges_total" Counter, [], Gateways,
        "Extra reads because an answer was late.";
    HEDGES_REFUSED "sixfold_hedges_refused_total" Counter, [], Gateways,
        "Late answers without an extra read, because the budget (`data.hedge_percent`) was spent.";
    SUBSTITUTES "sixfold_substitute_chunks_total" Counter, [], Gateways,
        "Chunks of writes that were tried once more, on another node than the one that failed.";
    NODE_STATE "sixfold_node_state" Gauge, ["node", "state"], Gateways,
        "1 for the state that a node is in as this gateway sees it, else 0: alive, silent, dead, \
         draining, full, fenced, removed.";
    BREAKER "sixfold_node_breaker_state" Gauge, ["node", "state"], Gateways,
        "1 for the state of a node's circuit breaker in this gateway, else 0: closed, open, \
         half_open.";
    NODE_CALLS "sixfold_node_calls_total" Counter, ["node", "op"], Gateways,
        "Calls of this gateway to a node.";
    NODE_ERRORS "sixfold_node_call_errors_total" Counter, ["node", "error"], Gateways,
        "Calls that failed, by error; `not_found` is one as well.";
    NODE_LATENCY "sixfold_node_read_latency_seconds" Gauge, ["node"], Gateways,
        "How long the first cell of a read from a node lately took, as a moving average; 0 before \
         any.";
    NODE_DAMAGED "sixfold_node_damaged_cells_total" Counter, ["node"], Gateways,
        "Cells from a node that failed their checksum in this gateway or in the node.";
    NODE_CAPACITY "sixfold_node_capacity_bytes" Gauge, ["node"], Gateways,
        "The size of a node's drive, by its last heartbeat.";
    NODE_FREE "sixfold_node_free_bytes" Gauge, ["node"], Gateways,
        "Room for new chunks on a node, by its last heartbeat.";
    NODE_CHUNKS "sixfold_node_chunks" Gauge, ["node"], Gateways,
        "Chunks of a node, by its last heartbeat.";
    CAPACITY "sixfold_cluster_capacity_bytes" Gauge, [], Gateways,
        "The size of all nodes' drives. Embedded nodes on one device count once.";
    FREE "sixfold_cluster_free_bytes" Gauge, [], Gateways,
        "Room for new chunks on all nodes.";
    USABLE "sixfold_cluster_usable_bytes" Gauge, [], Gateways,
        "What the drives can hold of objects under 4+2: four sixths of their size.";
    USABLE_FREE "sixfold_cluster_usable_free_bytes" Gauge, [], Gateways,
        "Room for objects under 4+2.";
    DEGRADED "sixfold_degraded_extents" Gauge, [], Gateways,
        "Extents with chunks known missing that can lose another one. Counted to 200 000, as the \
         other three. What only silent nodes hold is not known missing: see sixfold_node_state.";
    AT_RISK "sixfold_at_risk_extents" Gauge, [], Gateways,
        "Extents that can lose no chunk more.";
    UNRECOVERABLE "sixfold_unrecoverable_extents" Gauge, [], Gateways,
        "Extents that can't be read until some of their chunks come back.";
    HEAL_BACKLOG "sixfold_heal_backlog_extents" Gauge, [], Gateways,
        "Extents that wait for heal: the sum of those three.";
    QUARANTINE_NODES "sixfold_quarantine_nodes" Gauge, [], Gateways,
        "Nodes that keep what no row wants, because the database went back in time.";
    QUARANTINE_CHUNKS "sixfold_quarantine_chunks" Gauge, [], Gateways,
        "Chunks that no row wants on those nodes, by the last sweep of each.";
    QUARANTINE_BYTES "sixfold_quarantine_bytes" Gauge, [], Gateways,
        "Their bytes.";
    COLLECT_BACKLOG "sixfold_collect_backlog_bodies" Gauge, [], Gateways,
        "Bodies without references whose chunks are not deleted yet. Counted to 200 000.";
    COLLECT_OLDEST "sixfold_collect_oldest_seconds" Gauge, [], Gateways,
        "How long the oldest of them has been waiting.";
    UPLOADS "sixfold_open_uploads" Gauge, [], Gateways,
        "Multipart uploads under way. Counted to 200 000.";
    UPLOADS_OLDEST "sixfold_open_uploads_oldest_seconds" Gauge, [], Gateways,
        "How long ago the oldest of them began.";
    LEASES "sixfold_leases" Gauge, [], Gateways,
        "Leases that processes hold.";
    DATABASE_UP "sixfold_database_up" Gauge, [], Gateways,
        "1 when the database answered the last look, else 0; what is read from it then stays as \
         it was.";
    POOL "sixfold_database_connections" Gauge, ["state"], Gateways,
        "Connections of this process to the database: used, idle.";
    POOL_LIMIT "sixfold_database_connections_limit" Gauge, [], Gateways,
        "How many there may be (`database.max_connections`).";
    DATABASE_CALLS "sixfold_database_calls_in_flight" Gauge, [], Gateways,
        "Calls of the database under way, those that wait for a connection or for company among \
         them.";
    DATABASE_WAITING "sixfold_database_calls_waiting" Gauge, [], Gateways,
        "How many more of them there are than connections in use: they wait, or share a \
         connection.";
    DATABASE_DURATION "sixfold_database_call_duration_seconds"
        Histogram(CALL_SECONDS), ["op"], Gateways,
        "Calls of the database, waiting for a connection included.";
    DATABASE_ERRORS "sixfold_database_unavailable_total" Counter, [], Gateways,
        "Calls that the database did not answer, or not in time.";
    CLOCK "sixfold_clock_ahead_seconds" Gauge, [], Gateways,
        "How far this machine's clock is ahead of the database's; negative when it is behind.";
    COPIES "sixfold_metadata_copies" Gauge, [], Copies,
        "Copies of the metadata that are kept on other drives.";
    COPIES_IN_STEP "sixfold_metadata_copies_in_step" Gauge, [], Copies,
        "Copies from which the metadata could be made anew now.";
    COPIES_REQUIRED "sixfold_metadata_copies_required" Gauge, [], Copies,
        "1 while a commit waits until a copy has it, else 0.";
    COPY_LAG "sixfold_metadata_copy_lag_bytes" Gauge, ["copy"], Copies,
        "Synced WAL that a copy lacks; all of it when nothing receives it.";
    JOB_RUNS "sixfold_job_runs_total" Counter, ["job_name"], Gateways,
        "Units of a job's work that succeeded in this process.";
    JOB_FAILURES "sixfold_job_failures_total" Counter, ["job_name"], Gateways,
        "Units that failed.";
    JOB_FAILING "sixfold_job_failures_in_row" Gauge, ["job_name"], Gateways,
        "Units that failed since the last success.";
    JOB_THINGS "sixfold_job_things_total" Counter, ["job_name"], Gateways,
        "Things done: bodies collected, copies swept, extents healed, chunks moved, uploads \
         expired, leases ended.";
    JOB_SUCCESS "sixfold_job_last_success_timestamp_seconds" Gauge, ["job_name"], Gateways,
        "When a unit last succeeded.";
    DRIVE_STATE "sixfold_drive_state" Gauge, ["node", "state"], Drives,
        "1 for the state of a drive of this process, else 0: ok, full, fenced, draining.";
    DRIVE_CAPACITY "sixfold_drive_capacity_bytes" Gauge, ["node"], Drives,
        "Its size.";
    DRIVE_FREE "sixfold_drive_free_bytes" Gauge, ["node"], Drives,
        "Room for new chunks on it.";
    DRIVE_CHUNKS "sixfold_drive_chunks" Gauge, ["node"], Drives,
        "Chunks on it.";
    DRIVE_STORED "sixfold_drive_stored_bytes" Gauge, ["node"], Drives,
        "Bytes of their cells.";
    DRIVE_SEGMENTS "sixfold_drive_segments" Gauge, ["node"], Drives,
        "Segments, which hold small chunks.";
    DRIVE_CALLS "sixfold_drive_calls_total" Counter, ["node", "op"], Drives,
        "Calls that a drive served: put, get, delete.";
    DRIVE_ERRORS "sixfold_drive_call_errors_total" Counter, ["node", "op"], Drives,
        "Calls that failed; a chunk that is not there is a failed get.";
    DRIVE_DURATION "sixfold_drive_call_duration_seconds"
        Histogram(CALL_SECONDS), ["node", "op"], Drives,
        "A put or delete until it is durable, a get until its first cells.";
    DRIVE_WRITTEN "sixfold_drive_written_bytes_total" Counter, ["node"], Drives,
        "Bytes of cells that callers stored.";
    DRIVE_READ "sixfold_drive_read_bytes_total" Counter, ["node"], Drives,
        "Bytes of cells that callers read.";
    SCRUB_CHUNKS "sixfold_scrub_chunks_total" Counter, ["node"], Drives,
        "Chunks that the scrub verified since the process started.";
    SCRUB_BYTES "sixfold_scrub_bytes_total" Counter, ["node"], Drives,
        "Bytes of them.";
    SCRUB_ROTTEN "sixfold_scrub_rotten_chunks_total" Counter, ["node"], Drives,
        "Chunks that it found rotten since the process started.";
    SCRUB_PROGRESS "sixfold_scrub_progress_ratio" Gauge, ["node"], Drives,
        "How far the cycle is, from 0 to 1.";
    SCRUB_STARTED "sixfold_scrub_cycle_start_timestamp_seconds" Gauge, ["node"], Drives,
        "When the cycle began.";
    SCRUB_CYCLE "sixfold_scrub_cycle_seconds" Gauge, ["node"], Drives,
        "Within this time a cycle should be over (`scrub.cycle`).";
    READY "sixfold_ready" Gauge, [], Gateways,
        "1 when the process is ready to serve requests, else 0.";
    WRITABLE "sixfold_writable" Gauge, [], Gateways,
        "1 when enough nodes take chunks for a write, else 0.";
    TRACE_SPANS "sixfold_trace_spans_total" Counter, ["outcome"], Everywhere,
        "Spans of traces: sent; queue_full, dropped because the collector was behind; undelivered, \
         dropped because it was away or refused them. All 0 while no collector is named.";
    BUILD "sixfold_build_info" Gauge, ["version"], Everywhere,
        "1, with the program's version.";
    CERTIFICATE "sixfold_tls_certificate_expiry_timestamp_seconds"
        Gauge, ["certificate"], Certificates,
        "When a certificate of this process ends: s3 is shown to clients, cluster to nodes, node \
         to gateways.";
    CPU "sixfold_process_cpu_seconds_total" Counter, [], Everywhere,
        "CPU time of the process, in whole seconds.";
    MEMORY "sixfold_process_resident_memory_bytes" Gauge, [], Everywhere,
        "Memory of the process.";
    DESCRIPTORS "sixfold_process_open_fds" Gauge, [], Everywhere,
        "Open files and sockets.";
    DESCRIPTORS_LIMIT "sixfold_process_max_fds" Gauge, [], Everywhere,
        "How many there may be.";
    THREADS "sixfold_process_threads" Gauge, [], Everywhere,
        "Threads.";
    STARTED "sixfold_process_start_time_seconds" Gauge, [], Everywhere,
        "When the process started.";
}

#[cfg(test)]
mod tests {
    use super::{ALL, Kind};
    use std::collections::HashSet;

    #[test]
    fn names_keep_the_rules() {
        let names = ALL.iter().map(|metric| metric.name).collect::<HashSet<_>>();
        assert_eq!(names.len(), ALL.len(), "a name is there twice");
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("sixfold_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            for unit in ["_ms", "_millisecond", "_nano", "_kib", "_mib", "_percent"] {
                assert!(!name.contains(unit), "{name} has no base unit");
            }
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted() && name.ends_with("_seconds"), "{name}");
            }
            assert!(metric.help.ends_with('.') && !metric.help.contains("  "), "{name}");
        }
    }
}
