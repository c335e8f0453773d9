//! Every metric of the gateway is declared here. Names begin with `sixfold_`, units are base
//! units, labels are closed sets: an operation's name, a class of statuses.

use http::StatusCode;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

/// Bounds of a request's duration: from a cached HEAD to the last byte of a large object.
const DURATION_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

const REQUESTS: &str = "sixfold_http_requests_total";
const DURATION: &str = "sixfold_http_request_duration_seconds";
const SENT: &str = "sixfold_http_sent_bytes_total";
const COPIES: &str = "sixfold_metadata_copies";
const COPIES_IN_STEP: &str = "sixfold_metadata_copies_in_step";
const COPIES_REQUIRED: &str = "sixfold_metadata_copies_required";
const COPY_LAG: &str = "sixfold_metadata_copy_lag_bytes";

/// Installs the recorder for this process; the handle renders what a scrape gets.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".into()), &DURATION_SECONDS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, "Requests answered, by operation and class of status.");
    describe_histogram!(DURATION, "From a request's head to the last byte of its answer.");
    describe_counter!(SENT, "Bytes of answers' bodies, by operation.");
    describe_gauge!(COPIES, "Copies of the metadata that are kept on other drives.");
    describe_gauge!(COPIES_IN_STEP, "Copies from which the metadata could be made anew now.");
    describe_gauge!(COPIES_REQUIRED, "1 while a commit waits until a copy has it, else 0.");
    describe_gauge!(COPY_LAG, "Synced WAL that a copy lacks; all of it when nothing receives it.");
    Ok(handle)
}

/// How many copies of the metadata there are, are in step, and whether commits wait for one.
pub fn metadata_copies(in_step: usize, all: usize, are_required: bool) {
    gauge!(COPIES).set(all as f64);
    gauge!(COPIES_IN_STEP).set(in_step as f64);
    gauge!(COPIES_REQUIRED).set(f64::from(u8::from(are_required)));
}

/// How much one copy lacks.
pub fn metadata_copy_lag(copy: u8, lacks_bytes: u64) {
    gauge!(COPY_LAG, "copy" => copy.to_string()).set(lacks_bytes as f64);
}

/// Counts one answered request.
pub fn request(operation: &str, status: StatusCode, elapsed: Duration, sent_bytes: u64) {
    let class = match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    };
    let operation = operation.to_owned();
    counter!(REQUESTS, "op" => operation.clone(), "status_class" => class).increment(1);
    histogram!(DURATION, "op" => operation.clone()).record(elapsed.as_secs_f64());
    counter!(SENT, "op" => operation).increment(sent_bytes);
}
