//! The core of MinIO's metrics by its own names, for dashboards that were made for it. Each of its
//! series is one of ours under another name; what it sums over statuses and nodes, queries sum.

use std::fmt::Write;

/// A series of MinIO: its name and kind, ours, the label and value that ours must have, and how our
/// labels are called there.
struct Series {
    name: &'static str,
    kind: &'static str,
    ours: &'static str,
    only: &'static str,
    rename: &'static [(&'static str, &'static str)],
}

const fn gauge(name: &'static str, ours: &'static str) -> Series {
    Series { name, kind: "gauge", ours, only: "", rename: &[] }
}

const fn counter(name: &'static str, ours: &'static str, only: &'static str) -> Series {
    Series { name, kind: "counter", ours, only, rename: &[("op=", "api=")] }
}

const SERIES: &[Series] = &[
    gauge("minio_cluster_capacity_raw_total_bytes", "sixfold_cluster_capacity_bytes"),
    gauge("minio_cluster_capacity_raw_free_bytes", "sixfold_cluster_free_bytes"),
    gauge("minio_cluster_capacity_usable_total_bytes", "sixfold_cluster_usable_bytes"),
    gauge("minio_cluster_capacity_usable_free_bytes", "sixfold_cluster_usable_free_bytes"),
    gauge("minio_cluster_health_status", "sixfold_writable"),
    Series {
        name: "minio_cluster_drive_online_total",
        kind: "gauge",
        ours: "sixfold_node_state",
        only: "state=\"alive\"",
        rename: &[],
    },
    Series {
        name: "minio_cluster_drive_offline_total",
        kind: "gauge",
        ours: "sixfold_node_state",
        only: "state=\"dead\"",
        rename: &[],
    },
    gauge("minio_s3_requests_inflight_total", "sixfold_http_requests_in_flight"),
    counter("minio_s3_requests_total", "sixfold_http_requests_total", ""),
    counter(
        "minio_s3_requests_4xx_errors_total",
        "sixfold_http_requests_total",
        "status_class=\"4xx\"",
    ),
    counter(
        "minio_s3_requests_5xx_errors_total",
        "sixfold_http_requests_total",
        "status_class=\"5xx\"",
    ),
    counter("minio_s3_traffic_received_bytes", "sixfold_http_received_bytes_total", ""),
    counter("minio_s3_traffic_sent_bytes", "sixfold_http_sent_bytes_total", ""),
    Series {
        name: "minio_s3_requests_ttfb_seconds_distribution",
        kind: "gauge",
        ours: "sixfold_http_first_byte_seconds_bucket",
        only: "",
        rename: &[("op=", "api=")],
    },
];

/// MinIO's series, from our text.
pub(super) fn translate(ours: &str) -> String {
    let mut text = String::new();
    for series in SERIES {
        let _ = writeln!(text, "# TYPE {} {}", series.name, series.kind);
        for line in ours.lines() {
            let Some(rest) = line.strip_prefix(series.ours) else { continue };
            let is_same = rest.starts_with(['{', ' ']) && rest.contains(series.only);
            if is_same {
                let renamed = series.rename.iter();
                let rest = renamed.fold(rest.to_owned(), |rest, (from, to)| {
                    rest.replacen(&format!("{{{from}"), &format!("{{{to}"), 1)
                });
                let _ = writeln!(text, "{}{rest}", series.name);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{SERIES, translate};
    use sixfold_proto::metrics::ALL;

    #[test]
    fn every_series_is_one_of_ours() {
        for series in SERIES {
            let name = series.ours.strip_suffix("_bucket").unwrap_or(series.ours);
            assert!(ALL.iter().any(|metric| metric.name == name), "{name}");
        }
    }

    #[test]
    fn lines_are_renamed_and_chosen() {
        let ours = "\
# TYPE sixfold_http_requests_total counter
sixfold_http_requests_total{op=\"GetObject\",status_class=\"2xx\"} 7
sixfold_http_requests_total{op=\"GetObject\",status_class=\"4xx\"} 1
sixfold_cluster_free_bytes 12
sixfold_node_state{node=\"1\",state=\"alive\"} 1
";
        let text = translate(ours);
        let lines = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        let expected = [
            "minio_cluster_capacity_raw_free_bytes 12",
            "minio_cluster_drive_online_total{node=\"1\",state=\"alive\"} 1",
            "minio_s3_requests_total{api=\"GetObject\",status_class=\"2xx\"} 7",
            "minio_s3_requests_total{api=\"GetObject\",status_class=\"4xx\"} 1",
            "minio_s3_requests_4xx_errors_total{api=\"GetObject\",status_class=\"4xx\"} 1",
        ];
        assert_eq!(lines, expected);
    }
}
