//! Objects: put, get, head, delete.

use super::{Store, pattern};
use crate::meta::types::Versioning;
use crate::nodes::fake::Faults;
use http::Request;
use http_body_util::BodyExt as _;
use s3s::Body;

const MD5_HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";

#[tokio::test]
async fn what_was_put_is_what_is_got() {
    let store = Store::with_bucket().await;
    for size in [0, 1, 4096, (1 << 20) - 1, (1 << 20) + 1, 3 << 20] {
        let body = pattern(size);
        store.put("key", body.clone()).await;
        let answer = store.get("key").await.expect(200);
        assert_eq!(answer.bytes(), body, "{size}");
        assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
        let head = store.send("HEAD", "/bucket/key", &[], "").await.expect(200);
        assert_eq!(head.header("content-length"), Some(size.to_string().as_str()));
    }
}

#[tokio::test]
async fn an_answer_says_what_was_stored() {
    let store = Store::with_bucket().await;
    let headers = [
        ("content-type", "text/plain"),
        ("content-encoding", "aws-chunked,gzip"),
        ("cache-control", "no-store"),
        ("x-amz-meta-a", "b"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let put = store.send("PUT", "/bucket/key", &headers, "hello").await.expect(200);
    assert_eq!(put.header("etag"), Some(MD5_HELLO));
    assert!(put.header("x-amz-checksum-crc64nvme").is_some());
    for method in ["GET", "HEAD"] {
        let answer = store.send(method, "/bucket/key", &[], "").await.expect(200);
        assert_eq!(answer.header("etag"), Some(MD5_HELLO));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-amz-meta-a"), Some("b"));
        assert_eq!(answer.header("x-amz-storage-class"), Some("REDUCED_REDUNDANCY"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("x-amz-checksum-crc64nvme"), None);
        assert_eq!(answer.header("x-amz-version-id"), None);
    }
    store.put("plain", "").await;
    let plain = store.get("plain").await.expect(200);
    assert_eq!(plain.header("content-type"), Some("binary/octet-stream"));
    assert_eq!(plain.header("x-amz-storage-class"), None);
}

#[tokio::test]
async fn responses_can_be_overridden() {
    let store = Store::with_bucket().await;
    store.put("key", "hello").await;
    let path = "/bucket/key?response-content-type=text%2Fcss&response-cache-control=private";
    for method in ["GET", "HEAD"] {
        let answer = store.send(method, path, &[], "").await.expect(200);
        assert_eq!(answer.header("content-type"), Some("text/css"));
        assert_eq!(answer.header("cache-control"), Some("private"));
    }
}

#[tokio::test]
async fn ranges() {
    let store = Store::with_bucket().await;
    store.put("key", "0123456789").await;
    for (range, bytes, content_range) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let answer = store.send("GET", "/bucket/key", &[("range", range)], "").await.expect(206);
        assert_eq!((answer.text(), answer.header("content-range")), (bytes, Some(content_range)));
    }
    for range in ["bytes=10-", "bytes=-0"] {
        let answer = store.send("GET", "/bucket/key", &[("range", range)], "").await;
        let answer = answer.expect_error(416, "InvalidRange");
        assert_eq!(answer.header("content-range"), Some("bytes */10"));
    }
    // Here the front end decides before us; Amazon would ignore them.
    for range in ["bytes=5-2", "abc", "bytes=0-1,3-4"] {
        store.send("GET", "/bucket/key", &[("range", range)], "").await.expect(400);
    }
    let no_numbers = [("range", "bytes=-")];
    store.send("GET", "/bucket/key", &no_numbers, "").await.expect(200);
    let stale = [("range", "bytes=0-3"), ("if-range", "\"other\"")];
    let answer = store.send("GET", "/bucket/key", &stale, "").await.expect(200);
    assert_eq!(answer.text(), "0123456789");
}

#[tokio::test]
async fn conditions_of_a_read() {
    let store = Store::with_bucket().await;
    let expires = "Fri, 01 Jan 2100 00:00:00 GMT";
    let cached = [("cache-control", "max-age=60"), ("expires", expires)];
    store.send("PUT", "/bucket/key", &cached, "hello").await.expect(200);
    let (list, weak) = (format!("\"x\", {MD5_HELLO}"), format!("W/{MD5_HELLO}"));
    for (name, value, status) in [
        ("if-match", MD5_HELLO, 200),
        ("if-match", &list, 200),
        ("if-match", &weak, 412),
        ("if-match", "*", 200),
        ("if-match", "\"x\"", 412),
        ("if-none-match", MD5_HELLO, 304),
        ("if-none-match", &list, 304),
        ("if-none-match", &weak, 304),
        ("if-none-match", "\"x\"", 200),
        ("if-modified-since", "Wed, 01 Jan 2020 00:00:00 GMT", 200),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("if-unmodified-since", "Wed, 01 Jan 2020 00:00:00 GMT", 412),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = store.send(method, "/bucket/key", &[(name, value)], "").await;
            let answer = answer.expect(status);
            if status == 304 {
                assert!(answer.bytes().is_empty());
                assert_eq!(answer.header("etag"), Some(MD5_HELLO));
                assert!(answer.header("last-modified").is_some());
                assert_eq!(answer.header("cache-control"), Some("max-age=60"));
                assert_eq!(answer.header("expires"), Some(expires));
            }
        }
    }
}

#[tokio::test]
async fn conditions_of_a_write() {
    let store = Store::with_bucket().await;
    let put = |name: &'static str, value: &'static str| {
        let store = &store;
        async move { store.send("PUT", "/bucket/key", &[(name, value)], "hello").await }
    };
    put("if-match", "*").await.expect_error(404, "NoSuchKey");
    put("if-none-match", "*").await.expect(200);
    put("if-none-match", "*").await.expect_error(412, "PreconditionFailed");
    put("if-match", MD5_HELLO).await.expect(200);
    put("if-match", "\"x\"").await.expect_error(412, "PreconditionFailed");
}

#[tokio::test]
async fn digests_are_verified_before_the_commit() {
    let store = Store::with_bucket().await;
    let good = [
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
    ];
    for header in good {
        let put = store.send("PUT", "/bucket/good", &[header], "hello").await.expect(200);
        if header.0 == "content-md5" {
            continue;
        }
        assert_eq!(put.header(header.0), Some(header.1));
        let mode = [("x-amz-checksum-mode", "ENABLED")];
        let got = store.send("GET", "/bucket/good", &mode, "").await.expect(200);
        assert_eq!(got.header(header.0), Some(header.1));
        assert_eq!(got.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    }
    for header in good {
        let answer = store.send("PUT", "/bucket/bad", &[header], "jello").await;
        answer.expect_error(400, "BadDigest");
    }
    let two = [good[1], good[2]];
    store.send("PUT", "/bucket/bad", &two, "hello").await.expect_error(400, "InvalidRequest");
    let ill = [("content-md5", "x")];
    store.send("PUT", "/bucket/bad", &ill, "hello").await.expect_error(400, "InvalidDigest");
    store.get("bad").await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn what_is_too_large_or_not_offered_is_refused() {
    let store = Store::with_bucket().await;
    let large = [("content-length", "5368709121")];
    store.send("PUT", "/bucket/key", &large, "").await.expect_error(400, "EntityTooLarge");
    let long = "v".repeat(2048);
    let meta = [("x-amz-meta-a", long.as_str())];
    store.send("PUT", "/bucket/key", &meta, "").await.expect_error(400, "MetadataTooLarge");
    let key = "k".repeat(1025);
    let path = format!("/bucket/{key}");
    store.send("PUT", &path, &[], "").await.expect_error(400, "KeyTooLongError");
    let class = [("x-amz-storage-class", "CHEAP")];
    store.send("PUT", "/bucket/key", &class, "").await.expect_error(400, "InvalidStorageClass");
    for header in [
        ("x-amz-acl", "public-read"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-grant-read", "id=1"),
        ("x-amz-object-lock-legal-hold", "ON"),
    ] {
        let answer = store.send("PUT", "/bucket/key", &[header], "").await;
        answer.expect_error(501, "NotImplemented");
    }
    store.get("key").await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn keys_are_literal() {
    let store = Store::with_bucket().await;
    for key in ["..", "%2e%2e%2fother", "..%2fx", "%252e", "a/../../other/k", "%5c..%5c", "C:"] {
        store.put(key, key.to_owned()).await;
    }
    let list = store.send("GET", "/bucket", &[], "").await.expect(200);
    let keys = ["%2e", "..", "../other", "../x", "C:", "\\..\\", "a/../../other/k"];
    assert_eq!(list.elements("Key"), keys);
}

#[tokio::test]
async fn versions_are_named_or_refused() {
    let store = Store::with_bucket().await;
    store.put("key", "null").await;
    store.set_versioning(Versioning::Enabled).await;
    let put = store.put("key", "second").await;
    let second = put.header("x-amz-version-id").unwrap().to_owned();
    let get = |id: &str| {
        let path = format!("/bucket/key?versionId={id}");
        let store = &store;
        async move { store.send("GET", &path, &[], "").await }
    };
    assert_eq!(get("null").await.expect(200).text(), "null");
    assert_eq!(get(&second).await.expect(200).text(), "second");
    get("garbage").await.expect_error(400, "InvalidArgument");
    get(&"0".repeat(32)).await.expect_error(404, "NoSuchVersion");

    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    assert_eq!(deleted.header("x-amz-delete-marker"), Some("true"));
    let marker = deleted.header("x-amz-version-id").unwrap().to_owned();
    let gone = store.get("key").await.expect_error(404, "NoSuchKey");
    assert_eq!(gone.header("x-amz-delete-marker"), Some("true"));
    let named = get(&marker).await.expect_error(405, "MethodNotAllowed");
    assert_eq!(named.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(get(&second).await.expect(200).text(), "second");
}

#[tokio::test]
async fn deleting_is_idempotent() {
    let store = Store::with_bucket().await;
    store.put("key", "hello").await;
    for _ in 0..2 {
        store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    }
    store.get("key").await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let store = Store::with_bucket().await;
    store.put("a", "1").await;
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object>\
                <Object><Key>c</Key><VersionId>garbage</VersionId></Object></Delete>";
    let answer = store.send("POST", "/bucket?delete", &[], body).await.expect(200);
    assert_eq!(answer.elements("Deleted").len(), 2);
    assert_eq!(answer.element("Code"), Some("InvalidArgument"));
    store.get("a").await.expect(404);

    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>";
    let answer = store.send("POST", "/bucket?delete", &[], quiet).await.expect(200);
    assert!(answer.elements("Deleted").is_empty() && answer.elements("Error").is_empty());

    let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001));
    store.send("POST", "/bucket?delete", &[], many).await.expect_error(400, "MalformedXML");
    store.send("POST", "/bucket?delete", &[], "<Del").await.expect_error(400, "MalformedXML");
}

#[tokio::test]
async fn two_lost_nodes_cost_nothing_and_three_are_said_before_the_first_byte() {
    let store = Store::with_bucket().await;
    let body = pattern(2 << 20);
    store.put("key", body.clone()).await;
    store.nodes[0].down();
    store.nodes[1].down();
    assert_eq!(store.get("key").await.expect(200).bytes(), body);
    store.nodes[2].down();
    let answer = store.get("key").await.expect_error(503, "ServiceUnavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn attributes_are_those_asked_for() {
    let store = Store::with_bucket().await;
    store.put("key", "hello").await;
    let asked = [("x-amz-object-attributes", "ETag,ObjectSize,Checksum")];
    let answer = store.send("GET", "/bucket/key?attributes", &asked, "").await.expect(200);
    assert_eq!(answer.element("ObjectSize"), Some("5"));
    assert_eq!(answer.element("ChecksumType"), Some("FULL_OBJECT"));
    assert_eq!(answer.element("StorageClass"), None);
    let unknown = [("x-amz-object-attributes", "Colour")];
    let answer = store.send("GET", "/bucket/key?attributes", &unknown, "").await;
    answer.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn a_body_that_breaks_is_cut_and_not_ended() {
    let store = Store::with_bucket().await;
    store.put("key", pattern(16 << 20)).await;
    // What is open ends after a few cells, and nothing can be opened again.
    for node in &store.nodes {
        node.fail(Faults { get_dies_after: Some(4), ..Faults::default() });
    }
    let request = Request::builder().uri("/bucket/key").header("host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    let mut body = store.service.call(request).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    for node in &store.nodes {
        node.down();
    }
    assert!(body.collect().await.is_err());
}
