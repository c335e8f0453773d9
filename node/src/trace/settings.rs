//! Where traces go, as gateways and nodes are told alike. Errors complete the sentence "`text` …".

use super::sample::Sampling;
use anyhow::anyhow;
use http::Uri;
use http::uri::Authority;

/// Where the collector is, and what this process is called there.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The URL of its gRPC endpoint.
    pub endpoint: String,
    /// The attribute `service.name`.
    pub service: String,
    /// What begins a trace here.
    pub sampling: Sampling,
}

/// A URL without a path, as `http://collector:4317`.
pub fn endpoint(text: &str) -> Result<String, String> {
    let mend = || {
        "is no endpoint of OTLP over gRPC: give a URL without path and account, as in \
         http://collector:4317"
            .to_owned()
    };
    let url = text.parse::<Uri>().map_err(|_| mend())?;
    let is_known = matches!(url.scheme_str(), Some("http" | "https"));
    let is_bare = url.path() == "/" && url.query().is_none();
    let is_address = url.authority().is_some_and(is_host_and_port);
    if is_known && is_bare && is_address {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(mend())
}

/// Whether there is a host, a port at most, and nothing else.
fn is_host_and_port(authority: &Authority) -> bool {
    let host = authority.host();
    let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    !host.is_empty() && authority.as_str() == format!("{host}{port}")
}

/// The one protocol that is spoken.
pub fn protocol(text: &str) -> Result<String, String> {
    if text == "grpc" {
        return Ok(text.to_owned());
    }
    Err("is not offered: traces are sent by grpc, as a rule to port 4317".to_owned())
}

/// A share from 0 to 1.
pub fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("is not between 0 and 1".to_owned()),
    }
}

/// The flags and variables of `sixfold-node`. It samples what its gateways do.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TraceArguments {
    /// Where traces are sent by OTLP over gRPC: a URL without a path; by default nowhere.
    #[arg(long = "otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp: Option<String>,
    /// The same for traces alone; it goes before the other.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", hide = true)]
    otlp_traces_endpoint: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL", hide = true)]
    otlp_protocol: Option<String>,
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", hide = true)]
    otlp_traces_protocol: Option<String>,
    /// What this process is called in traces.
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "sixfold-node", value_name = "NAME")]
    service_name: String,
}

impl TraceArguments {
    /// Checks them. `None`: no traces. A variable without a value is one that is not set.
    pub fn settings(&self) -> anyhow::Result<Option<TraceSettings>> {
        let first = |texts: [&Option<String>; 2]| {
            texts.into_iter().flatten().find(|text| !text.is_empty()).cloned()
        };
        let wrong = |name: &str, text: &str, mend: String| anyhow!("{name}: `{text}` {mend}");
        if let Some(text) = first([&self.otlp_traces_protocol, &self.otlp_protocol]) {
            protocol(&text).map_err(|mend| wrong("OTEL_EXPORTER_OTLP_PROTOCOL", &text, mend))?;
        }
        let Some(text) = first([&self.otlp_traces_endpoint, &self.otlp]) else { return Ok(None) };
        let name = "--otlp-endpoint, OTEL_EXPORTER_OTLP_ENDPOINT";
        let endpoint = endpoint(&text).map_err(|mend| wrong(name, &text, mend))?;
        let service = Some(self.service_name.trim()).filter(|name| !name.is_empty());
        let service = service.unwrap_or("sixfold-node").to_owned();
        Ok(Some(TraceSettings { endpoint, service, sampling: Sampling::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::{TraceArguments, endpoint, protocol, ratio};

    #[test]
    fn endpoints_are_urls_without_secrets() {
        let good = [
            ("http://collector:4317", "http://collector:4317"),
            ("http://127.0.0.1:4317/", "http://127.0.0.1:4317"),
            ("https://otlp.example.com", "https://otlp.example.com"),
            ("http://[::1]:4317", "http://[::1]:4317"),
        ];
        for (text, expected) in good {
            assert_eq!(endpoint(text).as_deref(), Ok(expected));
        }
        for wrong in [
            "",
            "collector:4317",
            "collector",
            "ftp://collector",
            "http://",
            "http://collector:4318/v1/traces",
            "http://collector?key=1",
            "http://user:word@collector:4317",
            "http://collector:99999",
        ] {
            assert!(endpoint(wrong).unwrap_err().contains("http://collector:4317"), "{wrong}");
        }
        assert!(protocol("http/protobuf").unwrap_err().contains("4317"));
        assert!(ratio("0.5").is_ok() && ratio("0").is_ok() && ratio("1").is_ok());
        assert!(["-0.1", "1.1", "NaN", "", "all"].iter().all(|text| ratio(text).is_err()));
    }

    #[test]
    fn a_node_is_told_as_a_gateway_is() {
        let text = |text: &str| Some(text.to_owned());
        let none = TraceArguments { otlp: text(""), ..TraceArguments::default() };
        assert_eq!(none.settings().unwrap(), None);
        let both = TraceArguments {
            otlp: text("http://all:4317"),
            otlp_traces_endpoint: text("http://traces:4317"),
            ..none.clone()
        };
        let settings = both.settings().unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://traces:4317");
        assert_eq!(settings.service, "sixfold-node");
        let wrong = TraceArguments { otlp: text("traces"), ..none.clone() };
        let error = wrong.settings().unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT: `traces`"), "{error}");
        let wrong = TraceArguments { otlp_protocol: text("http/json"), ..none };
        assert!(wrong.settings().unwrap_err().to_string().contains("http/json"));
    }
}
