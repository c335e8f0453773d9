//! Who asks for an operation, with which headers, and whether he may.

use super::error::Error;
use super::ids::owner_text;
use super::list::order::EntryOrder;
use crate::app::App;
use crate::auth::Caller;
use crate::meta::types::{Bucket, UserId};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use s3s::{S3Request, S3Response, TrailingHeaders};
use std::sync::{Arc, OnceLock};

/// A request without its typed input.
pub(crate) struct Context {
    /// Who signed it.
    pub(crate) caller: Caller,
    /// Its method.
    pub(crate) method: Method,
    /// Its headers, those that a presigned URL carries as parameters among them.
    pub(crate) headers: HeaderMap,
    /// Those of a presigned URL by themselves: the typed input lacks them.
    hoisted: Vec<(HeaderName, String)>,
    /// What comes after the body.
    pub(crate) trailers: Option<TrailingHeaders>,
    /// The order of the answer's entries, where the typed output has none.
    order: OnceLock<EntryOrder>,
}

impl Context {
    /// Takes a request apart. What is not offered is refused here, for every operation alike,
    /// instead of being ignored by one that does not know it.
    pub(crate) fn split<T>(request: S3Request<T>) -> Result<(Self, T), Error> {
        // The access check puts the caller there; a request without one was never let in.
        let caller = request.extensions.get::<Caller>().ok_or(Error::AccessDenied)?.clone();
        let hoisted = hoisted_headers(request.uri.query())?;
        let mut headers = request.headers;
        for (name, value) in &hoisted {
            let is_free = !headers.contains_key(name) && !is_checksum_of_nothing(name, value);
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
                && is_free
            {
                headers.insert(name, value);
            }
        }
        let (trailers, order) = (request.trailing_headers, OnceLock::new());
        let method = request.method;
        let context = Self { caller, method, headers, hoisted, trailers, order };
        super::headers::refuse_unoffered(&context)?;
        Ok((context, request.input))
    }

    /// Tells the front end in which order the answer's entries are.
    pub(crate) fn tell_order(&self, order: EntryOrder) {
        let _ = self.order.set(order);
    }

    /// The answer with what the typed output can't hold.
    pub(crate) fn answer<T>(self, output: T) -> S3Response<T> {
        let mut response = S3Response::new(output);
        if let Some(order) = self.order.into_inner() {
            response.extensions.insert(order);
        }
        response
    }

    /// A header's text.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(header_text)
    }

    /// All headers.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), header_text(value)))
    }

    /// The headers that a presigned URL carries as parameters.
    pub(crate) fn hoisted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.hoisted.iter().map(|(name, value)| (name.as_str(), value.as_str()))
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
        if self.allow(&bucket).is_ok() {
            return Ok(bucket);
        }
        // It may be remembered from another owner's time: a refusal goes by the row as it is.
        self.bucket(app, name).await
    }

    fn check_expected_owner(&self, header: &str, owner: UserId) -> Result<(), Error> {
        match self.value(header) {
            Some(expected) if expected != owner_text(owner) => Err(Error::AccessDenied),
            _ => Ok(()),
        }
    }
}

fn header_text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("\u{fffd}")
}

/// The parameters of a presigned URL that stand for headers. What could be no header is refused:
/// it would be stored and could never be sent back.
fn hoisted_headers(query: Option<&str>) -> Result<Vec<(HeaderName, String)>, Error> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs =
        query.unwrap_or("").split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs: Vec<_> = pairs.map(|(name, value)| (decode(name), value)).collect();
    if !pairs.iter().any(|(name, _)| name == "X-Amz-Signature") {
        return Ok(Vec::new());
    }
    let hoisted = pairs.into_iter().filter(|(name, _)| is_hoisted(name));
    hoisted.map(|(name, value)| header_of(&name, decode(value))).collect()
}

fn header_of(name: &str, value: String) -> Result<(HeaderName, String), Error> {
    let refused = || Error::InvalidArgument("A parameter that begins with x-amz- can be no header");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused())?;
    Ok((name, value))
}

/// Amazon's headers, but not the parameters of the signature itself.
fn is_hoisted(name: &str) -> bool {
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

/// SDKs sign a URL before there is a body, and put the checksum of none into it. Such a one says
/// nothing about the body that is sent.
fn is_checksum_of_nothing(name: &HeaderName, value: &str) -> bool {
    let of_nothing = [
        "AAAAAA==",
        "AAAAAAAAAAA=",
        "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    ];
    name.as_str().starts_with("x-amz-checksum-") && of_nothing.contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use sha1::{Digest as _, Sha1};
    use sha2::Sha256;

    fn hoisted(query: &str) -> Option<Vec<(String, String)>> {
        let headers = hoisted_headers(Some(query)).ok()?;
        Some(headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    #[test]
    fn only_a_presigned_url_carries_headers() {
        let own = vec![("x-amz-acl".to_owned(), "private".to_owned())];
        for signature in ["X-Amz-Signature=s", "X-Amz-Signatur%65=s"] {
            let query = format!("x-amz-acl=private&X-Amz-Date=1&{signature}&key=1");
            assert_eq!(hoisted(&query), Some(own.clone()));
        }
        assert_eq!(hoisted("x-amz-acl=private"), Some(vec![]));
        assert!(hoisted_headers(None).is_ok_and(|headers| headers.is_empty()));
    }

    #[test]
    fn what_can_be_no_header_is_refused() {
        for wrong in ["my%20key=x", "gr%C3%B6%C3%9Fe=x", "a%2Fb=x", "%01=v", "a=%01", "a=b%0D%0Ac"]
        {
            assert_eq!(hoisted(&format!("X-Amz-Signature=s&x-amz-meta-{wrong}")), None, "{wrong}");
        }
        let umlaut = hoisted("X-Amz-Signature=s&x-amz-meta-a=%C3%A9");
        assert_eq!(umlaut, Some(vec![("x-amz-meta-a".to_owned(), "é".to_owned())]));
    }

    #[test]
    fn checksums_of_nothing_are_known() {
        let sha256 = HeaderName::from_static("x-amz-checksum-sha256");
        let of_nothing = [&[0; 4][..], &[0; 8], &Sha1::digest(b""), &Sha256::digest(b"")];
        for nothing in of_nothing.map(|nothing| BASE64.encode(nothing)) {
            assert!(is_checksum_of_nothing(&sha256, &nothing), "{nothing}");
        }
        assert!(!is_checksum_of_nothing(&sha256, "AAAA"));
    }
}
