//! What a request's host and path name: the service, a bucket or an object.

use super::host::Domains;
use percent_encoding::percent_decode_str;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// No bucket at all: `ListBuckets`.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// The bucket and key that a request names, decoded once. For guards and logs; operations get
/// theirs from s3s, which decodes the same bytes the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The bucket's name.
    pub bucket: Option<String>,
    /// The key.
    pub key: Option<String>,
}

impl Target {
    /// Reads a host (without HTTP's syntax checked) and a raw path.
    pub fn of(host: Option<&str>, path: &str, domains: &Domains) -> Self {
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let path = decoded.strip_prefix('/').unwrap_or(&decoded);
        if let Some(bucket) = host.and_then(|host| domains.bucket(host)) {
            return Self { bucket: Some(bucket), key: non_empty(path) };
        }
        match path.split_once('/') {
            Some((bucket, key)) => Self { bucket: non_empty(bucket), key: non_empty(key) },
            None => Self { bucket: non_empty(path), key: None },
        }
    }

    /// What it is about.
    pub fn place(&self) -> Place {
        match (&self.bucket, &self.key) {
            (None, _) => Place::Service,
            (Some(_), None) => Place::Bucket,
            (Some(_), Some(_)) => Place::Object,
        }
    }

    /// `/bucket/key` as the error document's `Resource` has it.
    pub fn resource(&self) -> String {
        match (&self.bucket, &self.key) {
            (None, _) => "/".to_owned(),
            (Some(bucket), None) => format!("/{bucket}"),
            (Some(bucket), Some(key)) => format!("/{bucket}/{key}"),
        }
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Place, Target};
    use crate::http::host::Domains;

    fn check(host: &str, path: &str, bucket: Option<&str>, key: Option<&str>, place: Place) {
        let domains = Domains::new(&["s3.example.com".to_owned()]);
        let target = Target::of(Some(host), path, &domains);
        assert_eq!(target.bucket.as_deref(), bucket, "{host}{path}");
        assert_eq!(target.key.as_deref(), key, "{host}{path}");
        assert_eq!(target.place(), place, "{host}{path}");
    }

    #[test]
    fn paths_and_hosts_name_buckets_and_keys() {
        check("127.0.0.1:9000", "/", None, None, Place::Service);
        check("127.0.0.1:9000", "/b", Some("b"), None, Place::Bucket);
        check("127.0.0.1:9000", "/b/", Some("b"), None, Place::Bucket);
        check("127.0.0.1:9000", "/b/a%2Fk", Some("b"), Some("a/k"), Place::Object);
        check("127.0.0.1:9000", "/b//k", Some("b"), Some("/k"), Place::Object);
        check("B.S3.example.com:9000", "/", Some("b"), None, Place::Bucket);
        check("b.s3.example.com", "/x/y", Some("b"), Some("x/y"), Place::Object);
        check("s3.example.com", "/b/k", Some("b"), Some("k"), Place::Object);
        check("other.org", "/b/k", Some("b"), Some("k"), Place::Object);
    }
}
