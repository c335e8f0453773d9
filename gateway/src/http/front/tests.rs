//! The front over a service of one operation, in process. What needs a signature is tested over
//! the wire, with real processes, in `compat-tests`.

use super::{Front, FrontSettings};
use crate::auth::access::Access;
use crate::auth::secrets::Secrets;
use crate::auth::{Identities, Identity};
use crate::http::health::{Health, Readiness};
use crate::meta::MetaError;
use crate::telemetry::trace::{Sampling, TraceSettings, Tracer};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use s3s::S3;
use std::sync::Arc;
use std::time::Duration;

/// No operation is ever reached without a signature.
struct NoOperations;

impl S3 for NoOperations {}

struct NoKeys;

#[async_trait::async_trait]
impl Identities for NoKeys {
    async fn identity(&self, _: &str) -> Result<Option<Identity>, MetaError> {
        Ok(None)
    }
}

fn front(max_requests: usize) -> Front {
    traced_front(max_requests, Tracer::off())
}

fn traced_front(max_requests: usize, tracer: Tracer) -> Front {
    let settings = FrontSettings {
        region: "us-east-1".to_owned(),
        domains: vec!["s3.example.com".to_owned()],
        max_requests,
        body_idle: Duration::from_secs(30),
        pressure: crate::pressure::Pressure::new(1),
        slow_after: Duration::from_secs(30),
        tracer,
    };
    let keys: Arc<dyn Identities> = Arc::new(NoKeys);
    let (auth, access) = (Secrets::new(Arc::clone(&keys)), Access::new(keys));
    let service = crate::http::s3s::service(NoOperations, auth, access, &settings).unwrap();
    let health = Health::new();
    health.set(Readiness::Ready);
    Front::new(service, health, settings)
}

fn request(method: Method, uri: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(uri).header("host", "localhost:9000");
    request.body(Full::default()).unwrap()
}

async fn text<B>(response: Response<B>) -> (http::response::Parts, String)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn every_error_names_its_request() {
    let front = front(8);
    for (method, uri, status, code) in [
        (Method::GET, "/", 403, "AccessDenied"),
        (Method::GET, "/photos/a%3Cb", 403, "AccessDenied"),
        (Method::GET, "/Ab", 400, "InvalidBucketName"),
        (Method::GET, "/minio", 400, "InvalidBucketName"),
        (Method::PATCH, "/photos", 405, "MethodNotAllowed"),
        (Method::OPTIONS, "/photos/k", 403, "AccessForbidden"),
        (Method::GET, "/photos?abac", 501, "NotImplemented"),
    ] {
        let (parts, body) = text(front.handle(request(method, uri)).await).await;
        assert_eq!(parts.status, status, "{uri}: {body}");
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{uri}: {body}");
        let id = parts.headers["x-amz-request-id"].to_str().unwrap();
        assert!(body.contains(&format!("<RequestId>{id}</RequestId>")), "{body}");
        let host_id = parts.headers["x-amz-id-2"].to_str().unwrap();
        assert!(body.contains(&format!("<HostId>{host_id}</HostId></Error>")), "{body}");
        assert!(body.contains("<Message>") && body.contains("<Resource>/"), "{body}");
        assert_eq!(body.matches("<RequestId>").count(), 1, "{body}");
    }
    let (_, body) = text(front.handle(request(Method::GET, "/photos/a%3Cb")).await).await;
    assert!(body.contains("<Resource>/photos/a&lt;b</Resource>"), "{body}");
}

#[tokio::test]
async fn an_error_of_head_has_no_body() {
    let (parts, body) = text(front(8).handle(request(Method::HEAD, "/photos/k")).await).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (403, ""));
    assert!(parts.headers.contains_key("x-amz-request-id"));
}

#[tokio::test]
async fn over_the_limit_requests_are_told_to_slow_down_and_probes_are_answered() {
    let front = front(0);
    let (parts, body) = text(front.handle(request(Method::GET, "/photos/k")).await).await;
    assert_eq!(parts.status, 503);
    assert_eq!(parts.headers["retry-after"], "1");
    assert!(body.contains("<Code>SlowDown</Code>"), "{body}");
    let (parts, _) = text(front.handle(request(Method::GET, "/minio/health/live")).await).await;
    assert_eq!(parts.status, 200);
}

#[tokio::test]
async fn a_refusal_before_the_body_was_read_ends_the_connection() {
    let front = front(8);
    let mut put = request(Method::PUT, "/photos/k");
    *put.body_mut() = Full::from("unread");
    put.headers_mut().insert("content-length", "6".parse().unwrap());
    let (parts, body) = text(front.handle(put).await).await;
    assert_eq!(
        (parts.status.as_u16(), parts.headers["connection"].as_bytes()),
        (403, &b"close"[..]),
        "{body}"
    );
    let (parts, _) = text(front.handle(request(Method::GET, "/photos/k")).await).await;
    assert!(!parts.headers.contains_key("connection"));
}

/// Clients that ask with HEAD learn the region from the header, the others from the document.
#[tokio::test]
async fn the_wrong_region_is_corrected_for_head_as_well() {
    let scope = "AKID/20261121/eu-west-1/s3/aws4_request";
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}&X-Amz-Date=20261121T000000Z\
         &X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    );
    for method in [Method::HEAD, Method::GET] {
        let mut by_header = request(method.clone(), "/photos/k");
        by_header.headers_mut().insert("authorization", authorization.parse().unwrap());
        for request in [by_header, request(method, &format!("/photos/k?{query}"))] {
            let (parts, _) = text(front(8).handle(request).await).await;
            assert_eq!(parts.status, 400);
            assert_eq!(parts.headers["x-amz-bucket-region"], "us-east-1");
        }
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_has_a_host() {
    let mut request = request(Method::GET, "/photos/k");
    request.headers_mut().remove("host");
    let (parts, _) = text(front(8).handle(request).await).await;
    assert_eq!(parts.status, 400);
}

#[tokio::test]
async fn a_double_slash_is_the_service() {
    let (parts, body) = text(front(8).handle(request(Method::GET, "//")).await).await;
    assert_eq!(parts.status, 403, "{body}");
    assert!(body.contains("<Resource>/</Resource>"), "{body}");
}

#[tokio::test]
async fn an_unknown_key_is_named_as_such() {
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let now = time::OffsetDateTime::now_utc();
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = now.format(format).unwrap();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/{}/us-east-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={hash}",
        &date[..8]
    );
    let mut request = request(Method::GET, "/photos/k");
    for (name, value) in [
        ("authorization", authorization.as_str()),
        ("x-amz-date", &date),
        ("x-amz-content-sha256", hash),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (parts, body) = text(front(8).handle(request).await).await;
    assert_eq!(parts.status, 403, "{body}");
    assert!(body.contains("<Code>InvalidAccessKeyId</Code>"), "{body}");
}

#[tokio::test]
async fn a_bucket_in_the_host_has_no_probes() {
    for (host, status) in
        [("localhost", 200), ("s3.example.com", 200), ("photos.s3.example.com", 403)]
    {
        for path in ["/minio/health/live", "/health/live"] {
            let request = Request::get(path).header("host", host).body(Full::<Bytes>::default());
            let (parts, _) = text(front(8).handle(request.unwrap()).await).await;
            assert_eq!(parts.status, status, "{host}{path}");
        }
    }
    let (parts, body) = text(front(8).handle(request(Method::GET, "/minio/health/no")).await).await;
    assert_eq!(parts.status, 404);
    assert!(body.contains("<Code>NoSuchKey</Code>"), "{body}");
}

/// What a stranger names stays out of traces: path, query, headers.
#[tokio::test]
async fn a_trace_says_nothing_that_opens_or_tells_an_object() {
    let sampling = Sampling { ratio: 1.0, per_second: 100 };
    let (endpoint, service) = ("http://127.0.0.1:1".to_owned(), "test".to_owned());
    let settings = TraceSettings { endpoint, service, sampling };
    let (tracer, mut spans) = Tracer::received(&settings);
    let front = traced_front(8, tracer);
    let uri = "/photos/canary-key?X-Amz-Signature=canary-signature&X-Amz-Credential=canary-id";
    let mut asked = request(Method::GET, uri);
    asked.headers_mut().insert("authorization", "AWS4 canary-header".parse().unwrap());
    let (parts, _) = text(front.handle(asked).await).await;
    let span = spans.try_recv().unwrap();
    let told = format!("{span:?}");
    assert!(!told.contains("canary"), "{told}");
    assert!(told.contains("photos") && told.contains("\"GET\""), "{told}");
    let header = |name: &str| parts.headers[name].to_str().unwrap().to_lowercase();
    let (id, host_id) = (header("x-amz-request-id"), header("x-amz-id-2"));
    assert!(told.contains(&id.to_uppercase()), "{told}");
    assert_eq!(hex::encode(span.trace_id), format!("{id}{}", &host_id[..16]));

    // Names that are no bucket's, a caller that does not want it, and probes: nothing.
    let (parts, _) = text(front.handle(request(Method::GET, "/Canary%20Text/k")).await).await;
    assert_eq!(parts.status, 400);
    assert!(!format!("{:?}", spans.try_recv().unwrap()).contains("Canary"));
    let caller = |flags: &str| format!("00-{}-{}-{flags}", "1".repeat(32), "2".repeat(16));
    for (uri, callers, count) in [
        ("/photos", vec![caller("00")], 0),
        ("/photos", vec![caller("01")], 1),
        ("/photos", vec![caller("01"), caller("01")], 1),
        ("/minio/health/live", vec![], 0),
    ] {
        let mut asked = request(Method::GET, uri);
        callers.iter().for_each(|caller| {
            asked.headers_mut().append("traceparent", caller.parse().unwrap());
        });
        text(front.handle(asked).await).await;
        let seen = std::iter::from_fn(|| spans.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(seen.len(), count, "{uri} {callers:?}");
        let is_followed = seen.iter().any(|span| span.trace_id == [0x11; 16]);
        assert_eq!(is_followed, callers.len() == 1 && count == 1);
    }
}
