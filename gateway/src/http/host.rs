//! Virtual-host style: `bucket.domain` beside path style. A host that is none of ours is path
//! style, whatever it is, so that any name, address or port a client reaches us by works.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The domains below which a label is a bucket's name.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    /// `.domain` in lower case, longest first so that a sub-domain wins over its parent.
    suffixes: Vec<String>,
}

impl Domains {
    /// Domains as configured; a port is ignored.
    pub fn new(domains: &[String]) -> Self {
        let mut suffixes: Vec<_> =
            domains.iter().map(|domain| format!(".{}", bare_host(domain))).collect();
        suffixes.sort_by_key(|suffix| std::cmp::Reverse(suffix.len()));
        Self { suffixes }
    }

    /// The bucket that a `Host` header names, if it names one.
    pub fn bucket(&self, host: &str) -> Option<String> {
        if self.suffixes.is_empty() {
            return None;
        }
        let host = bare_host(host);
        if self.suffixes.iter().any(|suffix| suffix[1..] == host) {
            return None;
        }
        let suffix = self.suffixes.iter().find(|suffix| host.ends_with(suffix.as_str()))?;
        let bucket = &host[..host.len() - suffix.len()];
        (!bucket.is_empty()).then(|| bucket.to_owned())
    }
}

/// Lower case, without port and without the root's dot.
fn bare_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let parsed = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => parsed.with_bucket(bucket),
            None => parsed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Domains;

    #[test]
    fn only_labels_below_a_domain_are_buckets() {
        let domains = Domains::new(&["S3.Local:9000".to_owned(), "a.s3.local".to_owned()]);
        for (host, bucket) in [
            ("photos.s3.local", Some("photos")),
            ("Photos.S3.Local:1234", Some("photos")),
            ("x.y.s3.local", Some("x.y")),
            ("photos.s3.local.", Some("photos")),
            ("p.a.s3.local", Some("p")),
            ("a.s3.local", None),
            ("s3.local:9000", None),
            (".s3.local", None),
            ("evils3.local", None),
            ("gateway:9000", None),
            ("[::1]:9000", None),
        ] {
            assert_eq!(domains.bucket(host).as_deref(), bucket, "{host}");
        }
        assert_eq!(Domains::new(&[]).bucket("photos.s3.local"), None);
    }
}
