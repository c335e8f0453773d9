//! The table of all settings.

use super::{Key, flagged, key, secret};

macro_rules! keys {
    ($($constant:ident = $key:expr;)*) => {
        $(pub(in crate::config) const $constant: Key = $key;)*
        /// Every setting, in the order they are shown.
        pub(in crate::config) const ALL: &[&Key] = &[$(&$constant),*];
    };
}

keys! {
    DIRS = flagged(
        "storage.dirs",
        &["SIXFOLD_DIRS"],
        "DIR…",
        "Where chunks live: one directory (six nodes in folders below it), or six and more \
         (one node each). A list in the file, separated by `:` in the environment.",
    );
    META_DIR = flagged(
        "storage.meta_dir",
        &["SIXFOLD_META_DIR"],
        "--meta-dir",
        "Where the server's PostgreSQL, the master key and the root pair live; `meta` below \
         the first directory by default.",
    );
    META_COPIES = key(
        "storage.meta_copies",
        &["SIXFOLD_META_COPIES"],
        "Where the server's own PostgreSQL is copied while it runs, on two DIRs at most: `auto` is \
         on DIRs of other devices than its own, `always` also on its own device (for folders that \
         stand for drives, as in tests), `off` is nowhere.",
    );
    META_COPIES_WAL = key(
        "storage.meta_copies_wal_mib",
        &["SIXFOLD_META_COPIES_WAL_MIB"],
        "MiB of write-ahead log since a copy's base backup after which a new one is taken and the \
         older log dropped.",
    );
    ZONE = key(
        "storage.zone",
        &["SIXFOLD_ZONE"],
        "The failure domain of the embedded nodes.",
    );
    ADDRESS = flagged(
        "http.address",
        &["SIXFOLD_ADDRESS"],
        "--address",
        "Where S3 is served. `:9000` is every address of the machine.",
    );
    ADMIN_ADDRESS = flagged(
        "http.admin_address",
        &["SIXFOLD_ADMIN_ADDRESS"],
        "--admin-address",
        "Where health and metrics are served, without a signature (metrics: `http.admin_token`).",
    );
    ADMIN_TOKEN = secret(
        "http.admin_token",
        &["SIXFOLD_ADMIN_TOKEN"],
        "What scrapers of metrics show as a bearer token; `openssl rand -hex 32` makes one. An \
         admin address of this machine alone needs none; any other one shows no metrics without.",
    );
    TLS_CERT = flagged(
        "http.tls_cert",
        &["SIXFOLD_TLS_CERT"],
        "--tls-cert",
        "The certificate chain in PEM; read again when it changes.",
    );
    TLS_KEY = flagged(
        "http.tls_key",
        &["SIXFOLD_TLS_KEY"],
        "--tls-key",
        "Its private key in PEM.",
    );
    MAX_CONNECTIONS = key(
        "http.max_connections",
        &["SIXFOLD_MAX_CONNECTIONS"],
        "Connections at once on each address; more wait in the kernel's queue.",
    );
    MAX_REQUESTS = key(
        "http.max_requests",
        &["SIXFOLD_MAX_REQUESTS"],
        "Requests at once; more get 503 SlowDown.",
    );
    HEADER_TIMEOUT = key(
        "http.header_timeout",
        &["SIXFOLD_HEADER_TIMEOUT"],
        "From a connection's first byte to the end of a header.",
    );
    BODY_IDLE = key(
        "http.body_idle",
        &["SIXFOLD_BODY_IDLE"],
        "How long a client may pause within a body before it gets 400 RequestTimeout.",
    );
    STALL = key(
        "http.stall",
        &["SIXFOLD_STALL"],
        "How long a client may take nothing of an answer before it is cut.",
    );
    DRAIN = key(
        "http.drain",
        &["SIXFOLD_DRAIN"],
        "How long requests may take to finish when the process stops.",
    );
    REGION = key(
        "s3.region",
        &["SIXFOLD_REGION"],
        "The region that signatures must name.",
    );
    DOMAIN = key(
        "s3.domain",
        &["SIXFOLD_DOMAIN"],
        "Domains, separated by commas, below which a label is a bucket's name. Path style \
         works beside them.",
    );
    BUCKET = key(
        "s3.bucket",
        &["S3_BUCKET"],
        "A bucket that is created at the start, owned by root.",
    );
    ROOT_ACCESS_KEY = secret(
        "root.access_key",
        &["SIXFOLD_ROOT_ACCESS_KEY", "MINIO_ROOT_USER"],
        "The root pair's access key. A given pair replaces the stored one; without one a \
         random pair is made.",
    );
    ROOT_SECRET_KEY = secret(
        "root.secret_key",
        &["SIXFOLD_ROOT_SECRET_KEY", "MINIO_ROOT_PASSWORD"],
        "Its secret key.",
    );
    DATABASE_URL = secret(
        "database.url",
        &["DATABASE_URL"],
        "A PostgreSQL that somebody else runs; without one `sixfold server` runs its own.",
    );
    DATABASE_CONNECTIONS = key(
        "database.max_connections",
        &["SIXFOLD_DATABASE_CONNECTIONS"],
        "Connections of this process to PostgreSQL.",
    );
    POSTGRES_BIN = key(
        "database.bin_dir",
        &["SIXFOLD_POSTGRES_BIN"],
        "Where `initdb` and `postgres` are, when not in the usual places.",
    );
    POSTGRES_MEMORY = key(
        "database.shared_buffers_mib",
        &["SIXFOLD_POSTGRES_SHARED_BUFFERS_MIB"],
        "MiB of pages that the server's own PostgreSQL keeps in its memory; the kernel keeps more. \
         Lists gain where the rows of all objects fit, some 180 bytes each.",
    );
    CLUSTER_SECRET = secret(
        "cluster.secret",
        &["SIXFOLD_CLUSTER_SECRET"],
        "What gateways and nodes show each other; `openssl rand -hex 32` makes one.",
    );
    CLUSTER_TLS_CERT = key(
        "cluster.tls_cert",
        &["SIXFOLD_CLUSTER_TLS_CERT"],
        "Mutual TLS with the nodes, beside the secret or instead of it: the certificate to show, in PEM. All \
         three files or none; every node then needs `--tls-cert`, `--tls-key` and `--tls-ca`.",
    );
    CLUSTER_TLS_KEY = key(
        "cluster.tls_key",
        &["SIXFOLD_CLUSTER_TLS_KEY"],
        "Its private key in PEM.",
    );
    CLUSTER_TLS_CA = key(
        "cluster.tls_ca",
        &["SIXFOLD_CLUSTER_TLS_CA"],
        "The authority that must have signed the nodes' certificates, in PEM. A node's \
         certificate names the host in its address.",
    );
    MASTER_KEY_FILE = key(
        "cluster.master_key_file",
        &["SIXFOLD_MASTER_KEY_FILE"],
        "The file of the key under which secrets are sealed in the rows; `master.key` beside \
         the metadata by default.",
    );
    STRIPES_IN_FLIGHT = key(
        "data.stripes_in_flight",
        &["SIXFOLD_STRIPES_IN_FLIGHT"],
        "Stripes of one upload on their way to the nodes.",
    );
    STRIPES_READ_AHEAD = key(
        "data.stripes_read_ahead",
        &["SIXFOLD_STRIPES_READ_AHEAD"],
        "Stripes of one download read ahead of the client.",
    );
    STRIPES_IN_PROCESS = key(
        "data.stripes_in_process",
        &["SIXFOLD_STRIPES_IN_PROCESS"],
        "Stripes in memory over all requests, up to 2.5 MiB each: this bounds the memory of \
         the process.",
    );
    LEAST_CLIENT_KIB_PER_S = key("data.least_client_kib_per_s", &["SIXFOLD_LEAST_CLIENT_KIB_PER_S"],
        "KiB per second that a client must send or take, over ten seconds of waiting for it, \
         while others wait for room: for each of them, one that is slower is cut; 1 to 1000.");
    STRIPE_WAIT = key(
        "data.stripe_wait",
        &["SIXFOLD_STRIPE_WAIT"],
        "How long a request waits for room for a stripe before it gets 503 SlowDown.",
    );
    STALL_GIVE_UP = key(
        "data.stall_give_up",
        &["SIXFOLD_STALL_GIVE_UP"],
        "A node that holds an upload up for this long is given up for the extent.",
    );
    SPREAD_WAIT = key(
        "data.spread_wait",
        &["SIXFOLD_SPREAD_WAIT"],
        "How long all nodes together may take for a step of an upload before it fails.",
    );
    LAST_WAIT = key(
        "data.last_wait",
        &["SIXFOLD_LAST_WAIT"],
        "How long storing may take once the last byte of an upload has come, before it gets 503, \
         when some nodes hold up the others or chunks are tried again.",
    );
    CELL_WAIT = key(
        "data.cell_wait",
        &["SIXFOLD_CELL_WAIT"],
        "How long a node may take for the next cell of a download before another chunk takes \
         over.",
    );
    HEDGE_AFTER = key(
        "data.hedge_after",
        &["SIXFOLD_HEDGE_AFTER"],
        "After this long without a cell an extra read may be sent.",
    );
    HEDGE_PERCENT = key(
        "data.hedge_percent",
        &["SIXFOLD_HEDGE_PERCENT"],
        "Extra reads of this kind, in percent of all cells read; 0 to 100.",
    );
    READ_CUT = key(
        "data.read_cut",
        &["SIXFOLD_READ_CUT"],
        "The longest time a download may take; deleted bytes are kept for it meanwhile.",
    );
    REBALANCE_RATE = key(
        "data.rebalance_mib_per_s",
        &["SIXFOLD_REBALANCE_MIB_PER_S"],
        "MiB per second that this process moves from node to node when nodes are drained or \
         added; 1 to 1000.",
    );
    HEAL_RATE = key(
        "data.heal_mib_per_s",
        &["SIXFOLD_HEAL_MIB_PER_S"],
        "MiB per second of extents that heal reads to make their missing chunks anew; 1 to 1000. \
         One gateway at a time heals.",
    );
    TOKENS = key(
        "nodes.tokens",
        &["SIXFOLD_TOKENS"],
        "Tokens of a node of weight 1 on the ring, 1 to 1000; the same on every gateway. \
         Stored placements don't change with it.",
    );
    CONNECT = key(
        "nodes.connect",
        &["SIXFOLD_NODE_CONNECT"],
        "How long a connection to a node may take to come up.",
    );
    FIRST_ANSWER = key(
        "nodes.first_answer",
        &["SIXFOLD_NODE_FIRST_ANSWER"],
        "How long a node may take for its first answer to a call.",
    );
    BREAKER_FAILURES = key(
        "nodes.breaker_failures",
        &["SIXFOLD_BREAKER_FAILURES"],
        "Failed calls in a row after which nothing new is placed on a node.",
    );
    BREAKER_HALF_OPEN = key(
        "nodes.breaker_half_open",
        &["SIXFOLD_BREAKER_HALF_OPEN"],
        "How long until such a node is tried again.",
    );
    BREAKER_SUCCESSES = key(
        "nodes.breaker_successes",
        &["SIXFOLD_BREAKER_SUCCESSES"],
        "Successful calls in a row after which it counts as well.",
    );
    HEARTBEAT = key(
        "times.heartbeat",
        &["SIXFOLD_HEARTBEAT"],
        "How often a node says that it is there. A node silent for two of these is asked \
         last. `sixfold-node` takes it as `--heartbeat`.",
    );
    DEAD_AFTER = key(
        "times.dead_after",
        &["SIXFOLD_DEAD_AFTER"],
        "Silence after which a node counts as dead: nothing new is placed on it.",
    );
    RING_REFRESH = key(
        "times.ring_refresh",
        &["SIXFOLD_RING_REFRESH"],
        "How often the registry of nodes is read.",
    );
    LEASE_RENEWAL = key(
        "times.lease_renewal",
        &["SIXFOLD_LEASE_RENEWAL"],
        "How often a process renews the lease that it writes under.",
    );
    LEASE_EXPIRY = key(
        "times.lease_expiry",
        &["SIXFOLD_LEASE_EXPIRY"],
        "Silence after which others may end a lease.",
    );
    FREED_FOR = key(
        "times.freed_for",
        &["SIXFOLD_FREED_FOR"],
        "How long deleted bytes are kept at least, for downloads that began before.",
    );
    COLLECT_EVERY = key(
        "times.collect_every",
        &["SIXFOLD_COLLECT_EVERY"],
        "How often deleted bytes are looked for.",
    );
    EXPIRE_EVERY = key(
        "times.expire_every",
        &["SIXFOLD_EXPIRE_EVERY"],
        "How often idle multipart uploads are looked for.",
    );
    UPLOAD_IDLE = key(
        "times.upload_idle",
        &["SIXFOLD_UPLOAD_IDLE"],
        "Idle time after which a multipart upload is given up.",
    );
    SWEEP_EVERY = key(
        "times.sweep_every",
        &["SIXFOLD_SWEEP_EVERY"],
        "How often the nodes' chunks are compared with the rows.",
    );
    HEAL_EVERY = key(
        "times.heal_every",
        &["SIXFOLD_HEAL_EVERY"],
        "How often chunks that are missing are looked for, to be made anew.",
    );
    REBALANCE_EVERY = key(
        "times.rebalance_every",
        &["SIXFOLD_REBALANCE_EVERY"],
        "How often chunks that should be on another node are looked for.",
    );
    HOLD_DOWN = key(
        "times.hold_down",
        &["SIXFOLD_HOLD_DOWN"],
        "How long a node is dead before what it had is made anew on other nodes.",
    );
    SCRUB_CYCLE = key(
        "scrub.cycle",
        &["SIXFOLD_SCRUB_CYCLE"],
        "Within this time every chunk is read and verified. `sixfold-node` takes it as \
         `--scrub-cycle`.",
    );
    SCRUB_RATE = key(
        "scrub.mib_per_second",
        &["SIXFOLD_SCRUB_MIB_PER_SECOND"],
        "The most that the scrub reads of a drive; as a rule it needs less. `sixfold-node` takes \
         it as `--scrub-mib-per-second`.",
    );
    LOG_FORMAT = flagged(
        "log.format",
        &["SIXFOLD_LOG_FORMAT"],
        "--log-format",
        "`text` for people, `json` for machines, `auto`: text on a terminal and JSON elsewhere.",
    );
    LOG_FILTER = key("log.filter", &["RUST_LOG"],
        "Which lines are logged, as in `info` or `sixfold=debug`.");
    LOG_FILE = key("log.file", &["SIXFOLD_LOG_FILE"],
        "Where they go: `stderr`, `stdout`, or a file, whose ended ones get `.1`, `.2` and so on.");
    LOG_FILE_MIB = key("log.file_mib", &["SIXFOLD_LOG_FILE_MIB"],
        "MiB after which a log file ends and another one begins; 1 to 1000.");
    LOG_FILES = key("log.files", &["SIXFOLD_LOG_FILES"],
        "Ended log files that are kept; 1 to 1000.");
    LOG_KEEP = key("log.keep", &["SIXFOLD_LOG_KEEP"],
        "For how long ended log files are kept at most; one in use ends after a tenth of it.");
    LOG_SLOW = key("log.slow_after", &["SIXFOLD_LOG_SLOW_AFTER"],
        "Requests that take this long have a second line, at level WARN, with what took the time.");
    TRACE_ENDPOINT = key("trace.endpoint",
        &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
        "Where traces are sent by OTLP over gRPC, as in `http://collector:4317`; nowhere by \
         default, and then none are made. `sixfold-node` takes it as `--otlp-endpoint`, too.");
    TRACE_PROTOCOL = key("trace.protocol",
        &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
        "`grpc` is the one that is spoken.");
    TRACE_SERVICE = key("trace.service", &["OTEL_SERVICE_NAME"],
        "What this process is called in traces. `sixfold-node` takes it as `--service-name`, too.");
    TRACE_RATIO = key("trace.ratio", &["SIXFOLD_TRACE_RATIO", "OTEL_TRACES_SAMPLER_ARG"],
        "The share of requests that are traced, 0 to 1, of those that come without `traceparent`. \
         The others are traced when their caller's trace is.");
    TRACE_PER_SECOND = key("trace.per_second", &["SIXFOLD_TRACE_PER_SECOND"],
        "Requests that are traced per second at most, 1 to 1000: of either kind, each. So a client \
         can't force load by asking for traces, nor keep others from being traced.");
}
