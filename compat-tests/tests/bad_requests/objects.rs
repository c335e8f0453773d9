//! Copies, multipart uploads and lists: parameters and documents that make no sense.

use super::{Bench, KEY};
use compat_tests::raw::{Connection, Request};

const COPY: &str = "/bad-requests/copy";

pub(super) async fn check(bench: &Bench) {
    copies(bench).await;
    let upload = bench.send(Request::post("/bad-requests/new?uploads")).await.expect_status(200);
    let upload = upload.element("UploadId");
    parts(bench, &upload).await;
    completions(bench, &upload).await;
    part_checksums(bench).await;
    let abort = format!("/bad-requests/new?uploadId={upload}");
    bench.send(Request::delete(&abort)).await.expect_status(204);
    lists(bench).await;
    refused_before_the_body(bench).await;
}

async fn copies(bench: &Bench) {
    let argument = "InvalidArgument";
    for (source, status, code) in [
        ("", 400, argument),
        ("/", 400, argument),
        ("bad-requests", 400, argument),
        ("/bad-requests/", 400, argument),
        ("/bad-requests/%zz", 400, argument),
        ("/bad-requests/kept%", 400, argument),
        ("/bad-requests/kept?versionId=garbage", 400, argument),
        ("/bad-requests/kept?versionId=null&versionId=null", 400, argument),
        ("/bad-requests/absent", 404, "NoSuchKey"),
        ("/bad-requests/../other/key", 404, "NoSuchKey"),
        ("/no-such-bucket/key", 404, "NoSuchBucket"),
    ] {
        let copy = Request::put(COPY).header("x-amz-copy-source", source);
        bench.check(source, &bench.signed(&copy), status, code).await;
    }
    let copy = || Request::put(COPY).header("x-amz-copy-source", KEY);
    for directive in ["FOO", "copy"] {
        let wire = bench.signed(&copy().header("x-amz-metadata-directive", directive));
        bench.check(directive, &wire, 400, argument).await;
    }
    let stale = copy().header("x-amz-copy-source-if-match", "\"other\"");
    bench.check("a stale source", &bench.signed(&stale), 412, "PreconditionFailed").await;
    let itself = Request::put(KEY).header("x-amz-copy-source", KEY);
    bench.check("a copy onto itself", &bench.signed(&itself), 400, "InvalidRequest").await;
}

async fn parts(bench: &Bench, upload: &str) {
    for number in ["0", "-1", "10001", "abc", "", "%2B1"] {
        let target = format!("/bad-requests/new?partNumber={number}&uploadId={upload}");
        let wire = bench.signed(&Request::put(&target).body("x"));
        bench.check(&target, &wire, 400, "InvalidArgument").await;
    }
    for query in ["partNumber=1", &format!("uploadId={upload}"), "partNumber=1&uploadId="] {
        let wire = bench.signed(&Request::put(&format!("{KEY}?{query}")).body("x"));
        bench.check(query, &wire, 400, "InvalidArgument").await;
    }
    let target = format!("/bad-requests/new?partNumber=1&uploadId={upload}");
    let ranges =
        ["bytes=3-2", "bytes=0-4", "bytes=0-", "bytes=-1", "0-1", "bytes=0-1,2-3", "x", ""];
    for range in ranges {
        let copy = Request::put(&target)
            .header("x-amz-copy-source", KEY)
            .header("x-amz-copy-source-range", range);
        bench.check(range, &bench.signed(&copy), 400, "InvalidArgument").await;
    }
    let unknown = format!("/bad-requests/new?partNumber=1&uploadId={}", "0".repeat(32));
    let wire = bench.signed(&Request::put(&unknown).body("x"));
    bench.check("an unknown upload", &wire, 404, "NoSuchUpload").await;
}

async fn completions(bench: &Bench, upload: &str) {
    let target = format!("/bad-requests/new?uploadId={upload}");
    let document =
        |parts: &str| format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let part =
        |number: &str| format!("<Part><PartNumber>{number}</PartNumber><ETag>x</ETag></Part>");
    let many: String = (1..=10_001).map(|number| part(&number.to_string())).collect();
    let malformed = "MalformedXML";
    for (name, body, code) in [
        ("nothing", String::new(), malformed),
        ("half", "<CompleteMultipartUpload><Part>".to_owned(), malformed),
        ("another document", "<Delete/>".to_owned(), malformed),
        ("no part", document(""), malformed),
        ("no ETag", document("<Part><PartNumber>1</PartNumber></Part>"), malformed),
        ("no number", document("<Part><ETag>x</ETag></Part>"), malformed),
        ("a word for a number", document(&part("one")), malformed),
        ("part 0", document(&part("0")), "InvalidArgument"),
        ("10 001 parts", document(&many), "InvalidArgument"),
        ("descending", document(&[part("2"), part("1")].concat()), "InvalidPartOrder"),
        ("twice", document(&[part("1"), part("1")].concat()), "InvalidPartOrder"),
        ("absent", document(&part("1")), "InvalidPart"),
    ] {
        let wire = bench.signed(&Request::post(&target).body(body));
        bench.check(name, &wire, 400, code).await;
    }
}

/// An upload has checksums of one algorithm; no other is taken for compared.
async fn part_checksums(bench: &Bench) {
    let create = Request::post("/bad-requests/new?uploads");
    let create = create.header("x-amz-checksum-algorithm", "SHA256");
    let upload = bench.send(create).await.expect_status(200).element("UploadId");
    let upload = format!("/bad-requests/new?uploadId={upload}");
    let part = || Request::put(&format!("{upload}&partNumber=1")).body("hello");
    let other = part().header("x-amz-checksum-crc32", "NhCmhg==");
    bench.check("another algorithm", &bench.signed(&other), 400, "InvalidRequest").await;
    let part = bench.send(part()).await.expect_status(200);
    let etag = part.header("etag").unwrap();
    for sum in ["SHA256>LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCR=", "CRC32>NhCmhg=="] {
        let (name, _) = sum.split_once('>').unwrap();
        let sum = format!("<Checksum{sum}</Checksum{name}>");
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{sum}</Part>");
        let body = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
        let wire = bench.signed(&Request::post(&upload).body(body));
        bench.check(name, &wire, 400, "InvalidPart").await;
    }
    bench.send(Request::delete(&upload)).await.expect_status(204);
}

async fn lists(bench: &Bench) {
    for query in [
        "list-type=2&max-keys=-1",
        "list-type=2&max-keys=abc",
        "max-keys=-1",
        "versions&max-keys=abc",
        "uploads&max-uploads=-1",
        "list-type=2&encoding-type=foo",
        "encoding-type=foo",
        "list-type=1",
        "max-keys=%01",
        "list-type=2&fetch-owner=%00",
        "uploads&upload-id-marker=%EF%BF%BF",
        "list-type=2&continuation-token=garbage",
        "versions&version-id-marker=null",
        "versions&key-marker=a&version-id-marker=garbage",
        "uploads&key-marker=a&upload-id-marker=garbage",
    ] {
        let wire = bench.signed(&Request::get(&format!("/bad-requests?{query}")));
        bench.check(query, &wire, 400, "InvalidArgument").await;
    }
    for query in [
        "prefix=%01",
        "max-buckets=%EF%BF%BF",
        "max-buckets=0",
        "max-buckets=10001",
        "continuation-token=garbage",
    ] {
        let wire = bench.signed(&Request::get(&format!("/?{query}")));
        bench.check(query, &wire, 400, "InvalidArgument").await;
    }
}

/// With `Expect: 100-continue` a refusal comes instead of the 100; what follows on the connection
/// could be the body or not, so it ends.
async fn refused_before_the_body(bench: &Bench) {
    for (target, header, status) in [
        ("/no-such-bucket/key", ("x-amz-meta-a", "b"), 404),
        ("/bad-requests/new", ("x-amz-storage-class", "FOO"), 400),
        ("/bad-requests/new", ("x-amz-server-side-encryption", "AES256"), 501),
        (KEY, ("if-none-match", "*"), 412),
    ] {
        let put = Request::put(target).header(header.0, header.1).header("expect", "100-continue");
        let wire = bench.signed(&put.body(vec![1; 1000]));
        let mut connection = Connection::open(bench.address()).await.unwrap();
        connection.send(&wire.head_bytes()).await.unwrap();
        let answer = connection.answer(false).await.unwrap();
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(connection.is_closed().await, "{target}");
    }
}
