//! Copies: shared bodies, directives, conditions.

use super::{Store, pattern};

async fn copy(store: &Store, key: &str, headers: &[(&str, &str)]) -> super::Answer {
    let mut all = vec![("x-amz-copy-source", "bucket/source")];
    all.extend_from_slice(headers);
    store.send("PUT", &format!("/bucket/{key}"), &all, "").await
}

fn chunk_count(store: &Store) -> usize {
    store.nodes.iter().map(|node| node.chunk_count()).sum()
}

#[tokio::test]
async fn a_copy_moves_no_bytes_and_outlives_its_source() {
    let store = Store::with_bucket().await;
    let body = pattern(100_000);
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "b")];
    let put = store.send("PUT", "/bucket/source", &headers, body.clone()).await.expect(200);
    let before = chunk_count(&store);
    let answer = copy(&store, "copy", &[]).await.expect(200);
    assert_eq!(
        answer.element("ETag").unwrap().replace("&quot;", "\""),
        put.header("etag").unwrap()
    );
    assert_eq!(chunk_count(&store), before);
    store.send("DELETE", "/bucket/source", &[], "").await.expect(204);
    let got = store.get("copy").await.expect(200);
    assert_eq!(got.bytes(), body);
    assert_eq!(got.header("x-amz-meta-a"), Some("b"));
    assert_eq!(got.header("content-type"), Some("text/plain"));
}

#[tokio::test]
async fn directives_choose_the_headers() {
    let store = Store::with_bucket().await;
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "b")];
    store.send("PUT", "/bucket/source", &headers, "hello").await.expect(200);
    let replace = [("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-c", "d")];
    copy(&store, "copy", &replace).await.expect(200);
    let got = store.get("copy").await.expect(200);
    assert_eq!((got.header("x-amz-meta-a"), got.header("x-amz-meta-c")), (None, Some("d")));
    assert_eq!(got.header("content-type"), Some("binary/octet-stream"));
    let foo = [("x-amz-metadata-directive", "FOO")];
    copy(&store, "copy", &foo).await.expect_error(400, "InvalidArgument");
    copy(&store, "source", &[]).await.expect_error(400, "InvalidRequest");
    copy(&store, "source", &replace).await.expect(200);
    let got = store.get("source").await.expect(200);
    assert_eq!((got.text(), got.header("x-amz-meta-c")), ("hello", Some("d")));
}

#[tokio::test]
async fn another_class_or_checksum_is_written_anew() {
    let store = Store::with_bucket().await;
    let body = pattern(50_000);
    store.put("source", body.clone()).await;
    let class = [("x-amz-storage-class", "REDUCED_REDUNDANCY")];
    copy(&store, "reduced", &class).await.expect(200);
    let got = store.get("reduced").await.expect(200);
    assert_eq!(got.header("x-amz-storage-class"), Some("REDUCED_REDUNDANCY"));
    assert_eq!(got.bytes(), body);
    let sha256 = [("x-amz-checksum-algorithm", "SHA256")];
    let answer = copy(&store, "summed", &sha256).await.expect(200);
    let sum = answer.element("ChecksumSHA256").unwrap();
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let got = store.send("GET", "/bucket/summed", &mode, "").await.expect(200);
    assert_eq!((got.header("x-amz-checksum-sha256"), got.bytes()), (Some(sum), body));
}

#[tokio::test]
async fn conditions_of_the_source() {
    let store = Store::with_bucket().await;
    store.put("source", "hello").await;
    let etag = "\"5d41402abc4b2a76b9719d911017c592\"";
    for (name, value, status) in [
        ("x-amz-copy-source-if-match", etag, 200),
        ("x-amz-copy-source-if-match", "\"x\"", 412),
        ("x-amz-copy-source-if-none-match", etag, 412),
        ("x-amz-copy-source-if-none-match", "\"x\"", 200),
        ("x-amz-copy-source-if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT", 412),
        ("x-amz-copy-source-if-unmodified-since", "Wed, 01 Jan 2020 00:00:00 GMT", 412),
    ] {
        copy(&store, "copy", &[(name, value)]).await.expect(status);
    }
    let taken = [("if-none-match", "*")];
    copy(&store, "copy", &taken).await.expect_error(412, "PreconditionFailed");
}

#[tokio::test]
async fn malformed_sources() {
    let store = Store::with_bucket().await;
    for source in ["bucket", "bucket/", "bucket/%80", "bucket/a?versionId=x&versionId=y"] {
        let headers = [("x-amz-copy-source", source)];
        let answer = store.send("PUT", "/bucket/copy", &headers, "").await;
        answer.expect_error(400, "InvalidArgument");
    }
    let absent = [("x-amz-copy-source", "bucket/absent")];
    store.send("PUT", "/bucket/copy", &absent, "").await.expect_error(404, "NoSuchKey");
    let outside = [("x-amz-copy-source", "bucket/../other/key")];
    store.send("PUT", "/bucket/copy", &outside, "").await.expect_error(404, "NoSuchKey");
}
