//! The table of metrics as a page for people: `docs/metrics.md`, which a test keeps in step.

use sixfold_proto::metrics::{ALL, Kind, Metric, Shown};
use std::fmt::Write;

const HEAD: &str = "\
# Metrics

<!-- Written by `make docs` from proto/src/metrics.rs; a test fails when it is stale. -->

Prometheus scrapes `/metrics` on the admin address of `sixfold server` and `sixfold gateway`
(`http.admin_address`, 127.0.0.1:9001) and of `sixfold-node` (`--admin-address`, none by default).
An admin address of this machine alone (loopback) needs no token; any other one shows metrics only
to those that send `Authorization: Bearer TOKEN`, the token of `http.admin_token`
(`SIXFOLD_ADMIN_TOKEN` or `SIXFOLD_ADMIN_TOKEN_FILE`, for nodes as well). Probes need none.

```yaml
scrape_configs:
  - job_name: sixfold
    authorization: { credentials_file: /etc/prometheus/sixfold-token }
    static_configs: [{ targets: [gateway-1:9001, gateway-2:9001, node-1:9101] }]
```

Every gateway shows the whole cluster: what is read from the database (backlogs, capacity) is the
same in each, so that a query takes `max`, not `sum`. It is read when somebody scrapes, at most
every 5 s; while the database is away it stays as it was and `sixfold_database_up` is 0.

`/minio/v2/metrics/cluster` has the core of MinIO's series, by its names, for dashboards that were
made for it: capacity, drives, requests, errors, traffic, time to first byte.

";

/// The page.
pub fn reference() -> String {
    let groups = [
        (Shown::Gateways, "Servers and gateways"),
        (Shown::Drives, "Drives: servers and nodes"),
        (Shown::Copies, "Servers with copies of their metadata"),
        (Shown::Certificates, "Processes with certificates"),
        (Shown::Everywhere, "Every process"),
    ];
    let mut page = HEAD.to_owned();
    for (shown, title) in groups {
        let _ = write!(page, "## {title}\n\n| metric | kind | labels | what it says |\n");
        page.push_str("|---|---|---|---|\n");
        for Metric { name, kind, labels, help, .. } in ALL.iter().filter(|it| it.shown == shown) {
            let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
            let (kind, labels) = (kind.name(), labels.join(", "));
            let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
        }
        page.push('\n');
    }
    page.push_str(
        "## Bounds of the histograms\n\n| metric | upper bounds in seconds |\n|---|---|\n",
    );
    for metric in ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds = bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
            let _ = writeln!(page, "| `{}` | {bounds} |", metric.name);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_this_one() {
        let page = include_str!("../../../docs/metrics.md");
        assert!(page == super::reference(), "docs/metrics.md is stale: run `make docs`");
    }
}
