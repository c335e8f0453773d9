//! Every metric of the gateway is declared here. Names begin with `sixfold_`, units are base
//! units, labels are closed sets: an operation's name, a class of statuses.

use http::StatusCode;
use metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

/// Bounds of a request's duration: from a cached HEAD to the last byte of a large object.
const DURATION_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

const REQUESTS: &str = "sixfold_http_requests_total";
const DURATION: &str = "sixfold_http_request_duration_seconds";
const SENT: &str = "sixfold_http_sent_bytes_total";

/// Installs the recorder for this process; the handle renders what a scrape gets.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".into()), &DURATION_SECONDS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, "Requests answered, by operation and class of status.");
    describe_histogram!(DURATION, "From a request's head to the last byte of its answer.");
    describe_counter!(SENT, "Bytes of answers' bodies, by operation.");
    Ok(handle)
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
