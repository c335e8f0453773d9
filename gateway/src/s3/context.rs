//! Who asks for an operation, with which headers, and whether he may.

use super::error::Error;
use super::ids::owner_text;
use crate::app::App;
use crate::auth::Caller;
use crate::meta::types::{Bucket, UserId};
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use s3s::{S3Request, TrailingHeaders};
use std::sync::Arc;

/// A request without its typed input.
pub(crate) struct Context {
    /// Who signed it.
    pub(crate) caller: Caller,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// The parameters of a presigned URL, where headers may stand as well; empty otherwise.
    presigned: Vec<(String, String)>,
    /// What comes after the body.
    pub(crate) trailers: Option<TrailingHeaders>,
}

impl Context {
    /// Takes a request apart. What is not offered is refused here, for every operation alike,
    /// instead of being ignored by one that does not know it.
    pub(crate) fn split<T>(request: S3Request<T>) -> Result<(Self, T), Error> {
        // The access check puts the caller there; a request without one was never let in.
        let caller = request.extensions.get::<Caller>().ok_or(Error::AccessDenied)?.clone();
        let context = Self {
            caller,
            presigned: presigned_parameters(request.uri.query()),
            headers: request.headers,
            trailers: request.trailing_headers,
        };
        super::headers::refuse_unoffered(&context)?;
        Ok((context, request.input))
    }

    /// A header, or the parameter that stands for it in a presigned URL.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.all().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers, then all parameters of a presigned URL.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("\u{fffd}")));
        headers.chain(self.hoisted())
    }

    /// The headers that a presigned URL carries as parameters.
    pub(crate) fn hoisted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.presigned.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether the caller may touch a bucket: only its owner may. The one place that decides.
    pub(crate) fn allow(&self, bucket: &Bucket) -> Result<(), Error> {
        if bucket.owner != self.caller.user.id {
            return Err(Error::AccessDenied);
        }
        self.check_expected_owner("x-amz-expected-bucket-owner", bucket.owner)
    }

    /// The same for the bucket that a copy reads from.
    pub(crate) fn allow_source(&self, bucket: &Bucket) -> Result<(), Error> {
        if bucket.owner != self.caller.user.id {
            return Err(Error::AccessDenied);
        }
        self.check_expected_owner("x-amz-source-expected-bucket-owner", bucket.owner)
    }

    /// A bucket that the caller may touch, as its row is now.
    pub(crate) async fn bucket(&self, app: &App, name: &str) -> Result<Arc<Bucket>, Error> {
        let bucket = app.buckets.reload(app.meta.as_ref(), name).await?;
        self.allow(&bucket)?;
        Ok(bucket)
    }

    /// A bucket that the caller may touch, for an operation whose commit checks it again.
    pub(crate) async fn bucket_to_write(
        &self,
        app: &App,
        name: &str,
    ) -> Result<Arc<Bucket>, Error> {
        let bucket = app.buckets.get(app.meta.as_ref(), name).await?;
        self.allow(&bucket)?;
        Ok(bucket)
    }

    fn check_expected_owner(&self, header: &str, owner: UserId) -> Result<(), Error> {
        match self.value(header) {
            Some(expected) if expected != owner_text(owner) => Err(Error::AccessDenied),
            _ => Ok(()),
        }
    }
}

fn presigned_parameters(query: Option<&str>) -> Vec<(String, String)> {
    let Some(query) = query.filter(|query| query.contains("X-Amz-Signature=")) else {
        return Vec::new();
    };
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .filter(|(name, _)| is_header_name(name))
        .collect()
}

/// Amazon's headers, but not the parameters of the signature itself.
fn is_header_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let signature = [
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-content-sha256",
    ];
    name.starts_with("x-amz-") && !signature.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_presigned_url_carries_headers() {
        let query = "x-amz-acl=private&X-Amz-Date=1&X-Amz-Signature=s&key=1";
        let own = vec![("x-amz-acl".to_owned(), "private".to_owned())];
        assert_eq!(presigned_parameters(Some(query)), own);
        assert_eq!(presigned_parameters(Some("x-amz-acl=private")), vec![]);
        assert_eq!(presigned_parameters(None), vec![]);
    }
}
