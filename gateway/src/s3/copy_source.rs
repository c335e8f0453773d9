//! Where a copy reads from, and under which conditions.

use super::error::Error;
use super::ids;
use crate::meta::types::VersionId;
use s3s::dto::CopySource;

/// The source of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its bucket.
    pub(crate) bucket: String,
    /// Its key, literal.
    pub(crate) key: String,
    /// The version named, if one was.
    pub(crate) version: Option<VersionId>,
}

impl Source {
    /// Takes what the front end parsed. Access points are not offered.
    pub(crate) fn new(source: &CopySource) -> Result<Self, Error> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(Error::NotImplemented("x-amz-copy-source with an access point"));
        };
        ids::check_key(key)
            .map_err(|_| Error::InvalidArgument("Copy Source must mention a bucket and a key"))?;
        Ok(Self {
            bucket: bucket.to_string(),
            key: key.to_string(),
            version: ids::parse_opt_version(version_id.as_deref())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(header: &str) -> Result<Source, Error> {
        let parsed = CopySource::parse(header).map_err(|_| Error::InvalidArgument("parse"))?;
        Source::new(&parsed)
    }

    #[test]
    fn keys_are_decoded_once_and_taken_literally() {
        for (header, key) in [
            ("bucket/key", "key"),
            ("/bucket/key", "key"),
            ("bucket/a%2Fb", "a/b"),
            ("bucket/a%20b+c", "a b+c"),
            ("bucket/%C3%A9", "é"),
            ("bucket/../other/key", "../other/key"),
            ("bucket/%252e%252e", "%2e%2e"),
            ("bucket/a?versionId=null", "a"),
        ] {
            let source = source(header).unwrap();
            assert_eq!((source.bucket.as_str(), source.key.as_str()), ("bucket", key), "{header}");
        }
        assert_eq!(source("bucket/a?versionId=null").unwrap().version, Some(VersionId::Null));
    }

    #[test]
    fn malformed_sources_are_invalid_arguments() {
        let id = "0123456789abcdef0123456789abcdef";
        for header in [
            "",
            "bucket",
            "bucket/",
            "/",
            "bucket/%80",
            "bucket/a%00b",
            "bucket/a?versionId=x",
            "bucket/a?versionId=",
            &format!("bucket/a?versionId={id}&versionId={id}"),
            &format!("bucket/a?versionId={id}?versionId={id}"),
        ] {
            assert!(matches!(source(header), Err(Error::InvalidArgument(_))), "{header}");
        }
    }
}
