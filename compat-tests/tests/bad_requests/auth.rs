//! The `Authorization` header.

use super::{Bench, KEY};
use compat_tests::raw::{Payload, Request, Signer};
use std::time::Duration;

pub(super) async fn check(bench: &Bench) {
    headers(bench).await;
    scopes_and_dates(bench).await;
    signatures(bench).await;
    tokens(bench).await;
}

async fn headers(bench: &Bench) {
    for (value, status, code) in [
        ("invalid_header", 400, "InvalidArgument"),
        ("AWS2-HMAC-SHA1 Credential=a/b/c/d/e", 400, "InvalidArgument"),
        ("AWS4-HMAC-SHA512 Credential=a/b/c/d/e", 400, "InvalidArgument"),
        ("", 403, "AccessDenied"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", 400, "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256", 400, "AuthorizationHeaderMalformed"),
    ] {
        let mut wire = bench.signed(&Request::get(KEY));
        wire.set("authorization", value);
        bench.check(value, &wire, status, code).await;
    }
    let mut none = bench.signed(&Request::put("/bad-requests/new").body("x"));
    none.remove("authorization");
    bench.check("no authorization", &none, 403, "AccessDenied").await;
    let mut twice = bench.signed(&Request::get(KEY));
    let own = twice.header("authorization").unwrap().to_owned();
    twice.add("authorization", &own);
    bench.check("two authorizations", &twice, 400, "InvalidArgument").await;
}

async fn scopes_and_dates(bench: &Bench) {
    let malformed = "AuthorizationHeaderMalformed";
    for (from, to) in [
        ("/aws4_request", "/aws5_request"),
        ("/aws4_request", "/aws4_request/more"),
        ("/s3/aws4_request", "/aws4_request"),
        ("/s3/", "/ec2/"),
        ("/us-east-1/", "/eu-north-1/"),
    ] {
        let mut wire = bench.signed(&Request::get(KEY));
        wire.edit("authorization", |value| value.replace(from, to));
        bench.check(to, &wire, 400, malformed).await;
    }
    let elsewhere = bench.signer.clone().region("eu-north-1");
    let wire = Request::get(KEY).sign(&elsewhere, bench.address());
    let answer = wire.send(bench.address()).await;
    assert_eq!(answer.element("Region"), "us-east-1", "SDKs correct themselves by it");
    let head = Request::head(KEY).sign(&elsewhere, bench.address()).send(bench.address()).await;
    assert_eq!(head.status, 400);
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-1"), "there is no document");

    let day = Duration::from_hours(24);
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let skewed = [
        ("16 min ago", bench.signer.clone().at(|now| now - minutes(16))),
        ("in 16 min", bench.signer.clone().at(|now| now + minutes(16))),
        ("long ago", bench.signer.clone().at(|now| now - day * 365 * 40)),
        ("in the far future", bench.signer.clone().at(|now| now + day * 365 * 70)),
    ];
    for (name, signer) in skewed {
        let wire = Request::get(KEY).sign(&signer, bench.address());
        bench.check(name, &wire, 403, "RequestTimeTooSkewed").await;
    }
    let mut undated = bench.signed(&Request::get(KEY));
    undated.remove("x-amz-date");
    bench.check("no date", &undated, 403, "AccessDenied").await;
    let mut malformed_date = bench.signed(&Request::get(KEY));
    malformed_date.set("x-amz-date", "yesterday");
    bench.check("malformed date", &malformed_date, 403, "AccessDenied").await;
}

async fn signatures(bench: &Bench) {
    let unknown = Signer::new("SXNOBODY", "secret");
    let wire = Request::get(KEY).sign(&unknown, bench.address());
    bench.check("unknown key", &wire, 403, "InvalidAccessKeyId").await;

    let wrong = Signer::new(compat_tests::cluster::ACCESS_KEY, "another-secret");
    let wire = Request::put("/bad-requests/new").body("x").sign(&wrong, bench.address());
    bench.check("wrong secret", &wire, 403, "SignatureDoesNotMatch").await;

    let mut other_key = bench.signed(&Request::get(KEY));
    other_key.replace_in_target("kept", "other");
    bench.check("another key", &other_key, 403, "SignatureDoesNotMatch").await;

    for (name, value) in [
        ("x-amz-copy-source", "/bad-requests/kept"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-meta-a", "b"),
        ("x-amz-acl", "public-read"),
    ] {
        let mut wire = bench.signed(&Request::put("/bad-requests/new").body("x"));
        wire.add(name, value);
        bench.check(name, &wire, 403, "AccessDenied").await;
    }
    let mut open_host = bench.signed(&Request::get(KEY));
    open_host.edit("authorization", |value| value.replace("=host;", "="));
    bench.check("host unsigned", &open_host, 403, "AccessDenied").await;
    for (method, target) in [
        ("GET", KEY),
        ("DELETE", KEY),
        ("GET", "/bad-requests?list-type=2"),
        ("POST", "/bad-requests/new?uploads"),
        ("DELETE", "/bad-requests"),
    ] {
        let other = Request::new(method, target).payload(Payload::Claimed("0".repeat(64)));
        let wire = bench.signed(&other);
        bench.check("hash of no body", &wire, 400, "XAmzContentSHA256Mismatch").await;
    }
    let copy = Request::put("/bad-requests/new").header("x-amz-copy-source", KEY);
    let copy = bench.signed(&copy.payload(Payload::Claimed("0".repeat(64))));
    bench.check("hash of a copy", &copy, 400, "XAmzContentSHA256Mismatch").await;
    let claimed = Request::put("/bad-requests/new").body("x");
    let invalid = claimed.clone().payload(Payload::Claimed("invalid_sha256".into()));
    bench.check("invalid hash", &bench.signed(&invalid), 400, "InvalidArgument").await;
    let other = claimed.payload(Payload::Claimed("0".repeat(64)));
    bench.check("other hash", &bench.signed(&other), 400, "XAmzContentSHA256Mismatch").await;
}

async fn tokens(bench: &Bench) {
    let mut signer = bench.signer.clone();
    signer.session_token = Some("garbage".into());
    let wire = Request::get(KEY).sign(&signer, bench.address());
    bench.check("a token", &wire, 400, "InvalidToken").await;
    let wire = Request::get(KEY).presign(&signer, bench.address(), Duration::from_mins(1));
    bench.check("a token in the query", &wire, 400, "InvalidToken").await;
}
