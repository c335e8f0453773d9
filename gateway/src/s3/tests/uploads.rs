//! Multipart uploads.

use super::{Answer, Store, pattern};

const MIB: usize = 1 << 20;

async fn create(store: &Store, headers: &[(&str, &str)]) -> String {
    let answer = store.send("POST", "/bucket/key?uploads", headers, "").await.expect(200);
    answer.element("UploadId").unwrap().to_owned()
}

async fn part(store: &Store, id: &str, number: usize, body: bytes::Bytes) -> String {
    let path = format!("/bucket/key?partNumber={number}&uploadId={id}");
    let answer = store.send("PUT", &path, &[], body).await.expect(200);
    answer.header("etag").unwrap().to_owned()
}

fn list(parts: &[(usize, &str)]) -> String {
    let part = |(number, etag): &(usize, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

async fn complete(store: &Store, id: &str, headers: &[(&str, &str)], body: String) -> Answer {
    store.send("POST", &format!("/bucket/key?uploadId={id}"), headers, body).await
}

#[tokio::test]
async fn parts_in_any_order_make_one_object() {
    let store = Store::with_bucket().await;
    let (first, second) = (pattern(5 * MIB), pattern(1000));
    let id = create(&store, &[("content-type", "text/plain")]).await;
    let e2 = part(&store, &id, 2, second.clone()).await;
    let stale = part(&store, &id, 1, pattern(7)).await;
    let e1 = part(&store, &id, 1, first.clone()).await;
    assert_ne!(stale, e1);

    let parts = store.send("GET", &format!("/bucket/key?uploadId={id}"), &[], "").await.expect(200);
    assert_eq!(parts.elements("PartNumber"), ["1", "2"]);
    assert_eq!(parts.elements("Size"), ["5242880", "1000"]);
    let uploads = store.send("GET", "/bucket?uploads", &[], "").await.expect(200);
    assert_eq!(uploads.elements("UploadId"), [id.as_str()]);
    store.get("key").await.expect_error(404, "NoSuchKey");

    let body = list(&[(1, &e1), (2, &e2)]);
    let done = complete(&store, &id, &[], body.clone()).await.expect(200);
    let etag = done.element("ETag").unwrap().to_owned();
    assert!(etag.contains("-2"), "{etag}");
    assert!(done.element("ChecksumCRC64NVME").is_some());

    let whole = [first.clone(), second.clone()].concat();
    let got = store.get("key").await.expect(200);
    assert_eq!(got.bytes(), whole);
    assert_eq!(got.header("content-type"), Some("text/plain"));
    let got = store.send("GET", "/bucket/key?partNumber=2", &[], "").await.expect(206);
    assert_eq!((got.bytes(), got.header("x-amz-mp-parts-count")), (second, Some("2")));
    let across = [("range", "bytes=5242870-5242889")];
    let got = store.send("GET", "/bucket/key", &across, "").await.expect(206);
    assert_eq!(got.bytes(), whole[5_242_870..5_242_890]);

    // The same list again gets the same answer; another list finds no upload.
    let again = complete(&store, &id, &[], body).await.expect(200);
    assert_eq!(again.text(), done.text());
    let other = complete(&store, &id, &[], list(&[(1, &e1)])).await;
    other.expect_error(404, "NoSuchUpload");
}

#[tokio::test]
async fn bad_completions() {
    let store = Store::with_bucket().await;
    let id = create(&store, &[]).await;
    let e1 = part(&store, &id, 1, pattern(10)).await;
    let e2 = part(&store, &id, 2, pattern(10)).await;
    let wrong = "\"d41d8cd98f00b204e9800998ecf8427e\"";
    for (parts, code) in [
        (vec![(2, e2.as_str()), (1, e1.as_str())], "InvalidPartOrder"),
        (vec![(1, e1.as_str()), (1, e1.as_str())], "InvalidPartOrder"),
        (vec![(1, e1.as_str()), (3, e2.as_str())], "InvalidPart"),
        (vec![(1, wrong)], "InvalidPart"),
        (vec![(1, e1.as_str()), (2, e2.as_str())], "EntityTooSmall"),
        (vec![(0, e1.as_str())], "InvalidArgument"),
        (vec![(10_001, e1.as_str())], "InvalidArgument"),
        (vec![], "MalformedXML"),
    ] {
        complete(&store, &id, &[], list(&parts)).await.expect_error(400, code);
    }
    for body in ["", "<Complete"] {
        complete(&store, &id, &[], body.to_owned()).await.expect_error(400, "MalformedXML");
    }
    let one = list(&[(1, &e1)]);
    let size = [("x-amz-mp-object-size", "11")];
    complete(&store, &id, &size, one.clone()).await.expect_error(400, "InvalidRequest");
    let sum = [("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];
    complete(&store, &id, &sum, one.clone()).await.expect_error(400, "BadDigest");
    let size = [("x-amz-mp-object-size", "10")];
    complete(&store, &id, &size, one).await.expect(200);
}

#[tokio::test]
async fn completions_can_be_conditional() {
    let store = Store::with_bucket().await;
    store.put("key", "there").await;
    let id = create(&store, &[]).await;
    let etag = part(&store, &id, 1, pattern(10)).await;
    let absent = [("if-none-match", "*")];
    let answer = complete(&store, &id, &absent, list(&[(1, &etag)])).await;
    answer.expect_error(412, "PreconditionFailed");
    assert_eq!(store.get("key").await.text(), "there");
    let there = [("if-match", "*")];
    complete(&store, &id, &there, list(&[(1, &etag)])).await.expect(200);
}

#[tokio::test]
async fn part_numbers_and_ids_are_checked() {
    let store = Store::with_bucket().await;
    let id = create(&store, &[]).await;
    for number in ["0", "-1", "10001", "abc"] {
        let path = format!("/bucket/key?partNumber={number}&uploadId={id}");
        store.send("PUT", &path, &[], "x").await.expect_error(400, "InvalidArgument");
    }
    for bad in ["garbage", &"0".repeat(32)] {
        let path = format!("/bucket/key?partNumber=1&uploadId={bad}");
        store.send("PUT", &path, &[], "x").await.expect_error(404, "NoSuchUpload");
        let path = format!("/bucket/key?uploadId={bad}");
        store.send("DELETE", &path, &[], "").await.expect_error(404, "NoSuchUpload");
        store.send("GET", &path, &[], "").await.expect_error(404, "NoSuchUpload");
    }
    store.send("DELETE", &format!("/bucket/key?uploadId={id}"), &[], "").await.expect(204);
    let path = format!("/bucket/key?partNumber=1&uploadId={id}");
    store.send("PUT", &path, &[], "x").await.expect_error(404, "NoSuchUpload");
}

#[tokio::test]
async fn parts_are_copied_whole_or_by_range() {
    let store = Store::with_bucket().await;
    let source = pattern(6 * MIB);
    store.put("source", source.clone()).await;
    let id = create(&store, &[]).await;
    let copy = |number: usize, range: &'static str| {
        let path = format!("/bucket/key?partNumber={number}&uploadId={id}");
        let store = &store;
        let headers = [("x-amz-copy-source", "bucket/source"), ("x-amz-copy-source-range", range)];
        async move { store.send("PUT", &path, &headers, "").await }
    };
    let etag = |answer: &Answer| answer.element("ETag").unwrap().to_owned();
    let e1 = etag(&copy(1, "").await.expect(200));
    let e2 = etag(&copy(2, "bytes=100-199").await.expect(200));
    for bad in ["bytes=5-2", "bytes=0-6291456", "0-5", "bytes=0-"] {
        copy(3, bad).await.expect_error(400, "InvalidArgument");
    }
    complete(&store, &id, &[], list(&[(1, &e1), (2, &e2)])).await.expect(200);
    let whole = [&source[..], &source[100..200]].concat();
    assert_eq!(store.get("key").await.expect(200).bytes(), whole);
}

/// SDKs send a CRC32 with every part, also where the upload was created without an algorithm.
#[tokio::test]
async fn parts_bring_checksums_to_an_upload_that_named_none() {
    let store = Store::with_bucket().await;
    let id = create(&store, &[]).await;
    let path = format!("/bucket/key?partNumber=1&uploadId={id}");
    let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
    store.send("PUT", &path, &wrong, "hello").await.expect_error(400, "BadDigest");
    let crc = [("x-amz-checksum-crc32", "NhCmhg==")];
    let answer = store.send("PUT", &path, &crc, "hello").await.expect(200);
    assert_eq!(answer.header("x-amz-checksum-crc32"), Some("NhCmhg=="));
    let sum = "<ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part>";
    let body = list(&[(1, answer.header("etag").unwrap())]).replace("</Part>", sum);
    complete(&store, &id, &[], body).await.expect(200);
}

#[tokio::test]
async fn composite_checksums() {
    let store = Store::with_bucket().await;
    let id = create(&store, &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let path = format!("/bucket/key?partNumber=1&uploadId={id}");
    let crc = [("x-amz-checksum-crc32", "NhCmhg==")];
    store.send("PUT", &path, &crc, "hello").await.expect_error(400, "InvalidRequest");
    let sha = [("x-amz-checksum-sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")];
    let answer = store.send("PUT", &path, &sha, "hello").await.expect(200);
    let etag = answer.header("etag").unwrap().to_owned();
    let other = "<ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part>";
    let other = list(&[(1, &etag)]).replace("</Part>", other);
    complete(&store, &id, &[], other).await.expect_error(400, "InvalidPart");
    let done = complete(&store, &id, &[], list(&[(1, &etag)])).await.expect(200);
    let sum = done.element("ChecksumSHA256").unwrap();
    assert!(sum.ends_with("-1"), "{sum}");
    assert_eq!(done.element("ChecksumType"), Some("COMPOSITE"));
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let head = store.send("HEAD", "/bucket/key", &mode, "").await.expect(200);
    assert_eq!(head.header("x-amz-checksum-sha256"), Some(sum));
    let asked = [("x-amz-object-attributes", "ObjectParts,Checksum")];
    let answer = store.send("GET", "/bucket/key?attributes", &asked, "").await.expect(200);
    assert_eq!(answer.element("PartsCount"), Some("1"));
    assert_eq!(answer.element("PartNumber"), Some("1"));
}
