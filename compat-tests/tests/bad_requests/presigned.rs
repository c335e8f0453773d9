//! Presigned URLs.

use super::{Bench, KEY};
use compat_tests::raw::{Request, Wire};
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);

pub(super) async fn check(bench: &Bench) {
    let get = || Request::get(KEY).presign(&bench.signer, bench.address(), MINUTE);
    assert_eq!(get().send(bench.address()).await.expect_status(200).text(), "kept");

    let malformed = "AuthorizationQueryParametersError";
    for (from, to) in [
        ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=60", "X-Amz-Expires=abc"),
        ("X-Amz-Expires=60", "X-Amz-Expires="),
        ("X-Amz-Expires=60", "X-Amz-Expires=%2B60"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    ] {
        let mut wire = get();
        wire.replace_in_target(from, to);
        bench.check(to, &wire, 400, malformed).await;
    }

    let past = bench.signer.clone().at(|now| now - MINUTE * 2);
    let expired = Request::get(KEY).presign(&past, bench.address(), MINUTE);
    bench.check("expired", &expired, 403, "AccessDenied").await;

    let mut other_method = get();
    other_method.request_line = other_method.request_line.replacen("GET", "DELETE", 1);
    mismatch(bench, "another method", &other_method).await;
    let mut other_key = get();
    other_key.replace_in_target("kept", "other");
    mismatch(bench, "another key", &other_key).await;
    let mut other_bucket = get();
    other_bucket.replace_in_target("/bad-requests/", "/other-bucket/");
    mismatch(bench, "another bucket", &other_bucket).await;
    let mut other_host = get();
    other_host.set("host", "elsewhere.example.com");
    mismatch(bench, "another host", &other_host).await;

    let mut open_host = get();
    open_host.replace_in_target("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=user-agent");
    bench.check("host unsigned", &open_host, 403, "AccessDenied").await;

    extra_headers(bench).await;
    hoisted_copies(bench).await;
    hoisted_headers(bench).await;
    let anonymous = Request::get("/bad-requests/kept?response-content-type=text%2Fhtml");
    let wire = anonymous.unsigned(bench.address());
    bench.check("anonymous override", &wire, 400, "InvalidRequest").await;
}

/// SDKs move headers into the query of a presigned URL. This one would turn a copy into a write of
/// nothing.
async fn hoisted_copies(bench: &Bench) {
    for query in ["", "&partNumber=1&uploadId=u"] {
        let target = format!("/bad-requests/kept?x-amz-copy-source=bad-requests%2Fnew{query}");
        let put = Request::put(&target).presign(&bench.signer, bench.address(), MINUTE);
        bench.check(query, &put, 501, "NotImplemented").await;
    }
}

/// What stands in the query of a presigned URL is a header, or is refused as one.
async fn hoisted_headers(bench: &Bench) {
    for (query, status, code) in [
        ("x-amz-meta-my%20key=x", 400, "InvalidArgument"),
        ("x-amz-meta-gr%C3%B6%C3%9Fe=x", 400, "InvalidArgument"),
        ("x-amz-meta-a=%01", 400, "InvalidArgument"),
        ("x-amz-checksum-crc32=AAAAAQ%3D%3D", 400, "BadDigest"),
        ("x-amz-sdk-checksum-algorithm=CRC99", 400, "InvalidRequest"),
        ("x-amz-acl=public-read", 501, "NotImplemented"),
    ] {
        let put = Request::put(&format!("/bad-requests/new?{query}")).body("x");
        let mut put = put.presign(&bench.signer, bench.address(), MINUTE);
        bench.check(query, &put, status, code).await;
        put.replace_in_target("X-Amz-Signature=", "X-Amz-Signatur%65=");
        bench.check(query, &put, status, code).await;
    }
}

async fn mismatch(bench: &Bench, name: &str, wire: &Wire) {
    bench.check(name, wire, 403, "SignatureDoesNotMatch").await;
}

/// `RustFS` GHSA-g8w9: an unsigned header must not change what a presigned URL does.
async fn extra_headers(bench: &Bench) {
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-a", "b"),
        ("x-amz-copy-source", "/bad-requests/kept"),
    ] {
        let put = Request::put("/bad-requests/new").body("x");
        let mut wire = put.presign(&bench.signer, bench.address(), MINUTE);
        wire.add(name, value);
        bench.check(name, &wire, 403, "AccessDenied").await;
    }
}
