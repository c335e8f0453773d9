//! The metrics of a process: a recorder for all, handles by the table of names
//! ([`sixfold_proto::metrics`]), and what the process itself and its drives show.
//!
//! A handle is taken once and then costs an atomic addition; only what is rare takes one each
//! time. Without a recorder, as in tests, handles do nothing.

mod drive;
mod process;

pub use drive::{DriveMetrics, show_drive};
pub(crate) use drive::{ScrubShown, show_scrub};
pub use process::{show_certificate, show_process};

use metrics::{Counter, Gauge, Histogram, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use sixfold_proto::metrics::{ALL, Kind, Metric};
use std::time::{Duration, UNIX_EPOCH};

/// How often values of histograms are counted into their buckets. Until then each is kept: a
/// process that nobody scrapes must not keep them for ever.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder of this process and says what it is. To be called before the first
/// handle is taken, inside the runtime.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, bounds)?;
        }
    }
    let handle = builder.install_recorder()?;
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
    process::show_build();
    crate::trace::show();
    let counted = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(COUNT_EVERY).await;
            counted.run_upkeep();
        }
    });
    Ok(handle)
}

/// A label's name and value.
pub type Label = (&'static str, String);

/// The handle of a counter, shown with 0 from now on.
pub fn counter(metric: &'static Metric, labels: &[Label]) -> Counter {
    check(metric, labels);
    let counter = metrics::counter!(metric.name, labels);
    counter.increment(0);
    counter
}

/// The handle of a gauge.
pub fn gauge(metric: &'static Metric, labels: &[Label]) -> Gauge {
    check(metric, labels);
    metrics::gauge!(metric.name, labels)
}

/// The handle of a histogram.
pub fn histogram(metric: &'static Metric, labels: &[Label]) -> Histogram {
    check(metric, labels);
    metrics::histogram!(metric.name, labels)
}

/// Sets the gauge of each of `states` to whether it is the current one.
pub fn show_state(metric: &'static Metric, node: &str, states: &[&str], current: &str) {
    for state in states {
        let labels = [("node", node.to_owned()), ("state", (*state).to_owned())];
        gauge(metric, &labels).set(flag(*state == current));
    }
}

/// How a gauge says yes or no.
pub fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// The moment as Prometheus counts it.
pub fn now_seconds() -> f64 {
    UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

fn check(metric: &Metric, labels: &[Label]) {
    let are_declared = labels.iter().map(|(name, _)| name).eq(metric.labels);
    debug_assert!(are_declared, "{} has the labels {:?}", metric.name, metric.labels);
}
